"""TensorField: features at points, which become voxels when they are asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor as Values

from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.creation import check_given, manager_for, merge
from ceco3d.minkowski.kernels import int_list
from ceco3d.minkowski.modes import GPUMemoryAllocatorType, MinkowskiAlgorithm, SparseTensorQuantizationMode
from ceco3d.minkowski.sparse_tensor import SparseTensor
from ceco3d.minkowski.tensor import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

MODES = (
    SparseTensorQuantizationMode.UNWEIGHTED_AVERAGE,
    SparseTensorQuantizationMode.UNWEIGHTED_SUM,
    SparseTensorQuantizationMode.RANDOM_SUBSAMPLE,
    SparseTensorQuantizationMode.MAX_POOL,
)


class TensorField(Tensor):
    """Features (N, C) at float coordinates (N, 1 + D), or at those of the field that a key names."""

    def __init__(
        self,
        features: Values,
        coordinates: Values | None = None,
        tensor_stride: Any = 1,
        coordinate_field_map_key: CoordinateMapKey | None = None,
        coordinate_manager: CoordinateManager | None = None,
        quantization_mode: SparseTensorQuantizationMode = SparseTensorQuantizationMode.UNWEIGHTED_AVERAGE,
        allocator_type: GPUMemoryAllocatorType | None = None,
        minkowski_algorithm: MinkowskiAlgorithm | None = None,
        requires_grad: bool | None = None,
        device: Any = None,
    ) -> None:
        if device is not None:
            features = features.to(device)
            coordinates = None if coordinates is None else coordinates.to(device)
        name = "coordinate_field_map_key"
        check_given(features, coordinates, coordinate_field_map_key, coordinate_manager, quantization_mode, name)
        if quantization_mode not in MODES:
            raise AssertionError("invalid quantization mode")
        self.quantization_mode = quantization_mode
        self._manager = manager_for(coordinate_manager, 3 if coordinates is None else coordinates.shape[1] - 1)
        self._D = self._manager.D
        if coordinates is not None:
            strides = int_list(tensor_stride, self._D)
            coordinate_field_map_key = self._manager.insert_field(coordinates.float(), strides)
        assert coordinate_field_map_key is not None  # check_given saw to it
        self.coordinate_field_map_key = coordinate_field_map_key
        if requires_grad is not None:
            features.requires_grad_(requires_grad)
        self._F = features
        self._C = coordinates
        self._inverse: dict[CoordinateMapKey, Values] = {}

    @property
    def rows(self) -> Values:
        """(N, C) features; fields have one order only."""
        return self._F

    def _set_rows(self, rows: Values) -> None:
        self._F = rows

    def with_rows(self, rows: Values) -> Self:
        """The same points with other features (N, C')."""
        return type(self)(
            rows,
            coordinate_field_map_key=self.coordinate_field_map_key,
            coordinate_manager=self._manager,
            quantization_mode=self.quantization_mode,
        )

    def with_features(self, features: Values) -> Self:
        """The same points with other features (N, C')."""
        return self.with_rows(features)

    @property
    def key(self) -> CoordinateMapKey:
        """The key of the field."""
        return self.coordinate_field_map_key

    def _coordinates(self) -> Values:
        if self._C is None:
            self._C = self._manager.get_coordinate_field(self.coordinate_field_map_key)
        return self._C

    def _rows_by_item(self) -> list[Values]:
        return self._manager.origin_field_map(self.coordinate_field_map_key)[1]

    def sparse(
        self,
        tensor_stride: Any = 1,
        coordinate_map_key: CoordinateMapKey | None = None,
        quantization_mode: SparseTensorQuantizationMode | None = None,
    ) -> SparseTensor:
        """The voxels of these points, or those of an existing map; points of a voxel are merged as the mode says."""
        mode = self.quantization_mode if quantization_mode is None else quantization_mode
        if mode == SparseTensorQuantizationMode.SPLAT_LINEAR_INTERPOLATION:
            raise AssertionError("Please use .splat() for splat quantization.")
        if mode not in MODES:
            raise ValueError(f"Invalid quantization mode {mode}")
        if coordinate_map_key is None:
            coordinate_map_key, (first, place) = self._manager.field_to_sparse_insert_and_map(
                self.coordinate_field_map_key, int_list(tensor_stride, self._D)
            )
        else:
            place, first = self._manager.field_to_sparse_map(self.coordinate_field_map_key, coordinate_map_key)
        return SparseTensor(
            merge(self._F, place, first, mode), coordinate_map_key=coordinate_map_key, coordinate_manager=self._manager
        )

    def splat(self) -> SparseTensor:
        """The voxels around these points, each with the linear share of every point."""
        from ceco3d.minkowski.interpolation import splat

        return splat(self)

    def inverse_mapping(self, sparse_tensor_map_key: CoordinateMapKey) -> Values:
        """(N,) int64: for each point the row of its voxel in that map. ValueError where a point has none."""
        return self._manager.get_field_to_sparse_map(self.coordinate_field_map_key, sparse_tensor_map_key)[1]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(\n  coordinates={self.C}\n  features={self.F}\n"
            f"  coordinate_field_map_key={self.coordinate_field_map_key}\n  coordinate_manager={self._manager}"
            f"  spatial dimension={self._D})"
        )
