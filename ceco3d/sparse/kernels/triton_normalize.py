"""Batch normalization with a residual and ReLU in Triton, for float32, float16 and bfloat16 rows: ``NormKernels``.

Two launches forward in training (one in evaluation) and two backward. Each reads the rows once. Sums are cut by the
number of rows alone, so every run and every GPU adds in the same order.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ceco3d.sparse.kernels import triton_normalize_kernels as kernels
from ceco3d.sparse.kernels.protocol import Norm, Running
from ceco3d.sparse.kernels.triton_launch import cdiv, device_of, unsupported

BLOCK_CHANNELS = 128  # at most
BLOCK_VALUES = 4096  # rows times channels of a step: 32 a thread
STEPS, PARTS = 4, 256  # steps of a part at least, and parts at most: fills 132 processors twice


def supports(x: Tensor) -> bool:
    """See ``NormKernels.supports``."""
    return unsupported(x.device, x.dtype) is None


def forward(norm: Norm, running: Running, x: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
    """See ``NormKernels.forward``."""
    grid, sizes = _launch(*x.shape)
    sums = _sums(grid, x) if norm.training else None
    out, moments = torch.empty_like(x), x.new_empty(3, x.shape[1], dtype=torch.float32)
    with device_of(x):
        if norm.training:
            kernels.statistics[grid](x, sums, **sizes)
        kernels.normalize[grid](
            *(x, residual, out, sums, moments, norm.weight, norm.bias),
            *(running.mean, running.variance, running.batches, running.momentum, norm.eps),
            **sizes,
            TRAINING=norm.training,
            RESIDUAL=residual is not None,
            RELU=norm.relu,
        )
    return out, moments


def backward(
    norm: Norm, statistics: Tensor, grad: Tensor, x: Tensor, out: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See ``NormKernels.backward``."""
    grad = grad if grad.stride(1) == 1 else grad.contiguous()
    grid, sizes = _launch(*x.shape)
    sums, passed = _sums(grid, x), None if out is None else torch.empty_like(x)
    grad_x, grad_weight, grad_bias = torch.empty_like(x), torch.empty_like(norm.weight), torch.empty_like(norm.bias)
    mask = "" if not norm.relu else "input" if out is None else "output"
    with device_of(x):
        kernels.gradient_sums[grid](
            *(grad, grad.stride(0), x, out, passed, sums, statistics, norm.weight, norm.bias), **sizes, MASK=mask
        )
        if passed is not None:
            grad, mask = passed, ""
        kernels.gradient[grid](
            *(grad, grad.stride(0), x, grad_x, grad_weight, grad_bias, sums, statistics, norm.weight, norm.bias),
            **sizes,
            MASK=mask,
            TRAINING=norm.training,
        )
    return grad_x, grad_weight, grad_bias, grad


@lru_cache(maxsize=1024)  # the layers of a level share it
def _launch(rows: int, channels: int) -> tuple[tuple[int, int], dict[str, int]]:
    """The grid (parts, blocks of channels), and the arguments that all kernels share."""
    block_channels = min(1 << (channels - 1).bit_length(), BLOCK_CHANNELS)
    block_rows = BLOCK_VALUES // block_channels
    steps = max(STEPS, cdiv(rows, block_rows * PARTS))
    grid = cdiv(rows, steps * block_rows), cdiv(channels, block_channels)
    blocks = {"BLOCK_ROWS": block_rows, "BLOCK_CHANNELS": block_channels}
    return grid, {"rows": rows, "channels": channels, "steps": steps} | blocks


def _sums(grid: tuple[int, int], x: Tensor) -> Tensor:
    """Memory for two sums of each part, and for the pivot."""
    return x.new_empty(2 * grid[0] + 1, x.shape[1], dtype=torch.float32)
