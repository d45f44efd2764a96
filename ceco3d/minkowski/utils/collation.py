"""Batches: coordinates with the batch index in the first column, features and labels one below the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Rows = Tensor | npt.NDArray[Any]
_log = logging.getLogger(__name__)


def batched_coordinates(coords: Sequence[Rows], dtype: torch.dtype = torch.int32, device: Any = None) -> Tensor:
    """A list of coordinates (N_b, D) -> (sum N_b, 1 + D) ``[batch, ...]`` of ``dtype`` on ``device``, default the CPU.

    int32 rounds down. AssertionError unless all have the same D and ``dtype`` is int32 or float32.
    """
    dimension = _dimension(coords, dtype)
    if device is None:
        device = getattr(coords, "device", "cpu")
    return _batch(coords, dimension, dtype, device)


def _dimension(coords: Any, dtype: torch.dtype) -> int:
    if not isinstance(coords, Sequence | Tensor):
        raise AssertionError(f"coordinates must be a sequence of arrays or tensors, not {type(coords).__name__}")
    if any(rows.ndim != 2 for rows in coords):
        raise AssertionError("each item's coordinates must be (N, D)")
    dimensions = {int(rows.shape[1]) for rows in coords}
    if len(dimensions) != 1:
        raise AssertionError(f"coordinates must have the same number of columns, got {sorted(dimensions)}")
    if dtype not in (torch.int32, torch.float32):
        raise AssertionError(f"coordinates can be torch.int32 or torch.float32, not {dtype}")
    return dimensions.pop()


def _batch(coords: Any, dimension: int, dtype: torch.dtype, device: Any) -> Tensor:
    result = torch.empty(sum(map(len, coords)), 1 + dimension, dtype=dtype, device=device)
    start = 0
    for item, rows in enumerate(coords):
        rows = torch.as_tensor(rows)
        if dtype == torch.int32 and rows.is_floating_point():
            rows = rows.floor()
        part = result[start : start + len(rows)]
        part[:, 0] = item
        part[:, 1:] = rows
        start += len(rows)
    return result


def sparse_collate(
    coords: Sequence[Rows],
    feats: Sequence[Rows],
    labels: Sequence[Any] | None = None,
    dtype: torch.dtype = torch.int32,
    device: Any = None,
) -> Any:
    """Items -> (coordinates (N, 1 + D), features (N, C)), and labels if given.

    coords, feats  for each item (N_b, D) and (N_b, C), arrays or tensors
    labels         for each item an array or tensor, which are concatenated, or anything else, which makes a list
    device         of the coordinates; default that of the first item

    AssertionError for wrong shapes and types.
    """
    for what, values in (("features", feats), ("labels", [] if labels is None else labels)):
        if not isinstance(values, Sequence):
            raise AssertionError(f"{what} must be a sequence of arrays or tensors, not {type(values).__name__}")
    dimension = _dimension(coords, dtype)
    if not all(isinstance(rows, np.ndarray | Tensor) for rows in [*coords, *feats]):
        raise AssertionError("coordinates and features must be arrays or tensors")
    rows, given = sum(map(len, coords)), sum(map(len, feats))
    if rows != given:
        raise AssertionError(f"{rows} rows of coordinates but {given} of features")
    if device is None:
        device = coords[0].device if isinstance(coords[0], Tensor) else "cpu"
    batch = _batch(coords, dimension, dtype, device), torch.cat([torch.as_tensor(item) for item in feats])
    if labels is None:
        return batch
    merged = [torch.from_numpy(item) if isinstance(item, np.ndarray) else item for item in labels]
    return *batch, torch.cat(merged) if isinstance(merged[0], Tensor) else merged


def batch_sparse_collate(data: Sequence[Sequence[Any]], dtype: torch.dtype = torch.int32, device: Any = None) -> Any:
    """``collate_fn`` of a DataLoader: items (coordinates, features[, labels]) -> ``sparse_collate`` of them."""
    coords, feats, *labels = map(list, zip(*data, strict=True))
    return sparse_collate(coords, feats, labels[0] if labels else None, dtype=dtype, device=device)


class SparseCollation:
    """``collate_fn`` of a DataLoader for items (coordinates, features, labels).

    limit_numpoints  if positive, leave out the items from the first one on that exceeds this number of points
    """

    def __init__(self, limit_numpoints: int = -1, dtype: torch.dtype = torch.int32, device: Any = None) -> None:
        self.limit_numpoints = limit_numpoints
        self.dtype = dtype
        self.device = device

    def __call__(self, list_data: Sequence[Sequence[Any]]) -> Any:
        """Coordinates, features and labels of the batch; see ``sparse_collate``."""
        items = list(list_data)
        if self.limit_numpoints > 0:
            items = items[: self._count(items)]
        coords, feats, labels = map(list, zip(*items, strict=True))
        return sparse_collate(coords, feats, labels, dtype=self.dtype, device=self.device)

    def _count(self, items: Sequence[Sequence[Any]]) -> int:
        points = 0
        for count, item in enumerate(items):
            points += len(item[0])
            if points > self.limit_numpoints:
                _log.warning(
                    "a batch of %d items has more than limit_numpoints=%d points: the first %d items are kept",
                    len(items),
                    self.limit_numpoints,
                    count,
                )
                return count
        return len(items)
