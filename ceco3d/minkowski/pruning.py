"""Pruning: keep some voxels."""

from __future__ import annotations

from torch import Tensor as Values

from ceco3d.minkowski.common import MinkowskiModuleBase
from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.sparse_tensor import SparseTensor


def _check(mask: Values, rows: int) -> None:
    if mask.ndim != 1 or len(mask) != rows or mask.dtype.is_floating_point:
        raise ValueError(f"the mask must be ({rows},) bool, got {tuple(mask.shape)} {mask.dtype}")


class MinkowskiPruning(MinkowskiModuleBase):
    """Keeps the voxels whose mask is true."""

    def forward(self, input: SparseTensor, mask: Values) -> SparseTensor:
        """(N, C), (N,) bool in the order of ``C`` -> (M, C), in the same order."""
        if not isinstance(input, SparseTensor):
            raise AssertionError(f"expected a SparseTensor, got {type(input).__name__}")
        _check(mask, len(input))
        manager = input.coordinate_manager
        key, kept = manager.prune(input.coordinate_map_key, mask.to(input.device).bool())
        return SparseTensor._on(manager, key, input.rows.index_select(0, kept))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MinkowskiPruningFunction:
    """Pruning of features, as a function with ``apply``."""

    @staticmethod
    def apply(
        in_feat: Values,
        mask: Values,
        in_coords_key: CoordinateMapKey,
        out_coords_key: CoordinateMapKey,
        coords_manager: CoordinateManager,
    ) -> Values:
        """(N, C), (N,) bool -> (M, C), rows in the order of coordinates; names the new map in ``out_coords_key``."""
        _check(mask, len(in_feat))
        key, _ = coords_manager.prune(in_coords_key, mask.to(in_feat.device).bool())
        out_coords_key.set_key(*key.name)
        return in_feat[mask.to(in_feat.device).bool()]
