"""``engine=triton``: the layers of ``ceco3d.sparse`` with Triton kernels, under the same names.

Where the kernels cannot run (``unsupported`` gives the reason), the layers compute as those of ``engine=native``, on a
GPU with one warning. Parameters, results and row order are the same.

Importing this module raises a one-line ImportError when Triton is missing.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ceco3d.sparse import modules
from ceco3d.sparse.entropy import cross_entropy as plain_cross_entropy
from ceco3d.sparse.kernels.protocol import Kernels, NormKernels
from ceco3d.sparse.kernels.triton_launch import unsupported
from ceco3d.sparse.maps.kernel_map import CoordinateManager
from ceco3d.sparse.modules import ReLU
from ceco3d.sparse.tensor import SparseTensor, cat

try:
    from ceco3d.sparse.kernels import triton_convolve, triton_cross_entropy, triton_normalize
    from ceco3d.sparse.kernels.triton_map import build_tile_maps
except ModuleNotFoundError as error:
    raise ImportError(f"{error}: pip install triton, which has wheels for Linux") from error

__all__ = [
    "BatchNorm",
    "Convolution",
    "ReLU",
    "SparseTensor",
    "TransposedConvolution",
    "cat",
    "cross_entropy",
    "unsupported",
]


class _Tiled(modules.ConvolutionBase):
    engine = "triton"

    @classmethod
    def find_map(
        cls,
        manager: CoordinateManager,
        fine: int,
        coarse: int,
        kernel_size: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> tuple[Any, Kernels[Any]]:
        reason = unsupported(device, dtype)
        if reason is not None:
            if device.type != "cpu":  # on a CPU it is what ``engine=auto`` means
                _warn_once(reason)
            return super().find_map(manager, fine, coarse, kernel_size, device, dtype)
        return manager.kernel_map(fine, coarse, kernel_size, build_tile_maps), triton_convolve

    def takes_cast(self, device: torch.device, dtype: torch.dtype) -> bool:
        return self.kernel.dtype != dtype and unsupported(device, dtype) is None


class Convolution(_Tiled, modules.Convolution):
    """Sparse convolution. Stride 1 keeps the voxels (submanifold); stride s makes the level s times coarser."""


class TransposedConvolution(_Tiled, modules.TransposedConvolution):
    """The transpose of a strided convolution: returns to the voxels of the existing finer level."""


class BatchNorm(modules.BatchNorm):
    """Batch normalization over all voxels of the batch, and the residual and the ReLU that follow it."""

    def _kernels(self, x: Tensor) -> NormKernels:
        return triton_normalize if triton_normalize.supports(x) else super()._kernels(x)


def cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, offset: Tensor | None, label_smoothing: float
) -> Tensor:
    """See ``ceco3d.sparse.cross_entropy``."""
    compute = triton_cross_entropy.cross_entropy if triton_cross_entropy.supports(logits) else plain_cross_entropy
    return compute(logits, labels, weight, offset, label_smoothing)


@cache
def _warn_once(reason: str) -> None:
    warnings.warn(f"engine=triton falls back to engine=native: {reason}", stacklevel=2)
