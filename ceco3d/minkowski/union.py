"""Union: the sum of tensors on different voxels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor as Values
from torch import nn

from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.sparse_tensor import SparseTensor


class MinkowskiUnion(nn.Module):
    """The sum of two or more tensors on all their voxels; absent voxels count as zeros."""

    def forward(self, *inputs: SparseTensor) -> SparseTensor:
        """(N1, C), (N2, C), ... -> (M, C). AssertionError unless all share a coordinate manager."""
        if len(inputs) < 2 or not all(isinstance(x, SparseTensor) for x in inputs):
            raise AssertionError("input must be a set with at least 2 SparseTensors")
        manager = inputs[0].coordinate_manager
        if any(x.coordinate_manager is not manager for x in inputs):
            raise AssertionError("Invalid coordinate manager. All inputs must have the same coordinate manager.")
        out = CoordinateMapKey(manager.D + 1)
        keys = [x.coordinate_map_key for x in inputs]
        rows = MinkowskiUnionFunction.apply(keys, out, manager, *(x.F for x in inputs))
        return SparseTensor._on(manager, out, rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MinkowskiUnionFunction:
    """Union of features, as a function with ``apply``."""

    @staticmethod
    def apply(
        in_coords_keys: Sequence[CoordinateMapKey],
        out_coords_key: CoordinateMapKey,
        coordinate_manager: CoordinateManager,
        *in_feats: Values,
    ) -> Values:
        """(N1, C), (N2, C), ... -> (M, C), rows in the order of coordinates; sets the output's key."""
        if len(in_feats) < 2 or len(in_feats) != len(in_coords_keys):
            raise AssertionError("The input features and keys must have the same length, at least 2")
        maps = coordinate_manager.union_map(in_coords_keys, out_coords_key)
        out = in_feats[0].new_zeros(coordinate_manager.size(out_coords_key), in_feats[0].shape[1])
        for features, (ins, outs) in zip(in_feats, maps, strict=True):
            out = out.index_add(0, outs, features.index_select(0, ins))
        return out
