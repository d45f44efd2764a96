"""A coordinate map: the voxels at one tensor stride, in key order and in the order of a tensor's rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ceco3d.sparse.maps import CoordinateManager as KeyLevels
from ceco3d.sparse.maps import KeyLayout


class Level:
    """Sorted unique keys, and where the rows of features lie.

    keys      (N,) int64
    order     (N,) the row of features of each key; None if features are in key order
    position  (N,) the inverse: the key of each row of features
    aligned   whether all coordinates are multiples of the tensor stride
    """

    def __init__(self, keys: Tensor, order: Tensor | None = None, aligned: bool = True) -> None:
        if order is not None and bool((order == torch.arange(len(order), device=order.device)).all()):
            order = None
        self.keys, self.order, self.aligned = keys, order, aligned
        self.position = None if order is None else invert(order)
        self._coordinates: Tensor | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def coordinates(self, layout: KeyLayout) -> Tensor:
        """(N, 1 + D) int32, in the order of features."""
        if self._coordinates is None:
            self._coordinates = self.featured(layout.unpack(self.keys))
        return self._coordinates

    def featured(self, rows: Tensor) -> Tensor:
        """Rows in key order, in the order of features."""
        return rows if self.position is None else rows.index_select(0, self.position)

    def keyed(self, features: Tensor) -> Tensor:
        """Features in key order."""
        return features if self.order is None else features.index_select(0, self.order)

    def feature_rows(self, key_rows: Tensor) -> Tensor:
        """(P,) numbers of rows in key order -> int64 numbers of rows of features."""
        return key_rows.long() if self.order is None else self.order[key_rows.long()]

    def find(self, keys: Tensor) -> Tensor:
        """(M,) int64: the row in key order of each of ``keys``, -1 where there is none."""
        if len(self) == 0:
            return torch.full_like(keys, -1)
        rows = torch.searchsorted(self.keys, keys).clamp_(max=len(self) - 1)
        return torch.where(self.keys[rows] == keys, rows, -1)


class Pair(KeyLevels):
    """Two levels as the layers of ``ceco3d.sparse`` see them, which ask for the map from the finer to the coarser."""

    def __init__(self, fine: Tensor, coarse: Tensor) -> None:
        super().__init__(fine)
        self.fine, self.coarse = fine, coarse
        self._made: dict[tuple[Any, int, int], Any] = {}

    def kernel_map(
        self, in_stride: int, out_stride: int, kernel_size: int, build: Callable[..., Any] | None = None
    ) -> Any:
        """See CoordinateManager."""
        from ceco3d.sparse.maps import build_kernel_map

        build = build or build_kernel_map
        name = (build, in_stride, kernel_size)
        if name not in self._made:
            self._made[name] = build(self.fine, self.coarse, kernel_size, in_stride)
        return self._made[name]


def invert(order: Tensor) -> Tensor:
    """The inverse of a permutation (N,) int64."""
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))


def unique_rows(keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of (N,) keys in any order: (sorted unique keys (M,), the first row of each (M,), the place of each row (N,))."""
    ascending, order = keys.sort(stable=True)
    new = torch.ones_like(ascending, dtype=torch.bool)
    new[1:] = ascending[1:] != ascending[:-1]
    place = torch.empty_like(order).scatter_(0, order, new.cumsum(0) - 1)
    return ascending[new], order[new], place
