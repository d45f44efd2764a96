"""Gather-GEMM-scatter in plain torch: runs on any device and serves as the reference.

The pairs of an offset are sorted by output row, so each block of output rows owns a contiguous range of them, and the
kernels work block by block. On a CPU the buffers of a block fit the cache; on a GPU a block fills the device. Within an
offset no output row repeats, so every scatter adds distinct rows and the result is deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ceco3d.sparse.maps.kernel_map import KernelMap

CPU_BLOCK_ROWS = 1 << 14
GPU_BLOCK_ROWS = 1 << 20


def prepare(kernel_map: KernelMap) -> None:
    """On a GPU, copy to the host ahead of time what it needs of a map and of its transpose."""
    if kernel_map.in_rows.is_cuda:
        for one in (kernel_map, kernel_map.transposed()):
            one.cuts(GPU_BLOCK_ROWS)


def forward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    kernel_map: KernelMap,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """See ``Kernels.forward``; sums in float32 or wider."""
    weight = weight.to(features.dtype)
    out = features.new_zeros(kernel_map.num_out, weight.shape[2], dtype=_accumulator(features))
    if bias is not None:
        out += bias
    for offset, in_rows, out_rows in _pairs(kernel_map):
        _scatter_add(out, out_rows, _gather(features, in_rows) @ weight[offset])
    if residual is not None:
        out += residual
    return (out.relu_() if relu else out).to(features.dtype)


def backward(
    grad_out: Tensor, features: Tensor, weight: Tensor, kernel_map: KernelMap, needs_features: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """See ``Kernels.backward``."""
    weight, dtype = weight.to(features.dtype), _accumulator(features)
    grad_features = torch.zeros_like(features, dtype=dtype) if needs_features else None
    grad_weight = torch.zeros_like(weight, dtype=dtype) if needs_weight else None
    for offset, in_rows, out_rows in _pairs(kernel_map):
        grad = _gather(grad_out, out_rows)
        if grad_weight is not None:
            # Multiply in the accumulator's dtype: scaled float16 weight gradients exceed 65504.
            grad_weight[offset].addmm_(_gather(features, in_rows).T.to(dtype), grad.to(dtype))
        if grad_features is not None:
            _scatter_add(grad_features, in_rows, grad @ weight[offset].T)
    return None if grad_features is None else grad_features.to(features.dtype), grad_weight


def _pairs(kernel_map: KernelMap) -> Iterator[tuple[int, Tensor | slice, Tensor | slice]]:
    """(offset, input rows, output rows) of every non-empty block; slices where the map is the identity."""
    cuts = kernel_map.cuts(GPU_BLOCK_ROWS if kernel_map.in_rows.is_cuda else CPU_BLOCK_ROWS).tolist()
    for begins, ends in pairwise(cuts):
        for offset, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            if begin == end:
                continue
            if offset == kernel_map.identity:
                rows = slice(begin - kernel_map.starts[offset], end - kernel_map.starts[offset])
                yield offset, rows, rows
            else:
                yield offset, kernel_map.in_rows[begin:end], kernel_map.out_rows[begin:end]


def _gather(values: Tensor, rows: Tensor | slice) -> Tensor:
    # index_select is several times faster than indexing with brackets.
    return values[rows] if isinstance(rows, slice) else values.index_select(0, rows)


def _scatter_add(out: Tensor, rows: Tensor | slice, values: Tensor) -> None:
    if isinstance(rows, slice):
        out[rows] += values
    else:
        out.scatter_add_(0, rows.long()[:, None].expand_as(values), values.to(out.dtype))


def _accumulator(features: Tensor) -> torch.dtype:
    return torch.promote_types(features.dtype, torch.float32)
