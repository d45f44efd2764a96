"""Kernels for bfloat16 in the tile registers of AMX (convolve_tiles.cpp, gradient_tiles.cpp).

Sums are float32. The results depend neither on the number of threads nor on the size of the blocks.
"""

from __future__ import annotations

from ctypes import byref, c_bool, c_int64

import torch
import torch.nn.functional as F
from torch import Tensor

from ceco3d.sparse.cpp.build import library
from ceco3d.sparse.kernels.arguments import cpp, epilogue, pairs, pointers, rows_per_block, threads
from ceco3d.sparse.maps.kernel_map import KernelMap

TILE = 16  # rows and columns of a tile
STEP = 32  # channels that one instruction multiplies
COLUMN_TILES = 3
GROUP = 32  # rows whose neighbors lie together
BLOCK_ROWS = 512  # at most; a multiple of GROUP, as the next
GRADIENT_ROWS = 4096
EMULATE = False  # True: the same kernels on tiles in plain C++, slow, for tests on processors without AMX


def supports(dtype: torch.dtype) -> bool:
    """Whether these kernels run here in ``dtype``: they need a compiler, AMX, and a system that allows it."""
    return dtype == torch.bfloat16 and library() is not None and (EMULATE or bool(cpp().ceco3d_has_tiles()))


def forward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    kernel_map: KernelMap,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """See ``Kernels.forward``."""
    return _convolve(features, weight, kernel_map, bias, residual, relu)


def backward(
    grad_out: Tensor, features: Tensor, weight: Tensor, kernel_map: KernelMap, needs_features: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """See ``Kernels.backward``; the weight gradient is float32."""
    grad_features = grad_weight = None
    if needs_features:
        grad_features = _convolve(grad_out, weight, kernel_map.transposed(), transpose=True)
    if needs_weight:
        grad_weight = torch.empty(weight.shape, dtype=torch.float32)
        features, grad_out = features.contiguous(), grad_out.contiguous()
        taken, _keep = pairs(kernel_map, GRADIENT_ROWS)
        cpp().ceco3d_tiles_weight_gradient(
            c_bool(EMULATE),
            threads(),
            byref(taken),
            *pointers(features, grad_out, grad_weight),
            *map(c_int64, weight.shape[1:]),
        )
    return grad_features, grad_weight


def _convolve(
    features: Tensor,
    weight: Tensor,
    kernel_map: KernelMap,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    relu: bool = False,
    transpose: bool = False,
) -> Tensor:
    offsets, channels, columns = weight.shape if not transpose else (weight.shape[0], weight.shape[2], weight.shape[1])
    steps, tiles = -(-channels // STEP), -(-columns // TILE)
    features = (F.pad(features, (0, STEP * steps - channels)) if channels % STEP else features).contiguous()
    weight = weight.float().contiguous()
    packed = torch.empty(offsets * steps * tiles * TILE * TILE, dtype=torch.int32)
    cpp().ceco3d_tiles_pack_weight(
        threads(), *pointers(weight, packed), *map(c_int64, (offsets, channels, columns)), c_bool(transpose)
    )
    out = features.new_empty(kernel_map.num_out, columns)
    after, _parts = epilogue(bias, residual, relu, out)
    rows, used = kernel_map.kept("tiles", _neighbors)
    block_rows = rows_per_block(kernel_map.num_out, -(-tiles // COLUMN_TILES), BLOCK_ROWS, GROUP)
    cpp().ceco3d_tiles_convolve(
        c_bool(EMULATE),
        threads(),
        *pointers(rows, used, features, packed),
        byref(after),
        *pointers(out),
        *map(c_int64, (kernel_map.num_out, block_rows, offsets, steps, columns)),
    )
    return out


def _neighbors(kernel_map: KernelMap) -> tuple[Tensor, Tensor]:
    """The input rows of groups of output rows, and which tiles have any: ``struct Neighbors`` of convolve_tiles.cpp."""
    taken, _keep = pairs(kernel_map, GRADIENT_ROWS)
    groups, offsets = -(-kernel_map.num_out // GROUP), len(kernel_map.starts) - 1
    rows = torch.empty(groups, offsets, GROUP, dtype=torch.int32)
    used = torch.empty(groups, offsets, dtype=torch.uint8)
    cpp().ceco3d_tiles_neighbors(threads(), byref(taken), *pointers(rows, used))
    return rows, used
