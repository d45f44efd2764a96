"""Batch and instance normalization."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from ceco3d.minkowski.broadcast import MinkowskiBroadcastAddition, MinkowskiBroadcastMultiplication
from ceco3d.minkowski.common import MinkowskiModuleBase
from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.modes import PoolingMode
from ceco3d.minkowski.pooling import MinkowskiGlobalAvgPooling
from ceco3d.minkowski.rowwise import Either, rowwise
from ceco3d.minkowski.sparse_tensor import SparseTensor
from ceco3d.sparse.kernels import normalize
from ceco3d.sparse.kernels.protocol import NormKernels
from ceco3d.sparse.normalization import batch_norm


class MinkowskiBatchNorm(nn.Module):
    """``torch.nn.BatchNorm1d`` over all rows of the batch; ``bn`` holds parameters and statistics.

    Fewer than two rows have no variance: they use the running statistics, in training too.
    """

    bn: nn.BatchNorm1d | nn.SyncBatchNorm

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(num_features, eps, momentum, affine, track_running_stats)

    def forward(self, input: Either) -> Either:
        """(N, C) -> (N, C) on the same coordinates."""
        bn = self.bn
        if isinstance(bn, nn.BatchNorm1d) and bn.track_running_stats:
            return rowwise(input, lambda rows: batch_norm(bn, rows, kernels=_kernels(rows)))
        return rowwise(input, bn)

    def __repr__(self) -> str:
        bn = self.bn
        return (
            f"{type(self).__name__}({bn.num_features}, eps={bn.eps}, momentum={bn.momentum}, affine={bn.affine}, "
            f"track_running_stats={bn.track_running_stats})"
        )


def _kernels(rows: Tensor) -> NormKernels:
    if rows.is_cuda and find_spec("triton") is not None:
        from ceco3d.sparse.kernels import triton_normalize

        if triton_normalize.supports(rows):
            return triton_normalize
    return normalize


class MinkowskiSyncBatchNorm(MinkowskiBatchNorm):
    """``torch.nn.SyncBatchNorm``: statistics over the rows of all processes of ``process_group`` (default: all)."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
    ) -> None:
        nn.Module.__init__(self)
        self.bn = nn.SyncBatchNorm(num_features, eps, momentum, affine, track_running_stats, process_group)

    @classmethod
    def convert_sync_batchnorm(cls, module: nn.Module, process_group: Any = None) -> nn.Module:
        """``module`` with a MinkowskiSyncBatchNorm in place of each MinkowskiBatchNorm; they share the parameters."""
        result = module
        if isinstance(module, MinkowskiBatchNorm) and not isinstance(module, MinkowskiSyncBatchNorm):
            old = module.bn
            result = cls(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats, process_group)
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(result.bn, name, getattr(old, name))
            result.train(module.training)
            return result
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


def _standardize(x: SparseTensor, eps: float) -> SparseTensor:
    """Zero mean and unit variance for each channel of each batch item, computed in float32 at least."""
    mean, add, multiply = MinkowskiGlobalAvgPooling(), MinkowskiBroadcastAddition(), MinkowskiBroadcastMultiplication()
    with torch.autocast(x.device.type, enabled=False):
        wide = x if x.dtype in (torch.float32, torch.float64) else rowwise(x, Tensor.float)
        centered = add(wide, rowwise(mean(wide), torch.neg))
        variance = mean(rowwise(centered, torch.square))
        return multiply(centered, rowwise(variance, lambda rows: torch.rsqrt(rows + eps)))


class MinkowskiInstanceNormFunction:
    """The normalization of ``MinkowskiInstanceNorm`` on features and a key."""

    @staticmethod
    def apply(
        in_feat: Tensor,
        in_coords_key: CoordinateMapKey,
        glob_coords_key: CoordinateMapKey | None = None,
        coords_manager: CoordinateManager | None = None,
        gpooling_mode: PoolingMode = PoolingMode.GLOBAL_AVG_POOLING_KERNEL,
    ) -> Tensor:
        """(N, C) features on the map ``in_coords_key`` -> (N, C) with zero mean and unit variance per batch item."""
        x = SparseTensor(in_feat, coordinate_map_key=in_coords_key, coordinate_manager=coords_manager)
        return _standardize(x, 1e-8).F


class MinkowskiInstanceNorm(MinkowskiModuleBase):
    """Zero mean and unit variance for each channel of each batch item (eps 1e-8), then ``weight`` and ``bias``."""

    eps = 1e-8

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.weight = nn.Parameter(torch.ones(1, num_features))
        self.bias = nn.Parameter(torch.zeros(1, num_features))

    def reset_parameters(self) -> None:
        """Set ``weight`` to 1 and ``bias`` to 0."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, input: SparseTensor) -> SparseTensor:
        """(N, C) -> (N, C) on the same coordinates. TypeError for anything but a SparseTensor."""
        if not isinstance(input, SparseTensor):
            raise TypeError(f"expected a SparseTensor, got {type(input).__name__}")
        normal = _standardize(input, self.eps)
        return rowwise(normal, lambda rows: (rows * self.weight + self.bias).to(input.dtype))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(nchannels={self.num_features})"


class MinkowskiStableInstanceNorm(MinkowskiInstanceNorm):
    """``MinkowskiInstanceNorm`` with eps 1e-6."""

    eps = 1e-6
