"""Run a training from its settings to its scores."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from ceco3d.inference.predictor import Predictor
from ceco3d.models import Network
from ceco3d.models.minkunet import count_parameters
from ceco3d.preprocessing.joint import Joint
from ceco3d.runs.folder import read_all_scores
from ceco3d.runs.open_run import open_run
from ceco3d.training import build
from ceco3d.training.joint import JointSegmentation
from ceco3d.training.loop import Trainer
from ceco3d.training.objective import Objective
from ceco3d.training.optimizer import make_optimizer
from ceco3d.training.random_state import seed_all
from ceco3d.training.reporting import describe_machinery
from ceco3d.training.resuming import find_checkpoint, resume
from ceco3d.training.run_trainer import run_trainer
from ceco3d.training.settings import TrainSettings
from ceco3d.training.task import Segmentation, Task
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
    build.engine_layers(settings.engine)  # raises now rather than after the scenes are made
    run_dir = settings.run_dir
    last = find_checkpoint(run_dir, settings.resume)
    if last is None and pretrain is not None:
        init = pretrain()
        settings = replace(settings, init=init, config={**settings.config, "init": str(init)})
    task = read_task(settings)
    settings = task.settings
    seed_all(settings.seed)
    model = task.network()
    objective = Objective(model, task.loss(model.feature_channels)).to(device)
    average = build.make_average(settings.trainer.ema, model)
    scored = model if average is None else cast(Network, average.module)
    predictor = Predictor(scored, settings.features, settings.voxel_size, device, dtype=dtype)
    trainer = Trainer(
        objective,
        make_optimizer(settings, objective),
        settings.scheduler,
        task.batches(device),
        lambda failed: task.evaluate(predictor, failed),
        settings.trainer,
        task.setup(),
        run_dir / "checkpoints",
        device,
        dtype,
        average,
    )
    if resume(trainer, last, run_dir, settings.seed):
        return read_all_scores(run_dir)
    count, trained = sum(parameter.numel() for parameter in model.parameters()), count_parameters(model)
    size = f"{settings.model.name}, {count:,} parameters" + (f" ({trained:,} trained)" if trained < count else "")
    how = describe_machinery(settings, device, dtype, trainer.prefetcher.augments)
    title = f"{size}, loss {settings.loss.name}, {how}; run {run_dir}"

    if is_main():
        task.write_classes(run_dir)
    evaluation = run_trainer(
        trainer, settings, settings.logger, title, lambda evaluation: task.write(run_dir, evaluation, predictor)
    )
    assert evaluation is not None  # this trainer validates
    return evaluation.scores


def read_task(settings: TrainSettings) -> Task:
    """The task of ``settings.dataset``, whose scenes are processed first. UserError on bad settings or data."""
    if isinstance(settings.dataset, Joint):
        return JointSegmentation.read(settings, settings.dataset)
    return Segmentation.read(settings)
