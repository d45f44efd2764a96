"""What a way of pretraining consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torch.utils.data import DataLoader

from ceco3d.inference.evaluate import Evaluation, ReportFailed
from ceco3d.scenes.labels import LabelSpace


@dataclass(frozen=True)
class Pretraining:
    """The parts that ``training.loop.Trainer`` gets.

    objective  ``batch -> {"loss": ..., ...}``, with ``model`` (a MinkUNet) and ``criterion``
    loader     its batches
    validate   scores the network and reports scenes that cannot be read; None where it predicts no labels
    space      the classes that ``model.final`` predicts, or None
    """

    objective: nn.Module
    loader: DataLoader
    validate: Callable[[ReportFailed], Evaluation] | None = None
    space: LabelSpace | None = None
