"""SparseTensor: features on the voxels of a coordinate map."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor as Values

from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.creation import check_given, manager_for, merge
from ceco3d.minkowski.kernels import int_list
from ceco3d.minkowski.modes import (
    COORDINATE_MANAGER_DIFFERENT_ERROR,
    GPUMemoryAllocatorType,
    MinkowskiAlgorithm,
    SparseTensorQuantizationMode,
)
from ceco3d.minkowski.orders import TwoOrders
from ceco3d.minkowski.tensor import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

    from ceco3d.minkowski.tensor_field import TensorField


class SparseTensor(Tensor):
    """Features (N, C) on coordinates (N, 1 + D), or on the map that a key names.

    Rows with the same coordinates are merged as ``quantization_mode`` says; ``unique_index`` are the rows that were
    kept, ``inverse_mapping`` leads from the given rows to those of this tensor. ``F`` and ``C`` keep the order in which
    coordinates first occur.

    Layers compute in key order, where neighbors are close in memory: ``rows``. ``F`` is reordered when it is asked for.
    """

    unique_index: Values
    inverse_mapping: Values

    def __init__(
        self,
        features: Values,
        coordinates: Values | None = None,
        tensor_stride: Any = 1,
        coordinate_map_key: CoordinateMapKey | None = None,
        coordinate_manager: CoordinateManager | None = None,
        quantization_mode: SparseTensorQuantizationMode = SparseTensorQuantizationMode.RANDOM_SUBSAMPLE,
        allocator_type: GPUMemoryAllocatorType | None = None,
        minkowski_algorithm: MinkowskiAlgorithm | None = None,
        requires_grad: bool | None = None,
        device: Any = None,
    ) -> None:
        if device is not None:
            features = features.to(device)
            coordinates = None if coordinates is None else coordinates.to(device)
        check_given(
            features, coordinates, coordinate_map_key, coordinate_manager, quantization_mode, "coordinate_map_key"
        )
        self.quantization_mode = quantization_mode
        axes = coordinates.shape[1] - 1 if coordinates is not None and coordinates.ndim == 2 else 3
        self._manager = manager_for(coordinate_manager, axes)
        self._D = self._manager.D
        if coordinates is not None:
            features, coordinate_map_key = self._insert(coordinates, features, int_list(tensor_stride, self._D))
        assert coordinate_map_key is not None  # check_given saw to it
        self.coordinate_map_key = coordinate_map_key
        self._level = self._manager.level(coordinate_map_key)
        if len(features) != len(self._level):
            raise ValueError(f"{len(features)} rows of features, but {coordinate_map_key} has {len(self._level)}")
        if requires_grad is not None:
            features.requires_grad_(requires_grad)
        self._values = TwoOrders(self._level, features)

    def _insert(self, coordinates: Values, features: Values, strides: list[int]) -> tuple[Values, CoordinateMapKey]:
        if coordinates.is_floating_point():
            warnings.warn(
                "coordinates implicitly converted to torch.IntTensor. To remove this warning, use `.int()` to "
                "convert the coords into an torch.IntTensor",
                stacklevel=4,
            )
            coordinates = coordinates.floor().long()
        key, (self.unique_index, self.inverse_mapping) = self._manager.insert_and_map(coordinates, strides)
        mode = self.quantization_mode
        if len(self.unique_index) == len(features):
            return features, key
        if mode in (
            SparseTensorQuantizationMode.NO_QUANTIZATION,
            SparseTensorQuantizationMode.SPLAT_LINEAR_INTERPOLATION,
        ):
            raise ValueError(
                f"{len(features) - len(self.unique_index)} rows repeat coordinates: {mode.name} merges none"
            )
        return merge(features, self.inverse_mapping, self.unique_index, mode), key

    @classmethod
    def _on(cls, manager: CoordinateManager, key: CoordinateMapKey, rows: Values) -> Self:
        """A tensor on an existing map from rows in key order."""
        new = object.__new__(cls)
        new._manager, new._D, new.coordinate_map_key, new._level = manager, manager.D, key, manager.level(key)
        new.quantization_mode = SparseTensorQuantizationMode.RANDOM_SUBSAMPLE
        new._values = TwoOrders(new._level, rows=rows)
        return new

    @property
    def rows(self) -> Values:
        """(N, C) features in key order."""
        return self._values.rows()

    def _set_rows(self, rows: Values) -> None:
        self._values = TwoOrders(self._level, rows=rows)

    @property
    def _F(self) -> Values:
        return self._values.features()

    @_F.setter
    def _F(self, features: Values) -> None:
        self._values = TwoOrders(self._level, features)

    def _any(self) -> Values:
        return self._values.any()

    def with_rows(self, rows: Values) -> Self:
        """The same voxels with the features ``rows`` (N, C'), in key order."""
        return self._on(self._manager, self.coordinate_map_key, rows)

    def with_features(self, features: Values) -> Self:
        """The same voxels with ``features`` (N, C'), in the order of ``C``."""
        new = self._on(self._manager, self.coordinate_map_key, features)
        new._F = features
        return new

    @property
    def key(self) -> CoordinateMapKey:
        """The key of the coordinate map."""
        return self.coordinate_map_key

    def _coordinates(self) -> Values:
        return self._level.coordinates(self._manager.layout)

    def _rows_by_item(self) -> list[Values]:
        return self._manager.origin_map(self.coordinate_map_key)[1]

    def _combine(self, other: Any, operation: Callable[[Values, Any], Values]) -> Self:
        """Also on two maps of one manager: on their union, where an absent row counts as zero on the left only."""
        if not isinstance(other, SparseTensor) or self.coordinate_map_key == other.coordinate_map_key:
            return super()._combine(other, operation)
        if self._manager is not other._manager:
            raise AssertionError(COORDINATE_MANAGER_DIFFERENT_ERROR)
        key = CoordinateMapKey(self._D + 1)
        mine, others = self._manager.union_map([self.coordinate_map_key, other.coordinate_map_key], key)
        rows = self.F.new_zeros(self._manager.size(key), self.shape[1]).index_copy(0, mine[1], self.F[mine[0]])
        changed = operation(rows.index_select(0, others[1]), other.F[others[0]])
        return self._on(self._manager, key, rows.index_copy(0, others[1], changed))

    # Conversions

    def sparse(
        self, min_coords: Values | None = None, max_coords: Values | None = None, contract_coords: bool = True
    ) -> tuple[Values, Values, Values]:
        """(torch sparse tensor of shape (batch, axes..., C), smallest coordinates (1, D), tensor stride (D,))."""
        stride = torch.tensor(self.tensor_stride, dtype=torch.int32, device=self.device)
        places = self.C[:, 1:]
        low = places.min(0, keepdim=True)[0] if min_coords is None else min_coords.to(self.device).reshape(1, -1)
        high = None if max_coords is None else max_coords.to(self.device).reshape(1, -1)
        for what, ends in (("minimum", low), ("maximum", high)):
            if ends is not None and bool((ends % stride).any()):
                raise AssertionError(f"The {what} coordinates must be divisible by the tensor stride.")
        places = places - low
        if contract_coords:
            places, low = places // stride, low // stride
            high = None if high is None else high // stride
        indices = torch.cat([self.C[:, :1], places], dim=1).long().t()
        size = None
        if high is not None:
            items = max(self._manager.get_batch_indices()) + 1
            size = torch.Size([items, *(high - low + 1)[0].tolist(), self.shape[1]])
        made = torch.sparse_coo_tensor(indices, self.F, size, check_invariants=True)
        return made, low, stride.cpu()

    def dense(
        self, shape: torch.Size | None = None, min_coordinate: Values | int | None = None, contract_stride: bool = True
    ) -> tuple[Values, Values, Values]:
        """(dense tensor (batch, C, axes...), smallest coordinates, tensor stride (D,)).

        ValueError for coordinates below ``min_coordinate`` (by default 0) and for those outside ``shape``.
        """
        if shape is not None and len(shape) != self._D + 2:
            raise AssertionError(f"shape must have {self._D + 2} axes, got {tuple(shape)}")
        channels = self.shape[1]
        if len(self) == 0:
            if shape is None:
                raise AssertionError("shape is required to densify an empty tensor")
            size = torch.Size([shape[0], channels, *shape[2:]])
            zero = torch.zeros(self._D, dtype=torch.int32, device=self.device)
            return torch.zeros(size, dtype=self.dtype, device=self.device), zero, torch.IntTensor(self.tensor_stride)
        stride = torch.tensor(self.tensor_stride, dtype=torch.int32, device=self.device)
        places, low = self.C[:, 1:], self.C[:, 1:].min(0, keepdim=True)[0]
        if isinstance(min_coordinate, Values):
            low = min_coordinate.to(self.device).reshape(1, -1)
            places = places - low
        if bool((low % stride).any()):
            raise AssertionError("The minimum coordinates must be divisible by the tensor stride.")
        if bool((places < 0).any()):
            raise ValueError(f"Coordinate has a negative value: {low.tolist()}. Please provide min_coordinate argument")
        places = places // stride if contract_stride else places
        items = self.C[:, 0].long()
        extent = [int(items.max()) + 1, *(places.max(0)[0] + 1).tolist()]
        size = torch.Size([extent[0], channels, *extent[1:]] if shape is None else [shape[0], channels, *shape[2:]])
        if any(need > have for need, have in zip(extent, [size[0], *size[2:]], strict=True)):
            raise ValueError(f"the tensor needs {extent} cells (batch, axes), but shape={tuple(size)} has fewer")
        filled = torch.zeros(size[0], *size[2:], channels, dtype=self.dtype, device=self.device)
        filled = filled.index_put((items, *places.long().unbind(1)), self.F)
        return filled.movedim(-1, 1), low, torch.IntTensor(self.tensor_stride)

    def slice(self, X: Tensor) -> TensorField:
        """The features of this tensor at the points that ``X``, a TensorField or a SparseTensor, was made from."""
        return self._sliced(X, lambda rows: rows)

    def cat_slice(self, X: Tensor) -> TensorField:
        """``slice``, then the features of ``X`` as further channels."""
        return self._sliced(X, lambda rows: torch.cat([rows, X.F], dim=1))

    def _sliced(self, X: Any, finish: Callable[[Values], Values]) -> TensorField:
        from ceco3d.minkowski.tensor_field import TensorField

        allowed = (SparseTensorQuantizationMode.RANDOM_SUBSAMPLE, SparseTensorQuantizationMode.UNWEIGHTED_AVERAGE)
        if isinstance(X, TensorField):
            self._check_slice(X, allowed)
            rows = self.F[X.inverse_mapping(self.coordinate_map_key)]
            return X.with_features(finish(rows))
        if not isinstance(X, SparseTensor):
            raise ValueError("Invalid input. The input must be an instance of TensorField or SparseTensor.")
        self._check_slice(X, allowed)
        if X.coordinate_map_key != self.coordinate_map_key:
            raise AssertionError("Slice can only be applied on the same coordinates (coordinate_map_key)")
        rows = X.inverse_mapping
        return TensorField(
            finish(self.F[rows]),
            coordinates=self.C[rows].float(),
            coordinate_manager=self._manager,
            quantization_mode=self.quantization_mode,
        )

    def _check_slice(self, X: Tensor, allowed: tuple[SparseTensorQuantizationMode, ...]) -> None:
        if X.quantization_mode not in allowed:
            raise AssertionError(f"slice needs a quantization mode of {', '.join(mode.name for mode in allowed)}")

    def interpolate(self, X: TensorField) -> TensorField:
        """The features of this tensor at the points of ``X``, linear between voxels."""
        return X.with_features(self.features_at_coordinates(X.C))

    def features_at_coordinates(self, query_coordinates: Values) -> Values:
        """(M, 1 + D) float points -> (M, C) features, linear between voxels; absent voxels count as zeros."""
        from ceco3d.minkowski.interpolation import interpolate

        if query_coordinates.dtype != self.dtype:
            raise AssertionError(f"Invalid query_coordinates dtype. use {self.dtype}")
        if query_coordinates.device != self.device:
            raise AssertionError(f"query_coordinates are on {query_coordinates.device}, the tensor on {self.device}")
        return interpolate(self, query_coordinates)[0]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(\n  coordinates={self.C}\n  features={self.F}\n"
            f"  coordinate_map_key={self.coordinate_map_key}\n  coordinate_manager={self._manager}"
            f"  spatial dimension={self._D})"
        )
