"""Broadcast: join a row for each batch item with the rows of the item."""

from __future__ import annotations

import torch
from torch import Tensor as Values
from torch import nn

from ceco3d.minkowski.common import MinkowskiModuleBase
from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.modes import BroadcastMode
from ceco3d.minkowski.sparse_tensor import SparseTensor


def spread(x: SparseTensor, items: SparseTensor) -> Values:
    """(N, C'): for each row of ``x``, in key order, that of its batch item in ``items``, a tensor on the origin map.

    ValueError when ``items`` does not have a row for each batch item.
    """
    if not isinstance(x, SparseTensor) or not isinstance(items, SparseTensor):
        raise AssertionError("broadcast needs two SparseTensors")
    return _spread(x.coordinate_manager, x.coordinate_map_key, items.rows)


def _spread(manager: CoordinateManager, key: CoordinateMapKey, items: Values) -> Values:
    if len(items) != manager.number_of_unique_batch_indices():
        raise ValueError(f"{len(items)} rows for {manager.number_of_unique_batch_indices()} batch items")
    return items.index_select(0, manager.batch_rows(key))


class MinkowskiBroadcastBase(MinkowskiModuleBase):
    """Adds or multiplies the row of each batch item."""

    def __init__(self, operation_type: BroadcastMode) -> None:
        super().__init__()
        if not isinstance(operation_type, BroadcastMode):
            raise AssertionError(f"operation_type must be a BroadcastMode, not {operation_type!r}")
        self.operation_type = operation_type

    def forward(self, input: SparseTensor, input_glob: SparseTensor) -> SparseTensor:
        """(N, C), (batch items, C) -> (N, C)."""
        return input.with_rows(_join(input.rows, spread(input, input_glob), self.operation_type))

    def __repr__(self) -> str:
        return type(self).__name__


def _join(rows: Values, others: Values, mode: BroadcastMode) -> Values:
    return rows + others if mode == BroadcastMode.ELEMENTWISE_ADDITON else rows * others


class MinkowskiBroadcastAddition(MinkowskiBroadcastBase):
    """Adds the row of each batch item."""

    def __init__(self) -> None:
        super().__init__(BroadcastMode.ELEMENTWISE_ADDITON)


class MinkowskiBroadcastMultiplication(MinkowskiBroadcastBase):
    """Multiplies by the row of each batch item."""

    def __init__(self) -> None:
        super().__init__(BroadcastMode.ELEMENTWISE_MULTIPLICATION)


class MinkowskiBroadcast(nn.Module):
    """The row of its batch item for each voxel."""

    def forward(self, input: SparseTensor, input_glob: SparseTensor) -> SparseTensor:
        """(N, C), (batch items, C') -> (N, C')."""
        return input.with_rows(spread(input, input_glob))

    def __repr__(self) -> str:
        return type(self).__name__


class MinkowskiBroadcastConcatenation(MinkowskiBroadcast):
    """Appends the row of its batch item to each voxel."""

    def forward(self, input: SparseTensor, input_glob: SparseTensor) -> SparseTensor:
        """(N, C), (batch items, C') -> (N, C + C')."""
        return input.with_rows(torch.cat([input.rows, spread(input, input_glob)], dim=1))


class MinkowskiBroadcastFunction:
    """Broadcast of features, as a function with ``apply``."""

    @staticmethod
    def apply(
        input_features: Values,
        input_features_global: Values,
        operation_type: BroadcastMode,
        in_coords_key: CoordinateMapKey,
        glob_coords_key: CoordinateMapKey,
        coords_manager: CoordinateManager,
    ) -> Values:
        """(N, C), (batch items, C) -> (N, C), rows in the order of coordinates."""
        others = _spread(coords_manager, in_coords_key, input_features_global)
        return _join(input_features, coords_manager.level(in_coords_key).featured(others), operation_type)
