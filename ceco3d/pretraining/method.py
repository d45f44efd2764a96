"""What a way of pretraining consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.inference.evaluation import Evaluation, ReportFailed
from ceco3d.training.prefetcher import Feed


@dataclass(frozen=True)
class Pretraining:
    """The parts that ``training.loop.Trainer`` gets.

    objective  ``batch -> {"loss": ..., ...}``, with ``prepare``, ``model`` (a MinkUNet) and ``criterion``
    feed       its batches
    validate   scores the network and reports scenes that cannot be read; None where it predicts no labels
    space      the classes that ``model.final`` predicts, or None
    """

    objective: nn.Module
    feed: Feed
    validate: Callable[[ReportFailed], Evaluation] | None = None
    space: LabelSpace | None = None
