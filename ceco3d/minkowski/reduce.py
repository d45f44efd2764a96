"""Sums, means and maxima of feature rows over the pairs of a kernel map."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ceco3d.sparse.maps import KernelMap


class _Sum(torch.autograd.Function):
    # ctx: torch types its own attributes only, not those that a function adds.
    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.kernel_map = kernel_map
        return _add(features, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        return _add(grad, ctx.kernel_map.transposed()), None


class _Max(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, in_rows: Tensor, out_rows: Tensor, num_out: int) -> Tensor:
        values = features.index_select(0, in_rows)
        places = out_rows.long()[:, None].expand_as(values)
        out = values.new_zeros(num_out, values.shape[1]).scatter_reduce(0, places, values, "amax", include_self=False)
        reached = values == out.index_select(0, out_rows)
        rows = torch.where(reached, in_rows.long()[:, None], len(features))
        winner = rows.new_full(out.shape, len(features)).scatter_reduce(0, places, rows, "amin")
        ctx.save_for_backward(winner)
        ctx.num_in = len(features)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (winner,) = ctx.saved_tensors
        out = grad.new_zeros(ctx.num_in + 1, grad.shape[1]).scatter_add_(0, winner, grad)
        return out[:-1], None, None, None


class _Weighted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        out = features.new_zeros(kernel_map.num_out, features.shape[1], dtype=_wide(features))
        for k, ins, outs in _offsets(kernel_map):
            out.index_add_(0, outs, features.index_select(0, ins) * weight[k].to(out.dtype))
        return out.to(features.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        grad_features = torch.zeros_like(features, dtype=_wide(features))
        grad_weight = torch.zeros_like(weight)
        for k, ins, outs in _offsets(ctx.kernel_map):
            taken = grad.index_select(0, outs).to(grad_features.dtype)
            grad_weight[k] = (taken * features.index_select(0, ins)).sum(0)
            grad_features.index_add_(0, ins, taken * weight[k].to(taken.dtype))
        return grad_features.to(features.dtype), grad_weight, None


def sum_pairs(features: Tensor, kernel_map: KernelMap) -> Tensor:
    """``out[o] = sum of features[i]`` over the pairs (i, o): (num_in, C) -> (num_out, C)."""
    out: Tensor = _Sum.apply(features, kernel_map)
    return out


def mean_pairs(features: Tensor, kernel_map: KernelMap) -> Tensor:
    """The mean over the pairs; 0 for rows without any."""
    (counts,) = kernel_map.kept("counts", _counts)
    return sum_pairs(features, kernel_map) / counts[:, None].to(features.dtype)


def max_pairs(features: Tensor, kernel_map: KernelMap) -> Tensor:
    """The maximum over the pairs, channel by channel; 0 for rows without any.

    The first of equal rows gets the gradient.
    """
    return max_rows(features, kernel_map.in_rows, kernel_map.out_rows, kernel_map.num_out)


def sum_rows(features: Tensor, place: Tensor, count: int, mean: bool = False) -> Tensor:
    """The sum, or the mean, of the (N, C) features with the same place (N,): (count, C), 0 where there are none."""
    out = features.new_zeros(count, features.shape[1], dtype=_wide(features))
    out = out.index_add(0, place, features.to(out.dtype))
    if mean:
        out = out / torch.bincount(place, minlength=count).clamp_(min=1)[:, None].to(out.dtype)
    return out.to(features.dtype)


def max_rows(features: Tensor, in_rows: Tensor, out_rows: Tensor, num_out: int) -> Tensor:
    """``max_pairs`` of the pairs (P,), (P,)."""
    out: Tensor = _Max.apply(features, in_rows, out_rows, num_out)
    return out


def weighted_pairs(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """``out[o] = sum of features[i] * weight[k]`` over the pairs of each offset k.

    (num_in, C), (K, C) -> (num_out, C).
    """
    out: Tensor = _Weighted.apply(features, weight, kernel_map)
    return out


def _offsets(kernel_map: KernelMap) -> Iterator[tuple[int, Tensor, Tensor]]:
    for k, (start, end) in enumerate(pairwise(kernel_map.starts)):
        if start < end:
            yield k, kernel_map.in_rows[start:end], kernel_map.out_rows[start:end]


def _wide(features: Tensor) -> torch.dtype:
    """The type of sums: wider than half precision. Integers keep theirs."""
    return torch.promote_types(features.dtype, torch.float32) if features.is_floating_point() else features.dtype


def _counts(kernel_map: KernelMap) -> tuple[Tensor, ...]:
    return (torch.bincount(kernel_map.out_rows, minlength=kernel_map.num_out).clamp_(min=1),)


def _add(features: Tensor, kernel_map: KernelMap) -> Tensor:
    out = features.new_zeros(kernel_map.num_out, features.shape[1], dtype=_wide(features))
    for _, ins, outs in _offsets(kernel_map):
        out.index_add_(0, outs, features.index_select(0, ins).to(out.dtype))
    return out.to(features.dtype)
