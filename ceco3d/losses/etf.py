"""The simplex equiangular tight frame (ETF): K unit vectors, as far apart as K vectors can be."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def simplex_etf(num_classes: int, dim: int, seed: int = 0) -> Tensor:
    """A randomly oriented simplex ETF: (num_classes, dim) float32, unit rows, pairwise cosines -1 / (num_classes - 1).

    Computes ``sqrt(K / (K-1)) * B @ Q``. The columns of B (K, K-1) are an orthonormal basis of the complement of the
    all-ones vector; the rows of Q (K-1, dim) are random and orthonormal. This equals the usual
    ``sqrt(K / (K-1)) * (I - 11^T / K) U^T`` where that exists (dim >= K), and also works for dim = K - 1, the smallest
    possible. Raises ValueError if dim < K - 1.
    """
    if num_classes < 2:
        raise ValueError(f"a simplex ETF needs at least 2 classes, got {num_classes}")
    if dim < num_classes - 1:
        raise ValueError(
            f"no simplex ETF of {num_classes} classes in {dim} dimensions: it needs at least {num_classes - 1}; "
            "project the features to more channels"
        )
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(dim, num_classes - 1, generator=generator, dtype=torch.float64)
    orientation: Tensor = torch.linalg.qr(gaussian).Q.T
    frame: Tensor = math.sqrt(num_classes / (num_classes - 1)) * _complement_of_ones(num_classes) @ orientation
    return frame.float()


def _complement_of_ones(size: int) -> Tensor:
    """(size, size - 1) float64: orthonormal columns, each summing to zero (Helmert's matrix)."""
    j = torch.arange(1, size, dtype=torch.float64)
    row = torch.arange(size, dtype=torch.float64)[:, None]
    column = torch.where(row < j, 1.0, torch.where(row == j, -j, torch.zeros(())))
    return column / (j * (j + 1)).sqrt()
