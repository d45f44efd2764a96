"""Pooling over kernels and over batch items."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor as Values

from ceco3d.minkowski.common import MinkowskiModuleBase
from ceco3d.minkowski.convolution import coordinates_of, output_key
from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.kernel_layer import KernelLayer
from ceco3d.minkowski.kernels import KernelGenerator
from ceco3d.minkowski.modes import PoolingMode
from ceco3d.minkowski.reduce import distinct, max_pairs, mean_pairs, sum_pairs
from ceco3d.minkowski.sparse_tensor import SparseTensor
from ceco3d.minkowski.tensor import Tensor
from ceco3d.minkowski.tensor_field import TensorField

LOCAL = {
    PoolingMode.LOCAL_SUM_POOLING: sum_pairs,
    PoolingMode.LOCAL_AVG_POOLING: mean_pairs,
    PoolingMode.LOCAL_MAX_POOLING: max_pairs,
}


def _pool(
    rows: Values,
    mode: PoolingMode,
    generator: KernelGenerator,
    transpose: bool,
    key: CoordinateMapKey,
    out: CoordinateMapKey,
    manager: CoordinateManager,
) -> Values:
    """Output rows in key order; ``out`` is set if it does not name a map yet."""
    if not out.is_key_set():
        out.set_key(*output_key(manager, key, generator, transpose).name)
    fine, coarse = (out, key) if transpose else (key, out)
    if generator.kernel_size == generator.kernel_stride:
        kernel_map = manager.cell_map(fine, coarse)
    else:
        kernel_map = manager.offset_map(fine, coarse, generator.shape())
    return LOCAL[mode](rows, kernel_map.transposed() if transpose else kernel_map)


class MinkowskiPoolingBase(KernelLayer):
    """Base of the pooling layers over kernels.

    Where stride and kernel size are equal, each voxel counts for the cell of the coarser map that it lies in.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = 1,
        dilation: Any = 1,
        kernel_generator: KernelGenerator | None = None,
        is_transpose: bool = False,
        pooling_mode: PoolingMode = PoolingMode.LOCAL_AVG_POOLING,
        dimension: int | None = -1,
    ) -> None:
        super().__init__(kernel_size, stride, dilation, kernel_generator, dimension)
        self.is_transpose, self.pooling_mode = is_transpose, pooling_mode

    def forward(self, input: SparseTensor, coordinates: Any = None) -> SparseTensor:
        """(N, C) -> (M, C), on ``coordinates`` if given: a tensor (M, 1 + D), a SparseTensor or a key."""
        self._check(input)
        out = coordinates_of(input, coordinates) or CoordinateMapKey(input.D + 1)
        mode = PoolingMode.LOCAL_SUM_POOLING if self.is_transpose else self.pooling_mode
        manager, key = input.coordinate_manager, input.coordinate_map_key
        rows = _pool(input.rows, mode, self.kernel_generator, self.is_transpose, key, out, manager)
        return SparseTensor._on(manager, out, rows)

    def __repr__(self) -> str:
        generator = self.kernel_generator
        return (
            f"{type(self).__name__}(kernel_size={generator.kernel_size}, stride={generator.kernel_stride}, "
            f"dilation={generator.kernel_dilation})"
        )


class _Pooling(MinkowskiPoolingBase):
    """Pooling onto the same or a coarser map."""

    mode: ClassVar[PoolingMode]

    def __init__(
        self,
        kernel_size: Any = -1,
        stride: Any = 1,
        dilation: Any = 1,
        kernel_generator: KernelGenerator | None = None,
        dimension: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, dilation, kernel_generator, False, self.mode, dimension)


class MinkowskiSumPooling(_Pooling):
    """The sum over the voxels of a kernel."""

    mode = PoolingMode.LOCAL_SUM_POOLING


class MinkowskiAvgPooling(_Pooling):
    """The mean over the voxels of a kernel, absent ones left out."""

    mode = PoolingMode.LOCAL_AVG_POOLING


class MinkowskiMaxPooling(_Pooling):
    """The maximum over the voxels of a kernel, channel by channel."""

    mode = PoolingMode.LOCAL_MAX_POOLING


class MinkowskiPoolingTranspose(MinkowskiPoolingBase):
    """Each voxel is added to all voxels of the finer map that its kernel reaches."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any,
        dilation: Any = 1,
        kernel_generator: KernelGenerator | None = None,
        expand_coordinates: bool = False,
        dimension: int | None = None,
    ) -> None:
        if kernel_generator is None and dimension is not None:
            kernel_generator = KernelGenerator(
                kernel_size, stride, dilation, expand_coordinates=expand_coordinates, dimension=dimension
            )
        super().__init__(kernel_size, stride, dilation, kernel_generator, True, dimension=dimension)


def _pool_items(
    rows: Values, mode: PoolingMode, key: CoordinateMapKey, manager: CoordinateManager, field: bool
) -> Values:
    """(batch items, C), from rows in key order or in that of a field."""
    items = manager.field_items(key) if field else manager.batch_rows(key)
    if field:
        items, order = items.sort(stable=True)
        rows = rows.index_select(0, order)
    parts = rows.split(torch.bincount(items, minlength=manager.number_of_unique_batch_indices()).tolist())
    return torch.stack([_reduce(part, mode) for part in parts])


def _reduce(rows: Values, mode: PoolingMode) -> Values:
    """(C,): the sum, the mean or the maximum of (n, C) rows, summed in float32 at least; 0 if there are none."""
    if len(rows) == 0:
        return rows.sum(0)
    if "MAX" in mode.name:
        return rows.max(0).values
    total = rows.sum(0, dtype=torch.promote_types(rows.dtype, torch.float32))
    return (total / len(rows) if "AVG" in mode.name else total).to(rows.dtype)


class MinkowskiGlobalPooling(MinkowskiModuleBase):
    """One row for each batch item: the sum, the mean or the maximum of its voxels or points."""

    def __init__(self, mode: PoolingMode = PoolingMode.GLOBAL_AVG_POOLING_PYTORCH_INDEX) -> None:
        super().__init__()
        if not isinstance(mode, PoolingMode):
            raise AssertionError(f"Mode must be an instance of PoolingMode. mode={mode}")
        if mode in LOCAL:
            raise AssertionError(f"Mode must be a global one. mode={mode.name}")
        self.pooling_mode = mode

    def forward(self, input: Tensor, coordinates: Any = None) -> SparseTensor:
        """(N, C) -> (batch items, C) on the origin map. ``coordinates`` other than that map are not read."""
        manager = input.coordinate_manager
        rows = _pool_items(input.rows, self.pooling_mode, input.key, manager, isinstance(input, TensorField))
        return SparseTensor._on(manager, manager.origin(), rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mode=PoolingMode.{self.pooling_mode.name})"


class MinkowskiGlobalSumPooling(MinkowskiGlobalPooling):
    """The sum of each batch item."""

    def __init__(self, mode: PoolingMode = PoolingMode.GLOBAL_SUM_POOLING_PYTORCH_INDEX) -> None:
        super().__init__(mode)


class MinkowskiGlobalAvgPooling(MinkowskiGlobalPooling):
    """The mean of each batch item."""

    def __init__(self, mode: PoolingMode = PoolingMode.GLOBAL_AVG_POOLING_PYTORCH_INDEX) -> None:
        super().__init__(mode)


class MinkowskiGlobalMaxPooling(MinkowskiGlobalPooling):
    """The maximum of each batch item, channel by channel."""

    def __init__(self, mode: PoolingMode = PoolingMode.GLOBAL_MAX_POOLING_PYTORCH_INDEX) -> None:
        super().__init__(mode)


class MinkowskiLocalPoolingFunction:
    """Pooling of features, as a function with ``apply``."""

    transpose = False

    @classmethod
    def apply(
        cls,
        input_features: Values,
        pooling_mode: PoolingMode,
        kernel_generator: KernelGenerator,
        in_coordinate_map_key: CoordinateMapKey,
        out_coordinate_map_key: CoordinateMapKey | None = None,
        coordinate_manager: CoordinateManager | None = None,
    ) -> Values:
        """(N, C) -> (M, C), rows in the order of coordinates; sets the output's key."""
        if coordinate_manager is None:
            raise AssertionError("coordinate_manager is missing")
        key, out = in_coordinate_map_key, out_coordinate_map_key or CoordinateMapKey(coordinate_manager.D + 1)
        mode = PoolingMode.LOCAL_SUM_POOLING if cls.transpose else pooling_mode
        rows = coordinate_manager.level(key).keyed(input_features)
        result = _pool(rows, mode, kernel_generator, cls.transpose, key, out, coordinate_manager)
        return coordinate_manager.level(out).featured(result)


class MinkowskiLocalPoolingTransposeFunction(MinkowskiLocalPoolingFunction):
    """Transposed pooling of features, as a function with ``apply``."""

    transpose = True


class MinkowskiGlobalPoolingFunction:
    """Pooling of the features of batch items, as a function with ``apply``."""

    @staticmethod
    def apply(
        input_features: Values,
        pooling_mode: PoolingMode,
        in_coordinate_map_key: CoordinateMapKey,
        out_coordinate_map_key: CoordinateMapKey | None = None,
        coordinate_manager: CoordinateManager | None = None,
    ) -> Values:
        """(N, C) -> (batch items, C); sets the output's key. The key may be that of a field."""
        if coordinate_manager is None:
            raise AssertionError("coordinate_manager is missing")
        key, manager = in_coordinate_map_key, coordinate_manager
        if out_coordinate_map_key is not None:
            out_coordinate_map_key.set_key(*manager.origin().name)
        field = manager.is_field(key)
        rows = input_features if field else manager.level(key).keyed(input_features)
        return _pool_items(rows, pooling_mode, key, manager, field)


class MinkowskiDirectMaxPoolingFunction:
    """The maximum over given pairs of rows, as a function with ``apply``."""

    @staticmethod
    def apply(in_map: Values, out_map: Values, in_feat: Values, out_nrows: int, is_sorted: bool = False) -> Values:
        """(P,) rows of features and (P,) of the result, (N, C) features -> (out_nrows, C)."""
        return max_pairs(in_feat, distinct(in_map, out_map, len(in_feat), out_nrows))
