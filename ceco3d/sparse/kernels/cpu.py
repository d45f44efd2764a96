"""Implicit-GEMM kernels for the CPU (convolve.cpp): float32, and bfloat16 where the processor has AVX512-BF16.

No temporary grows with the scene: rows are read in place and summed in float32 in a block that fits the cache.
"""

from __future__ import annotations

from ctypes import byref, c_bool, c_int, c_int64

import torch
import torch.nn.functional as F
from torch import Tensor

from ceco3d.sparse.cpp.build import library
from ceco3d.sparse.kernels.arguments import cpp, epilogue, pairs, pointers, rows_per_block, threads
from ceco3d.sparse.maps.kernel_map import KernelMap

BLOCK_ROWS = 2048
MIN_BLOCK_ROWS = 128


def supports(dtype: torch.dtype) -> bool:
    """Whether these kernels run here in ``dtype``: they need a compiler and, for bfloat16, AVX512-BF16."""
    if dtype not in (torch.float32, torch.bfloat16) or library() is None:
        return False
    return dtype == torch.float32 or bool(cpp().ceco3d_has_bf16())


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
        taken, _keep = pairs(kernel_map, BLOCK_ROWS)
        cpp().ceco3d_weight_gradient(
            *_mode(features), byref(taken), *pointers(features, grad_out, grad_weight), *map(c_int64, weight.shape[1:])
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
    offsets, rows, columns = weight.shape if not transpose else (weight.shape[0], weight.shape[2], weight.shape[1])
    half = features.dtype == torch.bfloat16
    if half and rows % 2:  # the processor multiplies bfloat16 in pairs of channels
        features = F.pad(features, (0, 1))
    features, weight = features.contiguous(), weight.float().contiguous()
    depth, panel = -(-rows // 2) if half else rows, cpp().ceco3d_panel()
    panels = -(-columns // panel)
    packed = torch.empty(offsets * panels * depth * panel)
    cpp().ceco3d_pack_weight(
        *_mode(features), *pointers(weight, packed), *map(c_int64, (offsets, rows, columns)), c_bool(transpose)
    )
    out = features.new_empty(kernel_map.num_out, columns)
    after, _parts = epilogue(bias, residual, relu, out)
    taken, _keep = pairs(kernel_map, rows_per_block(kernel_map.num_out, panels, BLOCK_ROWS, MIN_BLOCK_ROWS))
    cpp().ceco3d_convolve(
        *_mode(features),
        byref(taken),
        *pointers(features, packed),
        byref(after),
        *pointers(out),
        c_int64(depth),
        c_int64(columns),
    )
    return out


def _mode(features: Tensor) -> tuple[c_bool, c_int]:
    return c_bool(features.dtype == torch.bfloat16), threads()
