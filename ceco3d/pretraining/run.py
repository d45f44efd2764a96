"""A pretraining run from its configuration to its checkpoint."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ceco3d.cli.app import compose_config
from ceco3d.data.batch import feature_channels
from ceco3d.models.minkunet import count_parameters
from ceco3d.pretraining import csc, lground
from ceco3d.pretraining.method import Pretraining
from ceco3d.training import build
from ceco3d.training.checkpoint import trained_setup
from ceco3d.training.lifecycle import check_steps, find_checkpoint, resume, run_trainer
from ceco3d.training.loop import Trainer
from ceco3d.training.random_state import seed_all
from ceco3d.utils.atomic import retry_on_disk_error, write_json
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.distributed import is_main, main_first, of_main, process_group
from ceco3d.utils.errors import UserError

# (configuration, device) -> Pretraining; one entry a conf/method file.
METHODS = {"csc": csc.build, "lground": lground.build}
# What the pretraining that comes before a training has in common with it.
SHARED = ("dataset", "model", "features", "engine", "device", "precision", "seed", "workers")


def pretraining_config(cfg: DictConfig) -> DictConfig:
    """The configuration of the pretraining that ``cfg.pretrain`` of a training (conf/experiment/csc.yaml) asks for.

    Data, augmentation and network are those of the training, the schedule is the method's own on that data set.
    """
    wanted = cfg.pretrain
    composed = compose_config("pretrain", [f"method={wanted.method}", f"dataset={cfg.dataset.name}"])
    changes = {"run_dir": wanted.run_dir, "resume": "auto"} | {key: cfg[key] for key in SHARED}
    changes["transforms"] = OmegaConf.merge(cfg.transforms, {"paste": None})  # that is for the training's rare classes
    if wanted.voxel_size is not None:
        changes["voxel_size"] = wanted.voxel_size
    if wanted.epochs is not None:
        changes["trainer"] = {"epochs": wanted.epochs}
    return OmegaConf.merge(composed, changes)


def pretrain(cfg: DictConfig) -> Path:
    """Pretrain as ``cfg`` (conf/pretrain.yaml) says; returns the checkpoint, for ``train init=...``.

    A run that is finished already is left alone with ``resume=auto``. UserError on bad configuration, data or
    checkpoints.
    """
    check_steps(cfg)
    if cfg.trainer.get("ema") is not None:
        raise UserError(f"trainer.ema={cfg.trainer.ema}: pretraining keeps no running mean; set it in training")
    device = choose_device(cfg.device)
    with process_group(device):
        return _pretrain(OmegaConf.merge(cfg, {"run_dir": of_main(cfg.run_dir)}), device)


def _pretrain(cfg: DictConfig, device: torch.device) -> Path:
    dtype = choose_precision(cfg.precision, device)
    run_dir = Path(cfg.run_dir)
    last = find_checkpoint(cfg, run_dir)
    seed_all(cfg.seed)
    parts = build_method(cfg, device)
    objective, feed = parts.objective, parts.feed
    trainer = Trainer(
        objective,
        build.make_optimizer(cfg, objective),
        instantiate(cfg.scheduler),
        feed,
        parts.validate,
        cfg.trainer,
        pretrained_setup(cfg, parts),
        run_dir / "checkpoints",
        device,
        dtype,
    )
    result = trainer.folder / "last.pt"
    if resume(trainer, last, run_dir, cfg.seed):
        return result
    size = f"{cfg.model.name}, {count_parameters(objective.model):,} parameters, {len(feed.loader.dataset)} samples"
    title = f"pretraining {cfg.method.name}: {size}, on {device}; run {run_dir}"
    run_trainer(trainer, cfg, {"csv": {}, **cfg.logger}, run_dir, title)  # the summary below reads the CSV file
    with main_first():  # the others go on when the checkpoint is there
        if is_main():  # metrics.json says that the run is finished
            retry_on_disk_error(lambda: write_json(run_dir / "metrics.json", loss_summary(run_dir / "metrics.csv")))
    return result


def build_method(cfg: DictConfig, device: torch.device) -> Pretraining:
    """The parts of ``cfg.method``; UserError for an unknown one."""
    if cfg.method.name not in METHODS:
        raise UserError(f"method.name={cfg.method.name}: choose one of {', '.join(METHODS)}")
    return METHODS[cfg.method.name](cfg, device)


def pretrained_setup(cfg: DictConfig, parts: Pretraining) -> dict[str, Any]:
    """``trained_setup`` with the ``method``; ``label_space`` is None for a network that predicts no labels."""
    setup = trained_setup(cfg, feature_channels(cfg.features), parts.objective.model.final.bias.shape[1])
    return setup | {"label_space": parts.space.name if parts.space else None, "method": cfg.method.name}


def loss_summary(path: Path) -> dict[str, float | int | None]:
    """Steps, and the mean loss over the first and the last tenth of the logged ones (null without any).

    Where the log has it, also ``chance``: what the loss of the same steps would be if all features were equal.
    """
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["loss"]]
    summary: dict[str, float | int | None] = {"steps": int(rows[-1]["step"]) if rows else 0}
    for name in ("loss", "chance"):
        values = [float(row[name]) for row in rows if row[name]]
        tenth = max(1, len(values) // 10)
        if values or name == "loss":
            for part, kept in (("first", values[:tenth]), ("last", values[-tenth:])):
                summary[f"{name}_{part}"] = fmean(kept) if kept else None
    return summary
