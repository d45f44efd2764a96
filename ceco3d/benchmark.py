"""``python -m ceco3d.benchmark``: timings side by side (conf/benchmark.yaml)."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Column, Table

from ceco3d.benchmarks.compare import HEADER, compare, describe, table
from ceco3d.benchmarks.data import FILES, describe_loader, make_scene, time_loader, time_preprocess, time_transforms
from ceco3d.benchmarks.data import HEADER as DATA_HEADER
from ceco3d.benchmarks.data import table as data_table
from ceco3d.benchmarks.gpu_utilization import WARMUP, time_busy
from ceco3d.benchmarks.loss import HEADER as LOSS_HEADER
from ceco3d.benchmarks.loss import compare_loss, loss_row, loss_title
from ceco3d.benchmarks.roofline import HEADER as ROOFLINE_HEADER
from ceco3d.benchmarks.roofline import roofline, roofline_rows, roofline_title
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.workload import Work, make_work
from ceco3d.cli.app import check_lists, command, compose_config, number
from ceco3d.data.collate import Collate
from ceco3d.metrics.tables import markdown_table
from ceco3d.preprocessing.scannet import LABEL_TABLE, read_label_table
from ceco3d.preprocessing.sources import processed_scenes
from ceco3d.training.run import train
from ceco3d.utils.atomic import check_writable, write_json, write_text
from ceco3d.utils.device import choose_device
from ceco3d.utils.errors import UserError

Measured = tuple[list[dict[str, Any]], list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]]  # results, tables

MEASURES = ("maps", "forward", "training", "memory")
WHAT = ("engines", "roofline", "loss", "data", "busy", "tune")


@command("benchmark")
def main(cfg: DictConfig) -> None:
    """Measure, print tables, write ``engines.json`` and ``engines.md``, or what else ``what`` names."""
    check(cfg)
    check_writable(Path(cfg.out))
    if cfg.what == "busy":
        benchmark_busy(cfg, Path(cfg.out))
    else:
        folders = [Path(cfg.scene)] if cfg.scene else processed_scenes(cfg.dataset, ("val",), cfg.workers)["val"]
        (benchmark_data if cfg.what == "data" else benchmark_networks)(cfg, folders, Path(cfg.out))
    print(f"written to {cfg.out}")


def benchmark_networks(cfg: DictConfig, folders: Sequence[Path], out: Path) -> None:
    """Engines, their rooflines, or the centre loss, on inputs made of ``folders``."""
    device = choose_device(cfg.device)
    if cfg.threads is not None:
        torch.set_num_threads(number(cfg, "threads", whole=True))
    systems = available(cfg.systems, device, peers=cfg.what == "engines")
    model = OmegaConf.to_container(cfg.model)
    threads = torch.get_num_threads()
    results, lines = [], [f"# {cfg.what.capitalize()}, {cfg.model.name}, {threads} threads, {device}", ""]
    for voxels in cfg.voxels:
        work = make_work(
            folders, cfg.dataset.label_space, voxels, cfg.voxel_size, cfg.features, model, cfg.classes, device
        )
        found, tables = MEASURE[cfg.what](work, systems, cfg)
        results += found
        for title, header, rows in tables:
            show(title, header, rows)
            lines += [title, "", *markdown_table(header, rows), ""]
    write_json(out / f"{cfg.what}.json", {"model": cfg.model.name, "threads": threads, "results": results})
    write_text(out / f"{cfg.what}.md", "\n".join(lines))


def measure_engines(work: Work, systems: Sequence[System], cfg: DictConfig) -> Measured:
    """Times and memory of all systems, in one table."""
    result = compare(work, systems, cfg.repeats, cfg.measure)
    return [result], [(describe(result), HEADER, table(result))]


def measure_roofline(work: Work, systems: Sequence[System], cfg: DictConfig) -> Measured:
    """Levels and directions, a table for each system."""
    result = roofline(work, systems, cfg.repeats)
    tables = [
        (roofline_title(result, system), ROOFLINE_HEADER, roofline_rows(lines))
        for system, lines in result["systems"].items()
    ]
    return [result], tables


def measure_loss(work: Work, systems: Sequence[System], cfg: DictConfig) -> Measured:
    """The centre loss beside a training step of each system."""
    results = [compare_loss(work, system, cfg.repeats) for system in systems]
    return results, [(loss_title(work), LOSS_HEADER, [loss_row(result) for result in results])]


def measure_tune(work: Work, systems: Sequence[System], cfg: DictConfig) -> Measured:
    """Better sizes of blocks for the Triton kernels, kept for later trainings, a table for each precision."""
    from ceco3d.benchmarks import tune  # needs triton
    from ceco3d.sparse.kernels.triton_tuned import store_tuned

    results, tables = [], []
    for system in systems:
        if system.engine != "triton":
            raise UserError(f"what=tune: only triton has sizes to tune, not {system}; systems=[triton-bf16]")
        found = tune.tune(work, system, cfg.repeats)
        sizes = {kernel: {key: result["sizes"] for key, result in shapes.items()} for kernel, shapes in found.items()}
        print(f"kept in {store_tuned(work.device, sizes)}")
        results.append({"system": str(system), "voxels": len(work), "kernels": found})
        tables.append((f"{system}, {len(work):,} voxels", tune.HEADER, tune.tune_rows(found)))
    return results, tables


MEASURE = {
    "engines": measure_engines,
    "roofline": measure_roofline,
    "loss": measure_loss,
    "tune": measure_tune,
}


def benchmark_busy(cfg: DictConfig, out: Path) -> None:
    """The share of the time in which the GPU computes, in a training run of its own."""
    device = choose_device(cfg.device)
    if device.type != "cuda":
        raise UserError("what=busy: watches a GPU, and there is none here")
    with tempfile.TemporaryDirectory() as folder:
        training = compose_config("train", ["device=cuda", *cfg.busy.train, f"run_dir={folder}"])
        result = time_busy(partial(train, training), cfg.busy.skip, cfg.busy.steps)
    line = f"GPU busy {100 * result['busy']:.1f} % of {result['seconds']:.2f} s, {result['steps']} updates of training"
    print(line)
    write_json(out / "busy.json", {"train": list(cfg.busy.train), **result})
    write_text(out / "busy.md", f"{line}: {' '.join(cfg.busy.train)}\n")


def benchmark_data(cfg: DictConfig, folders: Sequence[Path], out: Path) -> None:
    """The data path on one thread, and the loader, on scenes made of ``folders``; the first one's raw scene too."""
    torch.set_num_threads(1)
    space, data, steps = cfg.dataset.label_space, cfg.data, [instantiate(step) for step in cfg.transforms.train]
    rotated = [[*folders[i:], *folders[:i]] for i in range(min(len(folders), FILES))]
    scenes = [make_scene(order, space, data.points) for order in rotated]
    results, lines = {}, [f"# Data path, {data.points:,} points, voxels of {data.voxel_size} m, one thread", ""]
    raw = cfg.dataset.raw and Path(cfg.dataset.raw)
    if raw and (raw / "scans" / folders[0].name).is_dir():
        labels = read_label_table(raw / LABEL_TABLE)
        results["preprocess"] = time_preprocess(raw / "scans" / folders[0].name, labels, cfg.repeats)
    results["transforms"] = time_transforms(scenes[0], steps, data.voxel_size, list(cfg.features), cfg.repeats)
    for name, times in results.items():
        title, rows = f"{name.capitalize()}, {folders[0].name}", data_table(times)
        show(title, DATA_HEADER, rows)
        lines += [title, "", *markdown_table(DATA_HEADER, rows), ""]
    collate = Collate(data.voxel_size, list(cfg.features), seed=0)
    results["loader"] = time_loader(scenes, space, steps, collate, data.scenes, data.workers)
    print(describe_loader(results["loader"]))
    write_json(out / "data.json", {"points": data.points, "voxel_size": data.voxel_size, "results": results})
    write_text(out / "data.md", "\n".join([*lines, describe_loader(results["loader"]), ""]))


def check(cfg: DictConfig) -> None:
    """Refuse values that would only fail later."""
    if cfg.what not in WHAT:
        raise UserError(f"what={cfg.what}: choose one of {', '.join(WHAT)}")
    whole = ("repeats", "classes", "data.points", "data.scenes", "data.workers", "busy.steps")
    for key in (*whole, "voxel_size", "data.voxel_size"):
        number(cfg, key, whole=key in whole)
    number(cfg, "busy.skip", above=WARMUP - 1, whole=True)
    check_lists(cfg, ("systems", "voxels", "measure"))
    if not cfg.measure or set(cfg.measure) - set(MEASURES):
        raise UserError(f"measure={list(cfg.measure)}: choose among {', '.join(MEASURES)}")
    if not cfg.voxels or not all(isinstance(count, int) and count >= 1000 for count in cfg.voxels):
        raise UserError(f"voxels={list(cfg.voxels)}: a list of whole numbers from 1000 up")


def available(names: Sequence[str], device: torch.device, peers: bool) -> list[System]:
    """The systems by name; one that cannot be measured on ``device`` is left out, with a line that says why."""
    systems = []
    for system in map(System.named, names):
        reason = "not an engine of ceco3d" if system.peer and not peers else system.unusable(device)
        if reason is None:
            systems.append(system)
        else:
            print(f"leaving out {system}: {reason}")
    if not systems:
        raise UserError("systems: none of them works here")
    return systems


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the table of one input size."""
    grid = Table(*(Column(name, no_wrap=True) for name in header), title=title, title_justify="left")
    for row in rows:
        grid.add_row(*(cell.replace("; ", "\n").replace(" ±", "\n±") for cell in row))
    Console().print(grid)


if __name__ == "__main__":
    main()
