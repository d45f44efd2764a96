"""Sparse convolution as one differentiable operation."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ceco3d.sparse.kernels.protocol import Kernels

Map = TypeVar("Map")


class _SparseConvolution(torch.autograd.Function):
    # ctx: torch types its own attributes only, not those that a function adds. Map and Kernels vary by engine.
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        kernel_map: Any,
        kernels: Kernels[Any],
        cast: Tensor | None,
    ) -> Tensor:
        ctx.weight_dtype = weight.dtype
        weight = weight if cast is None else cast
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
        grad_weight = None if grad_weight is None else grad_weight.to(ctx.weight_dtype)
        grad_bias = grad_out.sum(0, dtype=torch.promote_types(grad_out.dtype, torch.float32)) if needs_bias else None
        return grad_features, grad_weight, grad_bias, None, None, None


def convolve(
    features: Tensor,
    weight: Tensor,
    kernel_map: Map,
    kernels: Kernels[Map],
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    relu: bool = False,
    cast: Tensor | None = None,
) -> Tensor:
    """``out[u] = bias + sum_k features[in_k(u)] @ weight[k]`` over the pairs of ``kernel_map``.

    features (num_in, Cin), weight (K, Cin, Cout), bias (Cout,) -> (num_out, Cout). Under autocast the products use the
    autocast dtype; sums and weight gradients use float32 or wider.

    In inference ``residual`` (num_out, Cout) is added and a ReLU follows, if asked to. RuntimeError where such a result
    would need gradients.

    ``cast`` is the weight in the dtype of the products, if there is such a copy.
    """
    features = features.to(product_dtype(features))
    if residual is not None or relu:
        _check_inference(features, weight, bias, residual)
        residual = None if residual is None else residual.to(features.dtype)
        with torch.autocast(features.device.type, enabled=False):
            return kernels.forward(features, weight if cast is None else cast, bias, kernel_map, residual, relu)
    out: Tensor = _SparseConvolution.apply(  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
        features, weight, bias, kernel_map, kernels, cast
    )
    return out


def _check_inference(*tensors: Tensor | None) -> None:
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors):
        raise RuntimeError(
            "a convolution that adds a residual or ends with a ReLU has no gradients: use torch.no_grad()"
        )


def product_dtype(features: Tensor) -> torch.dtype:
    """The dtype in which a convolution multiplies ``features``: the autocast dtype within autocast, else their own."""
    device = features.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype


def check_features(features: Tensor, weight: Tensor, channels: int) -> None:
    """ValueError unless ``features`` (N, channels) are on the device and of the type of ``weight``.

    Half precision features go with float32 weights, as autocast leaves them, and any types within autocast.
    """
    if features.shape[1] != channels:
        raise ValueError(f"expected {channels} input channels, got {features.shape[1]}")
    if features.device != weight.device:
        raise ValueError(f"features are on {features.device} but weights on {weight.device}: move one with .to()")
    mixes = weight.dtype == torch.float32 and features.dtype in (torch.float16, torch.bfloat16)
    if features.dtype != weight.dtype and not mixes and not torch.is_autocast_enabled(features.device.type):
        raise ValueError(
            f"features are {features.dtype} but weights {weight.dtype}: pass features.to({weight.dtype}), or convert "
            "the network"
        )
