"""Sparse convolution as one differentiable operation."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ceco3d.sparse.kernel_map import KernelMap
from ceco3d.sparse.kernels import cpu, gather_gemm


class _SparseConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, kernel_map: KernelMap, dtype: torch.dtype
    ) -> Tensor:
        features = features.to(dtype)
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        with torch.autocast(features.device.type, enabled=False):
            return _kernels(features).forward(features, weight, bias, kernel_map)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        needs_features, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        with torch.autocast(features.device.type, enabled=False):
            grad_features, grad_weight = _kernels(features).backward(
                grad_out.to(features.dtype), features, weight, ctx.kernel_map, needs_features, needs_weight
            )
        grad_weight = None if grad_weight is None else grad_weight.to(weight.dtype)
        return grad_features, grad_weight, grad_out.sum(0) if needs_bias else None, None, None


def convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap, bias: Tensor | None = None) -> Tensor:
    """``out[u] = bias + sum_k features[in_k(u)] @ weight[k]`` over the pairs of ``kernel_map``.

    features (num_in, Cin), weight (K, Cin, Cout), bias (Cout,) -> (num_out, Cout). Under autocast the products are
    taken in the autocast dtype; sums and the weight gradient are float32 at least.
    """
    device = features.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
    return _SparseConvolution.apply(features, weight, bias, kernel_map, dtype)


def _kernels(features: Tensor) -> ModuleType:
    """What computes for these features."""
    return cpu if features.device.type == "cpu" and cpu.supports(features.dtype) else gather_gemm
