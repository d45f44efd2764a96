"""Sparse convolution as one differentiable operation."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ceco3d.sparse.kernels import cpu, gather_gemm


class _SparseConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, kernel_map: Any, kernels: ModuleType
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.kernel_map, ctx.kernels = kernel_map, kernels
        with torch.autocast(features.device.type, enabled=False):
            return kernels.forward(features, weight, bias, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        needs_features, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        with torch.autocast(features.device.type, enabled=False):
            grad_features, grad_weight = ctx.kernels.backward(
                grad_out.to(features.dtype), features, weight, ctx.kernel_map, needs_features, needs_weight
            )
        grad_weight = None if grad_weight is None else grad_weight.to(weight.dtype)
        grad_bias = grad_out.sum(0, dtype=torch.promote_types(grad_out.dtype, torch.float32)) if needs_bias else None
        return grad_features, grad_weight, grad_bias, None, None


def convolve(
    features: Tensor, weight: Tensor, kernel_map: Any, bias: Tensor | None = None, kernels: ModuleType | None = None
) -> Tensor:
    """``out[u] = bias + sum_k features[in_k(u)] @ weight[k]`` over the pairs of ``kernel_map``.

    features (num_in, Cin), weight (K, Cin, Cout), bias (Cout,) -> (num_out, Cout). Under autocast the products are
    taken in the autocast dtype; sums and the weight gradient are float32 at least.
    ``kernels`` are the functions ``forward`` and ``backward`` that compute, on a ``kernel_map`` of theirs; by default
    the C++ ones where they support the features, else those in plain torch, on a KernelMap.
    """
    features = features.to(product_dtype(features))
    if kernels is None:
        kernels = cpu if features.device.type == "cpu" and cpu.supports(features.dtype) else gather_gemm
    return _SparseConvolution.apply(features, weight, bias, kernel_map, kernels)


def product_dtype(features: Tensor) -> torch.dtype:
    """What a convolution of ``features`` is computed in: the autocast dtype within autocast, else their own."""
    device = features.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
