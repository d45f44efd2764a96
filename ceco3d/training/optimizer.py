"""The optimizer of a training run: a learning rate for each stage of the network if asked for, and its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ceco3d.training.objective import TrainingObjective
from ceco3d.training.schedule import OneCycle, Schedule
from ceco3d.training.settings import RunSettings
from ceco3d.utils.errors import UserError


def make_optimizer(settings: RunSettings, objective: TrainingObjective[Any]) -> torch.optim.Optimizer:
    """The optimizer for the trainable parameters of ``objective``.

    UserError unless its learning rate is positive, and if it has no momentum for the schedule to cycle.

    With ``trainer.layer_decay`` each stage of the network is a parameter group with a rate of its own. The classifier
    and the loss come first, so logs show their rate.
    """
    decay = settings.trainer.layer_decay
    if decay is None or decay == 1:
        optimizer: torch.optim.Optimizer = settings.optimizer(
            params=[parameter for parameter in objective.parameters() if parameter.requires_grad]
        )
        _check(optimizer, settings.scheduler)
        return optimizer
    stages = _stages(objective)
    optimizer = settings.optimizer(params=[{"params": parameters} for parameters in stages.values()])
    _check(optimizer, settings.scheduler)
    for distance, group in zip(stages, optimizer.param_groups, strict=True):
        group["lr"] *= decay**distance
    return optimizer


def _stages(objective: TrainingObjective[Any]) -> dict[int, list[nn.Parameter]]:
    """Trainable parameters by their distance from the classifier in stages; 0: the classifier and the loss."""
    stages = reversed(objective.model.stage_names)
    distances = {f"model.{name}": number for number, stage in enumerate(stages, start=1) for name in stage}
    found: dict[int, list[nn.Parameter]] = {}
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            found.setdefault(distances.get(".".join(name.split(".")[:2]), 0), []).append(parameter)
    return dict(sorted(found.items()))


def follow(schedule: Schedule, optimizer: torch.optim.Optimizer, peaks: Sequence[float], progress: float) -> None:
    """Set the learning rates, and the momentum if ``schedule`` cycles it, to those at ``progress`` in [0, 1].

    peaks  the largest rate of each parameter group
    """
    factor = schedule(progress)
    momentum = schedule.momentum_at(progress) if isinstance(schedule, OneCycle) else None
    for group, peak in zip(optimizer.param_groups, peaks, strict=True):
        group["lr"] = peak * factor
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        elif momentum is not None:
            group["momentum"] = momentum


def _check(optimizer: torch.optim.Optimizer, schedule: Schedule) -> None:
    for group in optimizer.param_groups:
        if not group["lr"] > 0:
            raise UserError(f"optimizer.lr={group['lr']}: must be greater than 0")
        if (
            isinstance(schedule, OneCycle)
            and schedule.momentum is not None
            and not {"momentum", "betas"} & group.keys()
        ):
            name = type(optimizer).__name__
            raise UserError(f"scheduler.momentum={list(schedule.momentum)}: {name} has none to cycle; set it to null")
