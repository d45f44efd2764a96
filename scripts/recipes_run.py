#!/usr/bin/env python
"""scripts/recipes_run.py [RECIPE ...] [--root=DIR]: train each recipe for 21 steps, at once and resumed; must be equal.

Each recipe keeps its network, loss, augmentation, optimizer and schedule; the first lines of the output name what is
changed (OPTIONS, PRETRAIN). The data are rooms200 `tiny`, generated into DIR. Every recipe trains twice, in
processes of its own: once without interruption, and once stopped by SIGTERM in the middle of each stage (pretraining,
training) and resumed by another process. The last checkpoint of each stage, and its log but for timings, must be the
same bits. Prints a row of a Markdown table for each stage. Exit code 1 if a recipe differs or fails.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from ceco3d.preprocessing.datasets import make_processed
from ceco3d.train import pretraining
from ceco3d.training.run import train
from ceco3d.training.settings import TrainSettings
from tests.helpers.commands import settings_of
from tests.helpers.recipes import RECIPES
from tests.helpers.training import TIMINGS, equal

OPTIONS = [
    "voxel_size=0.2", "trainer.batch_size=2", "trainer.epochs=3", "trainer.repeat=1", "trainer.validate_every=3",
    "trainer.log_every=1", "trainer.workers=0", "resume=auto",
]  # fmt: skip
PRETRAIN = ["pretrain.voxel_size=0.2", "pretrain.epochs=3"]
PRETRAINED = ("csc", "lground")
STOP = 10  # step in the log at which a run is told to stop
STOPPED = 128 + signal.SIGTERM
PROCESSES = multiprocessing.get_context("fork")  # this process trains nothing, and imports take longer than steps


@dataclass(frozen=True)
class Outcome:
    """What a stage leaves: ``log``, its rows without timings, and the values in its last checkpoint."""

    log: list[dict[str, str]]
    checkpoint: dict[str, Any]

    @property
    def losses(self) -> list[float]:
        """Of the steps logged: each of the training, every tenth of the pretraining."""
        return [float(row["loss"]) for row in self.log if row["phase"] == "train"]


def rows(folder: Path) -> list[dict[str, str]]:
    """The rows of ``folder``/metrics.csv without timings; [] if there is none yet."""
    path = folder / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMINGS} for row in csv.DictReader(file)]


def steps_taken(folder: Path) -> int:
    """The last step in the log of the stage in ``folder``, of which a row may be half written; 0 without one."""
    found = [row["step"] for row in rows(folder) if row.get("loss")]
    return int(found[-1]) if found else 0


def outcome(folder: Path) -> Outcome:
    """Of the stage in ``folder``."""
    return Outcome(rows(folder), torch.load(folder / "checkpoints/last.pt", weights_only=True))


def count_tensors(value: Any) -> int:
    """How many tensors a checkpoint holds."""
    if isinstance(value, Tensor):
        return 1
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return sum(map(count_tensors, parts))


def run(recipe: str, data: list[str], folder: Path, stop: Path | None = None) -> None:
    """Start or resume ``recipe`` in ``folder``; stop once the stage in the folder ``stop`` has taken STOP steps.

    RuntimeError if it ends in another way.
    """
    pretrain = PRETRAIN if recipe in PRETRAINED else []
    settings = settings_of("train", f"recipe={recipe}", *data, *OPTIONS, *pretrain, f"run_dir={folder}")
    process = PROCESSES.Process(target=child, args=(settings, folder.with_suffix(".txt")))
    process.start()
    while stop is not None and process.is_alive():
        if steps_taken(stop) >= STOP:
            process.terminate()
            break
        time.sleep(0.05)
    process.join()
    if process.exitcode != (STOPPED if stop else 0):
        raise RuntimeError(f"{recipe}: exit code {process.exitcode}, see {folder}.txt")


def child(settings: TrainSettings, output: Path) -> None:
    """What `python -m ceco3d.train` does, without its report; what it prints is appended to ``output``."""
    with output.open("a") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    train(settings, pretraining(settings))


def check(recipe: str, data: list[str], root: Path) -> bool:
    """Run ``recipe`` in both ways and print a row for each stage; True if nothing differs."""
    began = time.monotonic()
    whole, parts = root / recipe / "whole", root / recipe / "parts"
    shutil.rmtree(root / recipe, ignore_errors=True)
    whole.parent.mkdir(parents=True)
    stages = ["pretrain", ""] if recipe in PRETRAINED else [""]
    run(recipe, data, whole)
    stops = []
    for stage in stages:
        run(recipe, data, parts, stop=parts / stage)
        stops.append(outcome(parts / stage).checkpoint["position"]["step"])
    run(recipe, data, parts)
    same = True
    for stage, stopped in zip(stages, stops, strict=True):
        a, b = outcome(whole / stage), outcome(parts / stage)
        is_same = equal(a.checkpoint, b.checkpoint) and a.log == b.log
        same &= is_same
        tensors, steps = count_tensors(a.checkpoint), a.checkpoint["position"]["step"]
        name = f"`{recipe}`" + (", pretraining" if stage else "")
        losses = f"{a.losses[0]:.3f} | {a.losses[-1]:.3f}"
        verdict = f"{tensors} tensors equal" if is_same else "DIFFERENT"
        seconds = f"{time.monotonic() - began:.0f}" if not stage else ""  # of both stages
        print(f"| {name} | {steps} | {stopped} | {losses} | {verdict} | {seconds} |", flush=True)
    return same


def main() -> None:
    """Run the recipes one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES, choices=RECIPES, metavar="RECIPE")
    parser.add_argument("--root", type=Path, default=Path("outputs/recipes-run"))
    chosen = parser.parse_args()
    root = chosen.root.absolute()
    data = ["dataset.size=tiny", f"dataset.raw={root}/raw", f"dataset.root={root}/processed"]
    torch.set_num_threads(1)
    make_processed(settings_of("preprocess", *data).dataset, ("train", "val"), workers=2)
    print("changed:", *OPTIONS, flush=True)
    print("pretraining:", *PRETRAIN, end="\n\n", flush=True)
    print("| recipe | steps | stopped after | first loss logged | last | resumed | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | --- | ---: |", flush=True)
    failed = []
    for recipe in chosen.recipes:
        try:
            if not check(recipe, data, root):
                failed.append(recipe)
        except RuntimeError as error:
            failed.append(recipe)
            print(error, flush=True)
    sys.exit(f"different or failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
