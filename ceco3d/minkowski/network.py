"""The base class of networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import nn


class MinkowskiNetwork(nn.Module, ABC):
    """A network on ``D``-dimensional sparse tensors; subclasses define ``forward``."""

    def __init__(self, D: int) -> None:
        super().__init__()
        self.D = D

    # Any: a network takes and returns what its author chooses.
    @abstractmethod
    def forward(self, x: Any) -> Any:
        """What the network computes."""
