"""The interface of a pretraining method, and the settings of a pretraining run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, runtime_checkable

import torch

from ceco3d.data.labels import LabelSpace
from ceco3d.inference.evaluation import Evaluation, ReportFailed
from ceco3d.training.objective import TrainingObjective
from ceco3d.training.prefetcher import Prefetcher
from ceco3d.training.settings import RunSettings
from ceco3d.utils.settings import BUILT, settings


@dataclass(frozen=True)
class Pretraining:
    """The parts that ``training.loop.Trainer`` needs.

    objective   network and loss
    prefetcher  its batches
    outputs     channels of ``model.final``
    validate    scores the network and reports unreadable scenes; None if it predicts no labels
    space       the classes that ``model.final`` predicts, or None
    """

    objective: TrainingObjective[Any]
    prefetcher: Prefetcher[Any]
    outputs: int
    validate: Callable[[ReportFailed], Evaluation] | None = None
    space: LabelSpace | None = None


@runtime_checkable
class Method(Protocol):
    """A way to pretrain (conf/method).

    name         for titles and checkpoints
    voxel_sizes  meters, by the name of the data set; other data sets keep their own
    """

    name: str
    voxel_sizes: Mapping[str, float]

    def build(self, settings: PretrainSettings, device: torch.device) -> Pretraining:
        """The objective and its batches; UserError on bad settings or data."""
        ...


@settings
class PretrainSettings(RunSettings):
    """``conf/pretrain.yaml``."""

    init_leave_out: Sequence[str] = ("final",)
    method: Annotated[Method, BUILT]
