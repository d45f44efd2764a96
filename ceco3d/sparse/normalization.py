"""Batch normalization with the residual and the ReLU that follow it, as one differentiable operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ceco3d.sparse.kernels import normalize
from ceco3d.sparse.kernels.protocol import Norm, NormKernels, Running

Values = tuple[Tensor, Tensor, Tensor, Tensor]  # weight, bias, running mean and variance


def batch_norm(
    bn: nn.BatchNorm1d,
    x: Tensor,
    residual: Tensor | None = None,
    relu: bool = False,
    kernels: NormKernels = normalize,
) -> Tensor:
    """``relu(bn(x) + residual)`` of rows (N, C); updates the running statistics in training, as ``bn`` does.

    Computed by ``kernels`` where they can, else by plain torch. Fewer than two rows have no variance: they use the
    running statistics, in training too.
    """
    values = bn.weight, bn.bias, bn.running_mean, bn.running_var
    if _fuses(bn, values, x, residual) and kernels.supports(x):
        return _fused(bn, cast(Values, values), x, residual, relu, kernels)
    # Other classes may synchronize across processes: each process has to call them, whatever its number of voxels.
    if bn.training and len(x) < 2 and type(bn) is nn.BatchNorm1d:
        out = F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
    else:
        out = bn(x)
    if residual is not None:
        out += residual
    return F.relu_(out) if relu else out


def _fuses(bn: nn.BatchNorm1d, values: Sequence[Tensor | None], x: Tensor, residual: Tensor | None) -> bool:
    """Whether kernels may compute what ``bn`` would. A graph keeps torch's own operations, which compilers know."""
    if torch.compiler.is_compiling():
        return False
    if type(bn) is not nn.BatchNorm1d or bn.momentum is None or x.ndim != 2 or len(x) < 2:
        return False
    if residual is not None and (residual.shape, residual.dtype, residual.device) != (x.shape, x.dtype, x.device):
        return False
    if bn._forward_hooks or bn._forward_pre_hooks or bn._backward_hooks or bn._backward_pre_hooks:
        return False
    shape, device = x.shape[1:], x.device
    for value in values:
        if value is None or value.shape != shape or value.dtype != torch.float32 or value.device != device:
            return False
        if not value.is_contiguous():
            return False
    return True


def _fused(
    bn: nn.BatchNorm1d, values: Values, x: Tensor, residual: Tensor | None, relu: bool, kernels: NormKernels
) -> Tensor:
    weight, bias, mean, variance = values
    assert bn.num_batches_tracked is not None
    assert bn.momentum is not None
    norm = Norm(weight, bias, bn.eps, relu, bn.training)
    running = Running(mean, variance, bn.num_batches_tracked, bn.momentum)
    residual = None if residual is None else residual.contiguous()
    out: Tensor = _Normalization.apply(  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
        x.contiguous(), weight, bias, residual, norm, running, kernels
    )
    return out


class _Normalization(torch.autograd.Function):
    # ctx: torch types its own attributes only, not those that a function adds.
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        norm: Norm,
        running: Running,
        kernels: NormKernels,
    ) -> Tensor:
        out, statistics = kernels.forward(norm, running, x, residual)
        # Without a residual, the backward pass computes from x which outputs ReLU set to zero.
        ctx.save_for_backward(x, weight, bias, statistics, out if norm.relu and residual is not None else None)
        ctx.options, ctx.kernels = norm[2:], kernels
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, statistics, out = ctx.saved_tensors
        norm = Norm(weight, bias, *ctx.options)
        gradients = ctx.kernels.backward(norm, statistics, grad.to(x.dtype), x, out)
        needed = ctx.needs_input_grad
        return *(gradient if needs else None for gradient, needs in zip(gradients, needed, strict=False)), *[None] * 3
