"""``python -m ceco3d.benchmark``: timings side by side (conf/benchmark.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("benchmark")  # answers --help and wrong keys before the imports below, which take seconds

import logging
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from rich.table import Column, Table

from ceco3d.benchmarks.compare import HEADER, compare_engines, describe, table
from ceco3d.benchmarks.data import FILES, describe_loader, make_scene, time_loader, time_preprocess, time_transforms
from ceco3d.benchmarks.data import HEADER as DATA_HEADER
from ceco3d.benchmarks.data import table as data_table
from ceco3d.benchmarks.gpu_utilization import WARMUP, measure_utilization
from ceco3d.benchmarks.loss import HEADER as LOSS_HEADER
from ceco3d.benchmarks.loss import compare_loss, loss_row, loss_title
from ceco3d.benchmarks.profile import HEADER as PROFILE_HEADER
from ceco3d.benchmarks.profile import profile_rows, profile_step, profile_title
from ceco3d.benchmarks.roofline import HEADER as ROOFLINE_HEADER
from ceco3d.benchmarks.roofline import roofline_rows, roofline_title, time_roofline
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.workload import Workload, make_workload
from ceco3d.cli.app import command, compose
from ceco3d.cli.settings import to_settings
from ceco3d.data.collate import Collate
from ceco3d.metrics.tables import markdown_table
from ceco3d.preprocessing.datasets import DataSet, processed_scenes
from ceco3d.preprocessing.label_table import LABEL_TABLE, read_label_table
from ceco3d.training.run import train
from ceco3d.training.settings import TrainSettings, TransformSettings
from ceco3d.utils.atomic import check_writable, write_json, write_text
from ceco3d.utils.components import Component
from ceco3d.utils.device import choose_device
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_console import PlainConsole
from ceco3d.utils.settings import BUILT, CommonSettings, Count, FilePath, Positive, settings

Measured = tuple[Sequence[Mapping[str, Any]], Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]]

logger = logging.getLogger(__name__)


@settings
class DataSettings:
    """For ``what=data``."""

    points: Count
    voxel_size: Positive
    scenes: Count
    workers: Count


@settings
class UtilizationSettings:
    """For ``what=utilization``."""

    train: Sequence[str]
    skip: Annotated[int, Field(ge=WARMUP, strict=True)]
    steps: Count


@settings
class BenchmarkSettings(CommonSettings):
    """conf/benchmark.yaml."""

    dataset: Annotated[DataSet, BUILT]
    model: Component
    transforms: TransformSettings
    what: Literal["engines", "roofline", "profile", "loss", "data", "utilization", "tune"]
    systems: Annotated[Sequence[str], Field(min_length=1)]
    classes: Count
    features: Annotated[Sequence[str], Field(min_length=1)]
    voxels: Annotated[Sequence[Annotated[int, Field(ge=1000, strict=True)]], Field(min_length=1)]
    voxel_size: Positive
    scene: FilePath | None
    data: DataSettings
    utilization: UtilizationSettings
    measure: Annotated[Sequence[Literal["maps", "forward", "inference", "training", "memory"]], Field(min_length=1)]
    repeats: Count
    threads: Count | None
    out: FilePath


@command("benchmark", BenchmarkSettings)
def main(settings: BenchmarkSettings) -> None:
    """Measure, print tables, write ``engines.json`` and ``engines.md``, or what else ``what`` names."""
    check_writable(settings.out)
    if settings.what == "utilization":
        benchmark_utilization(settings)
    else:
        folders = [settings.scene] if settings.scene else validation_scenes(settings)
        (benchmark_data if settings.what == "data" else benchmark_networks)(settings, folders)
    logger.info(f"written to {settings.out}")


def validation_scenes(settings: BenchmarkSettings) -> list[Path]:
    """The processed scenes of the validation split, made first where they are missing."""
    return processed_scenes(settings.dataset, ("val",), settings.workers)["val"]


def benchmark_networks(settings: BenchmarkSettings, folders: Sequence[Path]) -> None:
    """Engines, their rooflines, or the center loss, on inputs made of ``folders``."""
    device, out, what = choose_device(settings.device), settings.out, settings.what
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    systems = available(settings.systems, device, baselines=what == "engines")
    model, space = dict(settings.model.arguments), settings.dataset.space()
    threads = torch.get_num_threads()
    results: list[Mapping[str, Any]] = []
    lines = [f"# {what.capitalize()}, {settings.model.name}, {threads} threads, {device}", ""]
    for voxels in settings.voxels:
        workload = make_workload(
            folders, space, voxels, settings.voxel_size, settings.features, model, settings.classes, device
        )
        found, tables = MEASURE[what](workload, systems, settings)
        results += found
        for title, header, rows in tables:
            show(title, header, rows)
            lines += [title, "", *markdown_table(header, rows), ""]
    write_json(out / f"{what}.json", {"model": settings.model.name, "threads": threads, "results": results})
    write_text(out / f"{what}.md", "\n".join(lines))


def measure_engines(workload: Workload, systems: Sequence[System], settings: BenchmarkSettings) -> Measured:
    """Times and memory of all systems, in one table."""
    result = compare_engines(workload, systems, settings.repeats, settings.measure)
    return [result], [(describe(result), HEADER, table(result))]


def measure_roofline(workload: Workload, systems: Sequence[System], settings: BenchmarkSettings) -> Measured:
    """Levels and directions, a table for each system."""
    result = time_roofline(workload, systems, settings.repeats)
    tables = [
        (roofline_title(result, system), ROOFLINE_HEADER, roofline_rows(lines))
        for system, lines in result["systems"].items()
    ]
    return [result], tables


def measure_profile(workload: Workload, systems: Sequence[System], settings: BenchmarkSettings) -> Measured:
    """Kernels, launches and the host's time in a training step, a table for each system."""
    results = [profile_step(workload, system) for system in systems]
    return results, [(profile_title(result), PROFILE_HEADER, profile_rows(result)) for result in results]


def measure_loss(workload: Workload, systems: Sequence[System], settings: BenchmarkSettings) -> Measured:
    """The center loss beside a training step of each system."""
    results = [compare_loss(workload, system, settings.repeats) for system in systems]
    return results, [(loss_title(workload), LOSS_HEADER, [loss_row(result) for result in results])]


def measure_tune(workload: Workload, systems: Sequence[System], settings: BenchmarkSettings) -> Measured:
    """Better sizes of blocks for the Triton kernels, kept for later trainings, a table for each precision."""
    from ceco3d.benchmarks import tune  # needs triton
    from ceco3d.sparse.cpp import cache_folder, find_weakness
    from ceco3d.sparse.cpp.stored import read_stored
    from ceco3d.sparse.kernels.triton_tuned import store_tuned

    if reason := find_weakness(cache_folder()):
        raise UserError(f"what=tune: sizes are kept in XDG_CACHE_HOME, but {reason}")
    results, tables = [], []
    for system in systems:
        if system.engine != "triton":
            raise UserError(f"what=tune: only triton has sizes to tune, not {system}; systems=[triton-bf16]")
        found = tune.tune_kernels(workload, system, settings.repeats)
        sizes = {kernel: {key: result["sizes"] for key, result in shapes.items()} for kernel, shapes in found.items()}
        path = store_tuned(workload.device, sizes)
        write_json(settings.out / path.name, read_stored(path))
        logger.info(f"kept in {path}")
        results.append({"system": str(system), "voxels": len(workload), "kernels": found})
        tables.append((f"{system}, {len(workload):,} voxels", tune.HEADER, tune.tune_rows(found)))
    return results, tables


MEASURE = {
    "engines": measure_engines,
    "roofline": measure_roofline,
    "profile": measure_profile,
    "loss": measure_loss,
    "tune": measure_tune,
}


def benchmark_utilization(settings: BenchmarkSettings) -> None:
    """GPU utilization in a training run of its own."""
    if choose_device(settings.device).type != "cuda":
        raise UserError("what=utilization: watches a GPU, and there is none here")
    wanted, out = settings.utilization, settings.out
    with tempfile.TemporaryDirectory() as folder:
        training = compose("train", ["device=cuda", *wanted.train, f"run_dir={folder}"])
        result = measure_utilization(partial(train, to_settings(TrainSettings, training)), wanted.skip, wanted.steps)
    share = f"GPU utilization {100 * result['utilization']:.1f} % of {result['seconds']:.2f} s"
    line = f"{share}, {result['steps']} training steps"
    print(line)
    write_json(out / "utilization.json", {"train": list(wanted.train), **result})
    write_text(out / "utilization.md", f"{line}: {' '.join(wanted.train)}\n")


def benchmark_data(settings: BenchmarkSettings, folders: Sequence[Path]) -> None:
    """The data path on one thread, and the loader, on scenes made of ``folders``; the first one's raw scene too."""
    torch.set_num_threads(1)
    space, data, out = settings.dataset.space(), settings.data, settings.out
    steps = [step() for step in settings.transforms.train]
    rotated = [[*folders[i:], *folders[:i]] for i in range(min(len(folders), FILES))]
    scenes = [make_scene(order, space, data.points) for order in rotated]
    results: dict[str, Any] = {}
    lines = [f"# Data path, {data.points:,} points, voxels of {data.voxel_size} m, one thread", ""]
    raw = settings.dataset.raw
    if raw and (raw / "scans" / folders[0].name).is_dir():
        labels = read_label_table(raw / LABEL_TABLE)
        results["preprocess"] = time_preprocess(raw / "scans" / folders[0].name, labels, settings.repeats)
    results["transforms"] = time_transforms(
        scenes[0], steps, data.voxel_size, list(settings.features), settings.repeats
    )
    for name, times in results.items():
        title, rows = f"{name.capitalize()}, {folders[0].name}", data_table(times)
        show(title, DATA_HEADER, rows)
        lines += [title, "", *markdown_table(DATA_HEADER, rows), ""]
    collate = Collate(data.voxel_size, list(settings.features), seed=0)
    results["loader"] = time_loader(scenes, space, steps, collate, data.scenes, data.workers)
    print(describe_loader(results["loader"]))
    write_json(out / "data.json", {"points": data.points, "voxel_size": data.voxel_size, "results": results})
    write_text(out / "data.md", "\n".join([*lines, describe_loader(results["loader"]), ""]))


def available(names: Sequence[str], device: torch.device, baselines: bool) -> list[System]:
    """The systems by name; one that cannot be measured on ``device`` is left out, with a line that says why."""
    systems = []
    for system in map(System.named, names):
        reason = "not an engine of ceco3d" if system.is_baseline and not baselines else system.unusable(device)
        if reason is None:
            systems.append(system)
        else:
            logger.info(f"skipping {system}: {reason}")
    if not systems:
        raise UserError("systems: none of them works here")
    return systems


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the table of one input size."""
    grid = Table(*(Column(name, no_wrap=True) for name in header), title=title, title_justify="left")
    for row in rows:
        grid.add_row(*(cell.replace("; ", "\n").replace(" ±", "\n±") for cell in row))
    PlainConsole().print(grid)


if __name__ == "__main__":
    main()
