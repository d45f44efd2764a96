"""Linear interpolation between voxels and points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor as Values

from ceco3d.minkowski.common import MinkowskiModuleBase
from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.reduce import sum_rows
from ceco3d.minkowski.sparse_tensor import SparseTensor

if TYPE_CHECKING:
    from ceco3d.minkowski.tensor_field import TensorField


def _mix(features: Values, ins: Values, outs: Values, weights: Values, count: int) -> Values:
    """``out[o] = sum of w * features[i]`` over triples (i, o, w)."""
    values = features.index_select(0, ins) * weights[:, None].to(features.dtype)
    return sum_rows(values, outs, count)


def interpolate(x: SparseTensor, points: Values) -> tuple[Values, Values, Values, Values]:
    """(M, C) features at (M, 1 + D) float points; then the pairs (voxel, point) and their weights, each (P,)."""
    return MinkowskiInterpolationFunction.apply(x.F, points, x.coordinate_map_key, x.coordinate_manager)


def splat(field: TensorField) -> SparseTensor:
    """The corners of the cells of all points, each the sum of the points' features times their linear weights."""
    manager, points = field.coordinate_manager, field.C
    corners = torch.cartesian_prod(*[torch.arange(2, device=points.device)] * manager.D).reshape(-1, manager.D)
    corners = torch.nn.functional.pad(corners, (1, 0))
    places = (points.floor().long()[:, None] + corners).flatten(0, 1)
    key, _ = manager.insert_and_map(places)
    voxels, rows, weights = manager.interpolation_map_weight(key, points)
    return SparseTensor(
        _mix(field.F, rows, voxels, weights, manager.size(key)), coordinate_map_key=key, coordinate_manager=manager
    )


class MinkowskiInterpolation(MinkowskiModuleBase):
    """The features of a tensor at points, linear between voxels; absent voxels count as zeros."""

    def __init__(self, return_kernel_map: bool = False, return_weights: bool = False) -> None:
        super().__init__()
        self.return_kernel_map, self.return_weights = return_kernel_map, return_weights

    # The return type depends on the two settings, as in MinkowskiEngine.
    def forward(self, input: SparseTensor, tfield: Values) -> object:
        """(N, C), (M, 1 + D) float -> (M, C), and the pairs (voxels (P,), points (P,)) and weights, if asked for."""
        features, ins, outs, weights = interpolate(input, tfield)
        extra: list[object] = [(ins, outs)] if self.return_kernel_map else []
        extra += [weights] if self.return_weights else []
        return (features, *extra) if extra else features

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MinkowskiInterpolationFunction:
    """Interpolation of features, as a function with ``apply``."""

    @staticmethod
    def apply(
        input_features: Values,
        tfield: Values,
        in_coordinate_map_key: CoordinateMapKey,
        coordinate_manager: CoordinateManager,
    ) -> tuple[Values, Values, Values, Values]:
        """(N, C), (M, 1 + D) -> (M, C) features, then the pairs (voxel, point) and their weights, each (P,)."""
        ins, outs, weights = coordinate_manager.interpolation_map_weight(in_coordinate_map_key, tfield)
        return _mix(input_features, ins, outs, weights, len(tfield)), ins, outs, weights
