"""The objective of a training run: network and loss as one module, which maps a batch to its losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from ceco3d.data.batch import Batch
from ceco3d.models import Network


class TrainingBatch(Protocol):
    """What the training loop needs from a batch (Batch, PairBatch); its length is the number of voxels."""

    def __len__(self) -> int: ...

    @property
    def scenes(self) -> tuple[str, ...]:
        """The names of its scenes."""
        ...

    @property
    def failed(self) -> tuple[tuple[str, str], ...]:
        """(scene, reason) of scenes that could not be read and were replaced."""
        ...

    def to(self, device: torch.device | str) -> Self:
        """The batch on ``device``."""
        ...

    def tensors(self) -> Mapping[str, Any]:
        """Its tensors by name, for a file; they may be nested."""
        ...


B = TypeVar("B", bound=TrainingBatch)


class TrainingObjective(nn.Module, ABC, Generic[B]):
    """``batch -> {"loss": scalar, ...}``: the training loop minimizes "loss" and logs every value under its name.

    model      the network; checkpoints hold its weights
    criterion  the loss; if it has layers, they are trained too
    """

    model: Network
    criterion: nn.Module

    if TYPE_CHECKING:  # nn.Module.__call__ returns Any

        def __call__(self, batch: B) -> dict[str, Tensor]: ...

    @abstractmethod
    def prepare(self, batch: B) -> B:
        """``batch`` with everything built ahead that would make ``forward`` wait for a GPU, such as kernel maps."""

    @abstractmethod
    def forward(self, batch: B) -> dict[str, Tensor]:
        """The losses of ``batch``: scalars by name."""


class Objective(TrainingObjective[Batch]):
    """Segmentation: the network's logits and features go to ``criterion``, see ``ceco3d.losses.segmentation``."""

    def __init__(self, model: Network, criterion: nn.Module) -> None:
        super().__init__()
        self.model, self.criterion = model, criterion

    def prepare(self, batch: Batch) -> Batch:
        """``batch`` with the kernel maps of the network."""
        return batch.prepared(self.model.build_maps)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of ``batch``: scalars by name."""
        features = self.model.forward_features(batch.sparse())
        logits = self.model.final(features)
        rows = (logits.features, features.features, batch.coordinates[:, 0])
        outputs, inputs, scenes = (batch.at_labels(values) for values in rows)
        known = {"classifier": self.model.final.kernel.T} if getattr(self.criterion, "needs_classifier", False) else {}
        losses: dict[str, Tensor] = self.criterion(outputs, inputs, batch.labels, scenes, **known)
        return losses
