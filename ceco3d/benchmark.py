"""``python -m ceco3d.benchmark``: timings side by side (conf/benchmark.yaml)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Column, Table

from ceco3d.benchmarks.compare import HEADER, compare, describe, table
from ceco3d.benchmarks.engines import System
from ceco3d.benchmarks.inputs import make_work
from ceco3d.benchmarks.loss import HEADER as LOSS_HEADER
from ceco3d.benchmarks.loss import compare_loss, loss_row, loss_title
from ceco3d.config import PRECISIONS, choose_device, command, number
from ceco3d.errors import UserError
from ceco3d.models.minkunet import engine_layers
from ceco3d.output import check_writable, write_json, write_text
from ceco3d.report.tables import markdown_table
from ceco3d.scenes.sources import processed_scenes

MEASURES = ("maps", "forward", "training", "memory")


@command("benchmark")
def main(cfg: DictConfig) -> None:
    """Measure, print tables, write ``engines.json`` and ``engines.md``, or what else ``what`` names."""
    check(cfg)
    out, device = Path(cfg.out), choose_device(cfg.device)
    check_writable(out)
    if cfg.threads is not None:
        torch.set_num_threads(number(cfg, "threads", whole=True))
    systems = available(cfg.systems)
    folders = [Path(cfg.scene)] if cfg.scene else processed_scenes(cfg.dataset, ("val",), cfg.workers)["val"]
    model = OmegaConf.to_container(cfg.model)
    threads = torch.get_num_threads()
    results, lines = [], [f"# {cfg.what.capitalize()}, {cfg.model.name}, {threads} threads, {device}", ""]
    for voxels in cfg.voxels:
        work = make_work(
            folders, cfg.dataset.label_space, voxels, cfg.voxel_size, cfg.features, model, cfg.classes, device
        )
        if cfg.what == "loss":
            found = [compare_loss(work, system, cfg.repeats) for system in systems]
            title, header, rows = loss_title(work), LOSS_HEADER, [loss_row(result) for result in found]
            results += found
        else:
            results.append(compare(work, systems, cfg.repeats, cfg.measure))
            title, header, rows = describe(results[-1]), HEADER, table(results[-1])
        show(title, header, rows)
        lines += [title, "", *markdown_table(header, rows), ""]
    write_json(out / f"{cfg.what}.json", {"model": cfg.model.name, "threads": threads, "results": results})
    write_text(out / f"{cfg.what}.md", "\n".join(lines))
    print(f"written to {out}")


def check(cfg: DictConfig) -> None:
    """Refuse values that would only fail later."""
    if cfg.what not in ("engines", "loss"):
        raise UserError(f"what={cfg.what}: choose engines or loss")
    for key in ("voxel_size", "repeats", "classes"):
        number(cfg, key, whole=key != "voxel_size")
    if not cfg.measure or set(cfg.measure) - set(MEASURES):
        raise UserError(f"measure={list(cfg.measure)}: choose among {', '.join(MEASURES)}")
    if not cfg.voxels or not all(isinstance(count, int) and count >= 1000 for count in cfg.voxels):
        raise UserError(f"voxels={list(cfg.voxels)}: a list of whole numbers from 1000 up")


def available(names: list[str]) -> list[System]:
    """The systems by name; one whose engine is not installed is left out, with a line that says so."""
    systems = []
    for name in names:
        engine, _, precision = str(name).partition("-")
        if engine not in ("native", "minkowski") or precision not in PRECISIONS:
            raise UserError(f"systems: {name} is none; ENGINE-PRECISION with native or minkowski, fp32, bf16 or fp16")
        try:
            engine_layers(engine)
        except ValueError as error:
            print(f"leaving out {name}: {error}")
        else:
            systems.append(System(engine, precision))
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
