"""Batch normalization with the residual and the ReLU that follow it, as one differentiable operation."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ceco3d.sparse.kernels import normalize
from ceco3d.sparse.kernels.normalize import Norm


def batch_norm(bn: nn.BatchNorm1d, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
    """``relu(bn(x) + residual)`` of rows (N, C); updates the running statistics in training, as ``bn`` does.

    One pass each way on the CPU in float32 and bfloat16, plain torch elsewhere. Fewer than two rows have no variance:
    they use the running statistics, in training too.
    """
    if _fuses(bn, x, residual):
        return _fused(bn, x, residual, relu)
    # Other classes may synchronize across processes: each process has to call them, whatever its number of voxels.
    if bn.training and len(x) < 2 and type(bn) is nn.BatchNorm1d:
        out = F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
    else:
        out = bn(x)
    if residual is not None:
        out += residual
    return F.relu_(out) if relu else out


def _fuses(bn: nn.BatchNorm1d, x: Tensor, residual: Tensor | None) -> bool:
    """Whether the kernels compute what ``bn`` would. A graph keeps torch's own operations, which compilers know."""
    if torch.compiler.is_compiling():
        return False
    if type(bn) is not nn.BatchNorm1d or bn.running_mean is None or bn.running_var is None or bn.momentum is None:
        return False
    if not normalize.supports(x) or x.ndim != 2 or len(x) < 2:
        return False
    if residual is not None and (residual.shape, residual.dtype, residual.device) != (x.shape, x.dtype, x.device):
        return False
    if any((bn._forward_hooks, bn._forward_pre_hooks, bn._backward_hooks, bn._backward_pre_hooks)):
        return False
    values = (bn.weight, bn.bias, bn.running_mean, bn.running_var)
    return all(
        value is not None
        and (value.shape, value.dtype, value.device) == (x.shape[1:], torch.float32, x.device)
        and value.is_contiguous()
        for value in values
    )


def _fused(bn: nn.BatchNorm1d, x: Tensor, residual: Tensor | None, relu: bool) -> Tensor:
    assert bn.running_mean is not None
    assert bn.running_var is not None
    x = x.contiguous()
    if bn.training:
        statistics = normalize.statistics(x.detach())
        _track(bn, statistics, len(x))
    else:
        statistics = torch.stack([bn.running_mean, bn.running_var]).double()
    if residual is not None:
        residual = residual.contiguous()
    out: Tensor = _Normalization.apply(  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
        x, bn.weight, bn.bias, residual, statistics, bn.eps, relu, bn.training
    )
    return out


@torch.no_grad()
def _track(bn: nn.BatchNorm1d, statistics: Tensor, rows: int) -> None:
    """Update the running statistics, with the unbiased variance."""
    assert bn.momentum is not None
    assert bn.running_mean is not None
    assert bn.running_var is not None
    assert bn.num_batches_tracked is not None
    mean, variance = statistics
    bn.running_mean.lerp_(mean.float(), bn.momentum)
    bn.running_var.lerp_((variance * (rows / (rows - 1))).float(), bn.momentum)
    bn.num_batches_tracked.add_(1)


class _Normalization(torch.autograd.Function):
    # ctx: torch types its own attributes only, not those that a function adds.
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        statistics: Tensor,
        eps: float,
        relu: bool,
        training: bool,
    ) -> Tensor:
        out = normalize.forward(Norm(statistics, weight, bias, eps, relu, training), x, residual)
        # Without a residual, the backward pass computes from x which outputs ReLU set to zero.
        ctx.save_for_backward(x, weight, bias, statistics, out if relu and residual is not None else None)
        ctx.options = eps, relu, training
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, statistics, out = ctx.saved_tensors
        grad = grad.to(x.dtype).contiguous()
        gradients = normalize.backward(Norm(statistics, weight, bias, *ctx.options), grad, x, out)
        needed = ctx.needs_input_grad
        return *(gradient if needs else None for gradient, needs in zip(gradients, needed, strict=False)), *[None] * 4
