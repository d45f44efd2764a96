"""``engine=triton``: the layers of ``ceco3d.sparse`` with Triton kernels, under the same names.

Where the kernels cannot run (``unsupported`` gives the reason), the layers compute as those of ``engine=native``, on a
GPU with one warning. Parameters, results and row order are the same.

Importing this module raises a one-line ImportError when Triton is missing.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

from ceco3d.sparse import modules
from ceco3d.sparse.convolution import product_dtype
from ceco3d.sparse.kernels.protocol import Kernels
from ceco3d.sparse.kernels.triton_launch import unsupported
from ceco3d.sparse.modules import BatchNorm, ReLU
from ceco3d.sparse.tensor import SparseTensor, cat

try:
    from ceco3d.sparse.kernels import triton_convolve
    from ceco3d.sparse.kernels.triton_map import build_tile_maps
except ModuleNotFoundError as error:
    raise ImportError(f"{error}: pip install triton, which has wheels for Linux") from error

__all__ = ["BatchNorm", "Convolution", "ReLU", "SparseTensor", "TransposedConvolution", "cat", "unsupported"]


class _Tiled(modules.ConvolutionBase):
    def _kernel_map(self, x: SparseTensor, fine: int, coarse: int) -> tuple[Any, Kernels[Any]]:
        reason = unsupported(x.rows.device, product_dtype(x.rows))
        if reason is not None:
            if x.rows.device.type != "cpu":  # on a CPU it is what ``engine=auto`` means
                _warn_once(reason)
            return super()._kernel_map(x, fine, coarse)
        return x.manager.kernel_map(fine, coarse, self.kernel_size, build_tile_maps), triton_convolve


class Convolution(_Tiled, modules.Convolution):
    """Sparse convolution. Stride 1 keeps the voxels (submanifold); stride s makes the level s times coarser."""


class TransposedConvolution(_Tiled, modules.TransposedConvolution):
    """The transpose of a strided convolution: returns to the voxels of the existing finer level."""


@cache
def _warn_once(reason: str) -> None:
    warnings.warn(f"engine=triton falls back to engine=native: {reason}", stacklevel=2)
