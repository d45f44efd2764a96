"""Run a pretraining from its settings to its checkpoint."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from ceco3d.models.minkunet import count_parameters
from ceco3d.preprocessing.datasets import Rooms200, processed_scenes
from ceco3d.pretraining.method import Pretraining, PretrainSettings
from ceco3d.runs.metrics_csv import read_rows
from ceco3d.runs.open_run import open_run
from ceco3d.training import build
from ceco3d.training.loggers import CsvLogger
from ceco3d.training.loop import Trainer
from ceco3d.training.optimizer import make_optimizer
from ceco3d.training.random_state import seed_all
from ceco3d.training.reporting import describe_machinery
from ceco3d.training.resuming import find_checkpoint, resume
from ceco3d.training.run_trainer import run_trainer
from ceco3d.utils.atomic import retry_on_disk_error, write_json
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.distributed import is_main, main_first, of_main, process_group
from ceco3d.utils.errors import UserError


def pretrain(settings: PretrainSettings, wait: bool = False) -> Path:
    """Pretrain; returns the checkpoint, for ``train init=...``.

    wait  for another process that pretrains in ``run_dir``, instead of UserError
    With ``resume=auto``, a finished run is not repeated. UserError on bad settings, data or checkpoints.
    """
    if settings.trainer.ema is not None:
        raise UserError(
            f"trainer.ema={settings.trainer.ema}: pretraining keeps no average of the weights; set it to null"
        )
    device = choose_device(settings.device)
    with process_group(device):
        run_dir = of_main(str(settings.run_dir))
        settings = replace(settings, run_dir=Path(run_dir), config={**settings.config, "run_dir": run_dir})
        with ExitStack() as stack:
            with main_first():  # the other processes may wait for long
                if is_main():
                    stack.enter_context(open_run(Path(run_dir), wait))
            return _pretrain(settings, device)


def _pretrain(settings: PretrainSettings, device: torch.device) -> Path:
    if isinstance(settings.dataset, Rooms200) and settings.dataset.endless:
        raise UserError("dataset.endless: a pretraining looks at the same rooms in each epoch; leave it out")
    dtype = choose_precision(settings.precision, device)
    build.engine_layers(settings.engine)  # raises now rather than after the scenes are made
    run_dir = settings.run_dir
    last = find_checkpoint(run_dir, settings.resume)
    if list(settings.features) == [build.AUTO]:
        folders = processed_scenes(settings.dataset, ("train",), settings.workers)["train"]
        settings = build.with_features(settings, folders)
    seed_all(settings.seed)
    parts = settings.method.build(settings, device)
    objective = parts.objective
    trainer = Trainer(
        objective,
        make_optimizer(settings, objective),
        settings.scheduler,
        parts.prefetcher,
        parts.validate,
        settings.trainer,
        pretrained_setup(settings, parts),
        run_dir / "checkpoints",
        device,
        dtype,
    )
    result = trainer.folder / "last.pt"
    if resume(trainer, last, run_dir, settings.seed, scored=False):
        return result
    samples = parts.prefetcher.samples
    size = f"{settings.model.name}, {count_parameters(objective.model):,} parameters, {samples} samples"
    how = describe_machinery(settings, device, dtype, trainer.prefetcher.augments)
    title = f"pretraining {settings.method.name}: {size}, {how}; run {run_dir}"
    run_trainer(trainer, settings, {"csv": CsvLogger, **settings.logger}, title)  # the summary below reads the CSV file
    with main_first():  # the other processes continue once the checkpoint exists
        if is_main():  # metrics.json marks the run as finished
            retry_on_disk_error(lambda: write_json(run_dir / "metrics.json", loss_summary(run_dir / "metrics.csv")))
    return result


def pretrained_setup(settings: PretrainSettings, parts: Pretraining) -> dict[str, Any]:
    """``network_setup`` with the ``method``; ``label_space`` is None for a network that predicts no labels."""
    return build.network_setup(settings, parts.outputs, parts.space) | {"method": settings.method.name}


def loss_summary(path: Path) -> dict[str, float | int | None]:
    """The number of steps, and the mean loss over the first and last tenth of the logged steps (null if none).

    Also ``chance`` where it was logged: the loss of the same steps if all features were equal.
    """
    rows = [row for row in read_rows(path) if "loss" in row]
    summary: dict[str, float | int | None] = {"steps": int(rows[-1]["step"]) if rows else 0}
    for name in ("loss", "chance"):
        values = [row[name] for row in rows if name in row]
        tenth = max(1, len(values) // 10)
        if values or name == "loss":
            for part, kept in (("first", values[:tenth]), ("last", values[-tenth:])):
                summary[f"{name}_{part}"] = fmean(kept) if kept else None
    return summary
