"""What the constructors of sparse tensors and fields share."""

from __future__ import annotations

from typing import Any

from torch import Tensor as Values

from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.modes import (
    SparseTensorOperationMode,
    SparseTensorQuantizationMode,
    global_coordinate_manager,
    set_global_coordinate_manager,
    sparse_tensor_operation_mode,
)
from ceco3d.minkowski.reduce import max_rows, sum_rows


def manager_for(given: CoordinateManager | None, axes: int) -> CoordinateManager:
    """``given``, or the one that tensors share, or a new one, as the operation mode says."""
    if given is not None:
        if not isinstance(given, CoordinateManager):
            raise AssertionError(f"coordinate_manager must be a CoordinateManager, not {type(given).__name__}")
        return given
    if sparse_tensor_operation_mode() == SparseTensorOperationMode.SEPARATE_COORDINATE_MANAGER:
        return CoordinateManager(axes)
    manager = global_coordinate_manager()
    if manager is None:
        manager = CoordinateManager(axes)
        set_global_coordinate_manager(manager)
    return manager


def check_given(features: Any, coordinates: Any, key: Any, manager: Any, mode: Any, key_name: str) -> None:
    """AssertionError or ValueError for arguments that do not fit together, as MinkowskiEngine raises them."""
    if not isinstance(features, Values):
        raise AssertionError("Features must be a torch.Tensor")
    if features.ndim != 2:
        raise AssertionError(f"The feature should be a matrix, The input feature is an order-{features.ndim} tensor.")
    if not isinstance(mode, SparseTensorQuantizationMode):
        raise AssertionError(f"quantization_mode must be a SparseTensorQuantizationMode, not {mode!r}")
    if coordinates is None and (key is None or manager is None):
        raise ValueError(f"Either coordinates or ({key_name}, coordinate_manager) pair must be provided.")
    if coordinates is not None:
        if key is not None:
            raise AssertionError(f"Must not provide coordinates if {key_name} is provided")
        if not isinstance(coordinates, Values):
            raise AssertionError("coordinates must be a torch.Tensor")
        if len(features) != len(coordinates):
            raise AssertionError("The number of rows in features and coordinates must match.")
        if features.device != coordinates.device:
            raise AssertionError("Features and coordinates must have the same backend.")
    elif not (isinstance(key, CoordinateMapKey) and key.is_key_set()):
        raise AssertionError("The coordinate key must be valid.")


def merge(features: Values, place: Values, first: Values, mode: SparseTensorQuantizationMode) -> Values:
    """Merge the rows of (N, C) features that have the same ``place`` (N,); ``first`` (M,) is one row for each place."""
    if mode == SparseTensorQuantizationMode.RANDOM_SUBSAMPLE:
        return features.index_select(0, first)
    if mode == SparseTensorQuantizationMode.MAX_POOL:
        return max_rows(features, place, len(first))
    mean = mode == SparseTensorQuantizationMode.UNWEIGHTED_AVERAGE
    return sum_rows(features if features.is_floating_point() or not mean else features.float(), place, len(first), mean)
