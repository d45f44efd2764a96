"""Run a training from its settings to its scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from ceco3d.data.labels import LabelSpace, stored_space
from ceco3d.data.scenes.frequency import class_frequency
from ceco3d.inference.evaluation import Evaluation, evaluate_scenes
from ceco3d.inference.predictor import Predictor
from ceco3d.models import Network
from ceco3d.models.minkunet import count_parameters
from ceco3d.preprocessing.datasets import processed_scenes
from ceco3d.runs.folder import CLASSES
from ceco3d.runs.open_run import open_run
from ceco3d.training import build
from ceco3d.training.loop import Trainer
from ceco3d.training.objective import Objective
from ceco3d.training.optimizer import make_optimizer
from ceco3d.training.random_state import seed_all
from ceco3d.training.results import Results
from ceco3d.training.resuming import find_checkpoint, resume
from ceco3d.training.run_trainer import run_trainer
from ceco3d.training.settings import TrainSettings
from ceco3d.utils.atomic import retry_on_disk_error, whole_file, write_json
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.distributed import is_main, of_main, process_group
from ceco3d.utils.errors import UserError


def train(settings: TrainSettings, pretrain: Callable[[], Path] | None = None) -> dict[str, Any]:
    """Train; returns the final validation scores, also in ``run_dir/metrics.json``.

    pretrain  called if the run is new (not resumed); returns the weights to start from
    UserError on bad settings, data or checkpoints.
    """
    if settings.init is not None and pretrain is not None:
        raise UserError(f"init={settings.init}: this experiment starts with its own pretraining; add pretrain=null")
    device = choose_device(settings.device)
    with process_group(device):
        run_dir = of_main(str(settings.run_dir))
        config = {**settings.config, "run_dir": run_dir}
        with open_run(Path(run_dir)) if is_main() else nullcontext():
            return _train(replace(settings, run_dir=Path(run_dir), config=config), pretrain, device)


def _train(settings: TrainSettings, pretrain: Callable[[], Path] | None, device: torch.device) -> dict[str, Any]:
    dtype = choose_precision(settings.precision, device)
    run_dir = settings.run_dir
    last = find_checkpoint(run_dir, settings.resume)
    if last is None and pretrain is not None:
        init = pretrain()
        settings = replace(settings, init=init, config={**settings.config, "init": str(init)})
    scenes = processed_scenes(settings.dataset, ("train", "val"), settings.workers)
    space, settings = settings.dataset.space(), build.with_features(settings, scenes["train"])
    seed_all(settings.seed)
    model = build.make_network(settings)
    objective = Objective(model, build.make_loss(settings, model.feature_channels, scenes["train"])).to(device)
    average = build.make_average(settings.trainer.ema, model)
    scored = model if average is None else cast(Network, average.module)
    predictor = Predictor(scored, settings.features, settings.voxel_size, device, dtype=dtype)
    trainer = Trainer(
        objective,
        make_optimizer(settings, objective),
        settings.scheduler,
        build.training_batches(settings, scenes["train"], device),
        lambda failed: evaluate_scenes(predictor, scenes["val"], space, failed),
        settings.trainer,
        build.network_setup(settings, len(space), space),
        run_dir / "checkpoints",
        device,
        dtype,
        average,
    )
    if resume(trainer, last, run_dir, settings.seed):
        scores: dict[str, Any] = json.loads((run_dir / "metrics.json").read_text())
        return scores
    size = f"{settings.model.name}, {count_parameters(model):,} parameters"
    title = f"{size}, loss {settings.loss.name}, on {device}; run {run_dir}"

    def finish(evaluation: Evaluation) -> Results:
        collapse = partial(write_collapse, run_dir / "collapse.npz", evaluation, predictor, scenes["train"], space)
        retry_on_disk_error(collapse)
        retry_on_disk_error(lambda: evaluation.write(run_dir, "val"))  # last: metrics.json marks the run as finished
        return Results(run_dir, evaluation, space, scenes["val"], device)

    if is_main():
        write_json(run_dir / CLASSES, stored_space(space))
    evaluation = run_trainer(trainer, settings, settings.logger, title, finish)
    assert evaluation is not None  # this trainer validates
    return evaluation.scores


def write_collapse(
    path: Path, evaluation: Evaluation, predictor: Predictor, folders: list[Path], space: LabelSpace
) -> None:
    """Write the data of the neural-collapse figures: class means, classifier, sampled features, class counts."""
    moments = evaluation.moments
    with whole_file(path) as file:
        np.savez(
            file,
            centers=moments.centers.numpy(),
            classifiers=predictor.classifier[0].detach().cpu().numpy(),
            counts=moments.counts.numpy(),
            train_counts=class_frequency(folders, space)[1].numpy(),
            features=moments.features.numpy(),
            feature_labels=moments.labels.numpy(),
        )
