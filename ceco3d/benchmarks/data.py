"""What a scene costs on its way from raw files to a batch: preprocessing, each transform, voxels, the loader."""

from __future__ import annotations

import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ceco3d.data.batch import make_batch
from ceco3d.data.collate import Collate
from ceco3d.data.dataset import SceneDataset
from ceco3d.data.loader import make_loader
from ceco3d.data.pointclouds.normals import vertex_normals
from ceco3d.data.scenes.processed import SEGMENT, read_scene, write_scene
from ceco3d.data.scenes.scene import Scene, concatenate
from ceco3d.data.transforms import Transform, Transforms
from ceco3d.data.transforms.geometric import bounds
from ceco3d.preprocessing import scannet
from ceco3d.utils.random import seeded_generator

HEADER = ("step", "ms", "fastest", "CPU ms", "scenes/s per core")
FILES = 8  # scenes on disk that the loader reads again and again
SAMPLES = 10  # of the memory

Seconds = dict[str, list[float]]  # wall and cpu of repeated runs


def time_preprocess(folder: Path, table: scannet.LabelTable, repeats: int) -> dict[str, Seconds]:
    """The steps of preprocessing of the raw scene in ``folder``, then all of it, with normals and labels."""
    path = folder / f"{folder.name}{scannet.MESH}"
    vertices, _, faces = scannet.read_mesh(path)

    def read() -> dict[str, np.ndarray]:
        return scannet.read_scene(folder, table, annotated=True, align=True)

    arrays = read()
    with tempfile.TemporaryDirectory() as root:
        target = Path(root) / folder.name
        runs = {
            "read mesh": lambda _: scannet.read_mesh(path),
            "vertex normals": lambda _: vertex_normals(vertices, faces),
            "write": lambda _: write_scene(target, arrays),
            "preprocess": lambda _: write_scene(target, read()),
        }
        return {name: _clock(run, repeats) for name, run in runs.items()}


def time_transforms(
    scene: Scene, steps: Sequence[Transform], voxel_size: float, features: Sequence[str], repeats: int
) -> dict[str, Seconds]:
    """Each of ``steps`` when it is applied, voxels and features, and the whole way as it is drawn in training.

    "all" has every step applied; "training" has the probabilities of ``steps``, each run with draws of its own.
    """
    certain = [_certain(step) for step in steps]

    def batch(scene: Scene, run: int) -> None:
        make_batch([scene], voxel_size, features, [seeded_generator(1, run)])

    def whole(steps: Sequence[Transform], run: int) -> None:
        batch(Transforms(steps)(scene, seeded_generator(0, run)), run)

    def apply(step: Transform) -> Callable[[int], object]:
        return lambda run: step(scene, seeded_generator(0, run))

    times = {type(step).__name__: _clock(apply(step), repeats) for step in certain}
    times["voxels and features"] = _clock(lambda run: batch(scene, run), repeats)
    times["all"] = _clock(lambda run: whole(certain, run), repeats)
    times["training"] = _clock(lambda run: whole(steps, run), 4 * repeats)
    return times


def time_loader(
    scenes: Sequence[Scene],
    label_space: str,
    steps: Sequence[Transform],
    collate: Collate,
    count: int,
    workers: int,
) -> dict[str, Any]:
    """``count`` batches of one scene through ``workers`` processes.

    Scenes per second, CPU seconds of all processes per scene, and their GiB at SAMPLES moments.
    """
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / str(number) for number in range(len(scenes))]
        for folder, scene in zip(folders, scenes, strict=True):
            _write(folder, scene, label_space)
        dataset = SceneDataset(folders, label_space, Transforms(steps), 0, repeat=-(-(count + 1) // len(folders)))
        batches = iter(make_loader(dataset, collate, 1, True, workers))
        next(batches)  # starts the workers
        start, cpu, memory = time.perf_counter(), _cpu_seconds(), []
        for number in range(1, count + 1):
            next(batches)
            if number % max(1, count // SAMPLES) == 0:
                memory.append(_memory())
        wall, cpu = time.perf_counter() - start, _cpu_seconds() - cpu
        return {
            "workers": workers,
            "scenes": count,
            "scenes_per_second": count / wall,
            "cpu_seconds": cpu / count,
            "gib": memory,
        }


def make_scene(folders: Sequence[Path], label_space: str, points: int) -> Scene:
    """A scene of ``points`` points: those of ``folders`` in turn, side by side along x, the last one cut."""
    scenes, found, edge = [], 0, 0.0
    for folder in cycle(folders):
        scene = read_scene(folder, label_space)
        low, high = bounds(scene.coord)
        shift = torch.stack([edge - low[0], *torch.zeros(2)])
        scenes.append(scene.replace(coord=scene.coord + shift))
        found, edge = found + len(scene), edge + float(high[0] - low[0]) + 1
        if found >= points:
            return concatenate(scenes, "benchmark").select(torch.arange(points))
    raise ValueError("no scenes")


def table(times: dict[str, Seconds]) -> list[tuple[str, ...]]:
    """The rows under HEADER; scenes per second from the median of the CPU time."""
    rows = []
    for name, seconds in times.items():
        wall, cpu = seconds["wall"], statistics.median(seconds["cpu"])
        cells = (f"{1000 * value:.2f}" for value in (statistics.median(wall), min(wall), cpu))
        rows.append((name, *cells, f"{1 / cpu:,.0f}"))
    return rows


def describe_loader(result: dict[str, Any]) -> str:
    """One line."""
    memory = ", ".join(f"{gib:.2f}" for gib in result["gib"])
    return (
        f"{result['scenes_per_second']:.1f} scenes/s from {result['workers']} workers over {result['scenes']} scenes, "
        f"{1000 * result['cpu_seconds']:.1f} ms of CPU time each; GiB of all processes meanwhile: {memory}"
    )


def _clock(run: Callable[[int], object], repeats: int) -> Seconds:
    """Seconds of ``run`` of 1, 2, ..., after one untimed run of 0."""
    run(0)
    seconds: Seconds = {"wall": [], "cpu": []}
    for number in range(1, repeats + 1):
        wall, cpu = time.perf_counter(), time.thread_time()
        run(number)
        seconds["cpu"].append(time.thread_time() - cpu)
        seconds["wall"].append(time.perf_counter() - wall)
    return seconds


def _certain(step: Transform) -> Transform:
    """``step`` with probability 1."""
    return replace(step, p=1.0) if "p" in {field.name for field in fields(step)} else step


def _memory() -> float:
    """GiB of resident memory of this process and its children, what they share counted once (Linux)."""
    text = "".join((process / "smaps_rollup").read_text() for process in _processes())
    return sum(map(int, re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))) / 2**20


def _cpu_seconds() -> float:
    """User and system time of this process and its children so far (Linux)."""
    texts = [(process / "stat").read_text().rpartition(")")[2] for process in _processes()]
    return sum(int(ticks) for text in texts for ticks in text.split()[11:13]) / os.sysconf("SC_CLK_TCK")


def _processes() -> list[Path]:
    return [Path("/proc") / str(pid) for pid in ("self", *(child.pid for child in multiprocessing.active_children()))]


def _write(folder: Path, scene: Scene, label_space: str) -> None:
    labels = {name: scene.segment.short().numpy() for name in SEGMENT.values()}
    if label_space != "scannet20":
        labels["segment20"] = np.full_like(labels["segment20"], -1)
    arrays = {
        "coord": np.ascontiguousarray(scene.coord.numpy()),
        "color": np.ascontiguousarray(scene.color.to(torch.uint8).numpy()),
        "normal": np.ascontiguousarray(scene.normal.numpy()),
        "instance": scene.instance.short().numpy(),
    }
    write_scene(folder, arrays | labels)
