"""A training run from its configuration to its scores."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ceco3d.cli.app import number
from ceco3d.data.batch import feature_channels
from ceco3d.data.scenes.frequency import class_frequency
from ceco3d.data.scenes.labels import label_space
from ceco3d.inference.evaluation import Evaluation, evaluate_scenes
from ceco3d.inference.predictor import Predictor
from ceco3d.models.minkunet import count_parameters
from ceco3d.preprocessing.sources import processed_scenes
from ceco3d.pretraining.run import pretrain, pretraining_config
from ceco3d.training import build
from ceco3d.training.checkpoint import trained_setup
from ceco3d.training.lifecycle import check_steps, find_checkpoint, resume, run_trainer
from ceco3d.training.loop import Trainer
from ceco3d.training.objective import Objective
from ceco3d.training.random_state import seed_all
from ceco3d.utils.atomic import patiently
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.distributed import is_main, of_main, process_group
from ceco3d.utils.errors import UserError


def train(cfg: DictConfig) -> dict[str, Any]:
    """Train as ``cfg`` (conf/train.yaml) says; returns the final validation scores, also in ``run_dir/metrics.json``.

    UserError on bad configuration, data or checkpoints.
    """
    check_steps(cfg)
    number(cfg, "trainer.validate_every", whole=True)
    if cfg.init is not None and cfg.pretrain is not None:
        raise UserError(f"init={cfg.init}: this experiment begins with its own pretraining; add pretrain=null")
    device = choose_device(cfg.device)
    with process_group(device):
        return _train(OmegaConf.merge(cfg, {"run_dir": of_main(cfg.run_dir)}), device)


def _train(cfg: DictConfig, device: torch.device) -> dict[str, Any]:
    dtype = choose_precision(cfg.precision, device)
    run_dir = Path(cfg.run_dir)
    last = find_checkpoint(cfg, run_dir)
    if last is None and cfg.pretrain is not None:
        cfg = OmegaConf.merge(cfg, {"init": str(pretrain(pretraining_config(cfg)))})
    seed_all(cfg.seed)
    model = build.make_model(cfg)
    space = label_space(cfg.dataset.label_space)
    scenes = processed_scenes(cfg.dataset, ("train", "val"), cfg.workers)
    objective = Objective(model, build.make_loss(cfg, model.feature_channels, scenes["train"])).to(device)
    average = build.make_average(cfg, model)
    scored = model if average is None else average.module
    predictor = Predictor(scored, cfg.features, cfg.voxel_size, device, dtype=dtype)
    trainer = Trainer(
        objective,
        build.make_optimizer(cfg, objective),
        instantiate(cfg.scheduler),
        build.make_training_feed(cfg, scenes["train"], device),
        lambda failed: evaluate_scenes(predictor, scenes["val"], space, failed),
        cfg.trainer,
        trained_setup(cfg, feature_channels(cfg.features), len(space)),
        run_dir / "checkpoints",
        device,
        dtype,
        average,
    )
    if resume(trainer, last, run_dir, cfg.seed):
        return json.loads((run_dir / "metrics.json").read_text())
    size = f"{cfg.model.name}, {count_parameters(model):,} parameters"
    title = f"{size}, loss {cfg.loss.name}, on {device}; run {run_dir}"
    evaluation = run_trainer(trainer, cfg, cfg.logger, run_dir, title)
    if is_main():
        collapse = partial(write_collapse, run_dir / "collapse.npz", evaluation, predictor, scenes["train"], space.name)
        patiently(collapse)
        patiently(lambda: evaluation.write(run_dir))  # last: metrics.json says that the run is finished
    return evaluation.scores


def write_collapse(path: Path, evaluation: Evaluation, predictor: Predictor, folders: list[Path], space: str) -> None:
    """What the pictures of the study are drawn from: class means, classifier, a sample of features, class counts."""
    moments = evaluation.moments
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(
            file,
            centers=moments.centers.numpy(),
            classifiers=predictor.classifier[0].detach().cpu().numpy(),
            counts=moments.counts.numpy(),
            train_counts=class_frequency(folders, space)[1].numpy(),
            features=moments.features.numpy(),
            feature_labels=moments.labels.numpy(),
        )
    os.replace(part, path)
