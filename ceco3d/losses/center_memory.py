"""A memory of class centers: their exponential moving mean over batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CenterMemory(nn.Module):
    """``(centers (P, C), classes (P,)) -> (centers (Q, C), classes (Q,))``: those of a batch mixed with earlier ones.

    A center is ``momentum * remembered + (1 - momentum) * that of the batch``, or the latter where none is remembered.
    Only the batch's part has a gradient. In training mode the result is remembered.

    channels  C
    momentum  in [0, 1); ValueError otherwise
    absent    also return the classes that are remembered but not in the batch: Q >= P, classes ascending

    Buffers, in float32: ``remembered`` (K, C), zeros where ``known`` (K,) bool is False.
    """

    remembered: Tensor
    known: Tensor

    def __init__(self, num_classes: int, channels: int, momentum: float, absent: bool) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"memory={momentum}: must be at least 0 and below 1")
        self.momentum, self.absent = momentum, absent
        self.register_buffer("remembered", torch.zeros(num_classes, channels))
        self.register_buffer("known", torch.zeros(num_classes, dtype=torch.bool))

    def forward(self, centers: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        before = self.remembered[classes].to(centers.dtype)
        mixed = self.momentum * before + (1 - self.momentum) * centers
        mixed = torch.where(self.known[classes, None], mixed, centers)
        known = self.known.index_fill(0, classes, True)
        if self.training:
            self.remembered[classes] = mixed.detach().to(self.remembered.dtype)
            self.known.copy_(known)
        if not self.absent:
            return mixed, classes
        everything = known.nonzero().squeeze(1)
        all_centers = self.remembered.to(centers.dtype, copy=True).index_copy(0, classes, mixed)
        return all_centers[everything], everything
