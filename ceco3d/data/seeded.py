"""The base of data sets whose random draws depend only on (seed, epoch, index)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

import torch
from torch.utils.data import Dataset

from ceco3d.utils.shared import shared_zeros

Item = TypeVar("Item")


class SeededDataset(Dataset[Item], ABC):
    """A data set with a ``seed`` and an ``epoch`` that workers which live through all epochs can follow."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._epoch = shared_zeros((), torch.int64)

    @property
    def epoch(self) -> int:
        """The epoch of the draws."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Use the draws of ``epoch`` from now on, in this process and in running workers."""
        self._epoch.fill_(epoch)

    @abstractmethod
    def __len__(self) -> int:
        """Number of items per epoch."""

    def shuffled(self, rng: torch.Generator) -> list[int]:
        """The indices of an epoch in random order."""
        order: list[int] = torch.randperm(len(self), generator=rng).tolist()
        return order
