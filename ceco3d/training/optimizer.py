"""Build the optimizer of a training run, with a learning rate for each stage of the network if asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ceco3d.training.objective import TrainingObjective
from ceco3d.training.settings import RunSettings
from ceco3d.utils.errors import UserError


def make_optimizer(settings: RunSettings, objective: TrainingObjective[Any]) -> torch.optim.Optimizer:
    """The optimizer for the trainable parameters of ``objective``; UserError unless its learning rate is positive.

    With ``trainer.layer_decay`` each stage of the network is a parameter group with a rate of its own. The classifier
    and the loss come first, so logs show their rate.
    """
    decay = settings.trainer.layer_decay
    if decay is None or decay == 1:
        optimizer: torch.optim.Optimizer = settings.optimizer(
            params=[parameter for parameter in objective.parameters() if parameter.requires_grad]
        )
        _check_rates(optimizer)
        return optimizer
    stages = _stages(objective)
    optimizer = settings.optimizer(params=[{"params": parameters} for parameters in stages.values()])
    _check_rates(optimizer)
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


def _check_rates(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        if not group["lr"] > 0:
            raise UserError(f"optimizer.lr={group['lr']}: must be greater than 0")
