"""The cost of a scene from raw files to a batch: preprocessing, each transform, voxels, the loader."""

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
from ceco3d.data.labels import LabelSpace
from ceco3d.data.loader import make_loader
from ceco3d.data.pointclouds.normals import vertex_normals
from ceco3d.data.scenes.processed import read_scene, write_scene
from ceco3d.data.scenes.scene import Scene, concatenate
from ceco3d.data.transforms import Transform, Transforms
from ceco3d.data.transforms.geometric import bounds
from ceco3d.preprocessing import scannet
from ceco3d.preprocessing.label_table import LabelTable
from ceco3d.utils.random import seeded_generator

HEADER = ("step", "ms", "fastest", "CPU ms", "scenes/s per core")
FILES = 8  # scenes on disk for the loader to read again and again
SAMPLES = 10  # memory readings

Seconds = dict[str, list[float]]  # {"wall" | "cpu": seconds of repeated runs}


def time_preprocess(folder: Path, table: LabelTable, repeats: int) -> dict[str, Seconds]:
    """The preprocessing steps of the raw scene in ``folder``, then all of them together, with normals and labels."""
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
    """Seconds of each of ``steps``, of voxels and features, and of everything together. ``voxel_size`` is in meters.

    "all" applies every step; "training" applies each with its own probability, with new random draws in every run.
    """
    always = [_always(step) for step in steps]

    def batch(scene: Scene, run: int) -> None:
        make_batch([scene], voxel_size, features, [seeded_generator(1, run)])

    def whole(steps: Sequence[Transform], run: int) -> None:
        batch(Transforms(steps)(scene, seeded_generator(0, run)), run)

    def apply(step: Transform) -> Callable[[int], object]:
        return lambda run: step(scene, seeded_generator(0, run))

    times = {type(step).__name__: _clock(apply(step), repeats) for step in always}
    times["voxels and features"] = _clock(lambda run: batch(scene, run), repeats)
    times["all"] = _clock(lambda run: whole(always, run), repeats)
    times["training"] = _clock(lambda run: whole(steps, run), 4 * repeats)
    return times


def time_loader(
    scenes: Sequence[Scene],
    space: LabelSpace,
    steps: Sequence[Transform],
    collate: Collate,
    count: int,
    workers: int,
) -> dict[str, Any]:
    """Load ``count`` batches of one scene with ``workers`` processes.

    Returns scenes per second, CPU seconds of all processes per scene, and the GiB of all processes at SAMPLES moments.
    """
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / str(number) for number in range(len(scenes))]
        for folder, scene in zip(folders, scenes, strict=True):
            _write(folder, scene, space)
        dataset = SceneDataset(folders, space, Transforms(steps), 0, repeat=-(-(count + 1) // len(folders)))
        batches = iter(make_loader(dataset, collate, 1, True, workers))
        next(batches)  # starts the workers
        memory: list[float] = []
        start, cpu = time.perf_counter(), _cpu_seconds()
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


def make_scene(folders: Sequence[Path], space: LabelSpace, points: int) -> Scene:
    """Exactly ``points`` points: the scenes of ``folders`` in turn, side by side along x, the last one cut."""
    scenes: list[Scene] = []
    count, edge = 0, 0.0
    for folder in cycle(folders):
        scene = read_scene(folder, space)
        low, high = bounds(scene.coord)
        shift = torch.stack([edge - low[0], *torch.zeros(2)])
        scenes.append(scene.replace(coord=scene.coord + shift))
        count, edge = count + len(scene), edge + float(high[0] - low[0]) + 1
        if count >= points:
            return concatenate(scenes, "benchmark").select(torch.arange(points))
    raise ValueError("no scenes")


def table(times: dict[str, Seconds]) -> list[tuple[str, ...]]:
    """The table, under HEADER; scenes per second follow from the median CPU time."""
    rows = []
    for name, seconds in times.items():
        wall, cpu = seconds["wall"], statistics.median(seconds["cpu"])
        cells = (f"{1000 * value:.2f}" for value in (statistics.median(wall), min(wall), cpu))
        rows.append((name, *cells, f"{1 / cpu:,.0f}"))
    return rows


def describe_loader(result: dict[str, Any]) -> str:
    """One line for the result of ``time_loader``."""
    memory = ", ".join(f"{gib:.2f}" for gib in result["gib"])
    return (
        f"{result['scenes_per_second']:.1f} scenes/s from {result['workers']} workers over {result['scenes']} scenes, "
        f"{1000 * result['cpu_seconds']:.1f} ms of CPU time each; GiB of all processes meanwhile: {memory}"
    )


def _clock(run: Callable[[int], object], repeats: int) -> Seconds:
    """Seconds of ``run(1)``, ``run(2)``, ..., ``run(repeats)``, after an untimed ``run(0)``."""
    run(0)
    seconds: Seconds = {"wall": [], "cpu": []}
    for number in range(1, repeats + 1):
        wall, cpu = time.perf_counter(), time.thread_time()
        run(number)
        seconds["cpu"].append(time.thread_time() - cpu)
        seconds["wall"].append(time.perf_counter() - wall)
    return seconds


def _always(step: Transform) -> Transform:
    """``step`` with probability 1."""
    instance: Any = step  # a dataclass, as every step is
    certain: Transform = replace(instance, p=1.0) if "p" in {field.name for field in fields(instance)} else step
    return certain


def _memory() -> float:
    """Resident GiB of this process and its children, shared memory counted once (Linux)."""
    text = "".join((process / "smaps_rollup").read_text() for process in _processes())
    return sum(map(int, re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))) / 2**20


def _cpu_seconds() -> float:
    """User and system seconds of this process and its children so far (Linux)."""
    texts = [(process / "stat").read_text().rpartition(")")[2] for process in _processes()]
    return sum(int(ticks) for text in texts for ticks in text.split()[11:13]) / os.sysconf("SC_CLK_TCK")


def _processes() -> list[Path]:
    """The /proc folders of this process and its children."""
    return [Path("/proc") / str(pid) for pid in ("self", *(child.pid for child in multiprocessing.active_children()))]


def _write(folder: Path, scene: Scene, space: LabelSpace) -> None:
    """Write ``scene``, labeled in ``space``, as a processed scene."""
    arrays = {
        space.array: scene.segment.short().numpy(),
        "coord": np.ascontiguousarray(scene.coord.numpy()),
        "color": np.ascontiguousarray(scene.color.to(torch.uint8).numpy()),
        "normal": np.ascontiguousarray(scene.normal.numpy()),
        "instance": scene.instance.short().numpy(),
    }
    write_scene(folder, arrays)
