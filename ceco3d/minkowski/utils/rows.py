"""Distinct rows of a list of coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

WIDEST = 1 << 62


def first_rows(coordinates: Tensor) -> tuple[Tensor, Tensor]:
    """(N, K) integer -> index (M,) and inverse (N,), both int64, on the same device.

    ``coordinates[index]`` are the distinct rows in the order in which they first occur, and
    ``coordinates[index][inverse]`` are all rows again.
    """
    keys = _one_key(coordinates)
    ordered, order = keys.sort(stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    group = first.cumsum(0) - 1  # of each sorted row
    index, rank = order[first].sort()  # a stable sort puts the first occurrence of each key first
    place = torch.empty_like(rank).scatter_(0, rank, torch.arange(len(rank), device=rank.device))
    return index, torch.empty_like(order).scatter_(0, order, place[group])


def _one_key(rows: Tensor) -> Tensor:
    """(N, K) -> (N,) int64, equal where rows are equal: mixed radix, or ranks where that does not fit 64 bits."""
    if rows.shape[0] == 0 or rows.shape[1] == 0:
        return rows.new_zeros(len(rows), dtype=torch.int64)
    columns = rows.long()
    low, high = torch.aminmax(columns, dim=0)
    sizes = [above - below + 1 for below, above in zip(low.tolist(), high.tolist(), strict=True)]
    key, width = columns[:, 0] - low[0], sizes[0]
    for axis in range(1, len(sizes)):
        if width * sizes[axis] > WIDEST:
            key = torch.unique(key, return_inverse=True)[1]
            width = int(key.max()) + 1
        column, size = columns[:, axis] - low[axis], sizes[axis]
        if width * size > WIDEST:
            column = torch.unique(column, return_inverse=True)[1]
            size = int(column.max()) + 1
        key, width = key * size + column, width * size
    return key
