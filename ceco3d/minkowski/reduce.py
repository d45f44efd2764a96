"""Sums, means and maxima of feature rows over the pairs of a kernel map.

Within an offset no row repeats, so the offsets are gone through one by one: results do not depend on threads, and
memory does not grow with the number of offsets.
"""

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
        return _sum(features, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        return _sum(grad, ctx.kernel_map.transposed()), None


class _Max(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel_map: KernelMap) -> Tensor:
        out = features.new_full((kernel_map.num_out, features.shape[1]), -torch.inf)
        for _, ins, outs in _offsets(kernel_map):
            out[outs] = torch.maximum(out.index_select(0, outs), features.index_select(0, ins))
        out = torch.where(_counts(kernel_map)[:, None] > 0, out, 0)
        ctx.save_for_backward(features, out)
        ctx.kernel_map = kernel_map
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        features, out = ctx.saved_tensors
        grad_features = torch.zeros_like(features)
        left = grad.clone()
        for _, ins, outs in _offsets(ctx.kernel_map):
            reached = features.index_select(0, ins) == out.index_select(0, outs)
            here = left.index_select(0, outs)
            _add(grad_features, ins, torch.where(reached, here, 0))
            left[outs] = torch.where(reached, 0, here)
        return grad_features, None


class _Weighted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        out = features.new_zeros(kernel_map.num_out, features.shape[1], dtype=_wide(features))
        for k, ins, outs in _offsets(kernel_map):
            _add(out, outs, features.index_select(0, ins) * weight[k].to(out.dtype))
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
            _add(grad_features, ins, taken * weight[k].to(taken.dtype))
        return grad_features.to(features.dtype), grad_weight, None


def sum_pairs(features: Tensor, kernel_map: KernelMap) -> Tensor:
    """``out[o] = sum of features[i]`` over the pairs (i, o): (num_in, C) -> (num_out, C)."""
    out: Tensor = _Sum.apply(features, kernel_map)
    return out


def mean_pairs(features: Tensor, kernel_map: KernelMap) -> Tensor:
    """The mean over the pairs; 0 for rows without any."""
    return sum_pairs(features, kernel_map) / _counts(kernel_map).clamp(min=1)[:, None].to(features.dtype)


def max_pairs(features: Tensor, kernel_map: KernelMap) -> Tensor:
    """The maximum over the pairs, channel by channel; 0 for rows without any.

    Of equal rows that of the first offset gets the gradient.
    """
    out: Tensor = _Max.apply(features, kernel_map)
    return out


def weighted_pairs(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """``out[o] = sum of features[i] * weight[k]`` over the pairs of each offset k.

    (num_in, C), (K, C) -> (num_out, C).
    """
    out: Tensor = _Weighted.apply(features, weight, kernel_map)
    return out


def distinct(in_rows: Tensor, out_rows: Tensor, num_in: int, num_out: int) -> KernelMap:
    """A kernel map of any pairs of rows (P,): as many offsets as needed for no output row to repeat within one.

    The pairs of an output row keep their order.
    """
    out_rows, order = out_rows.long().sort(stable=True)
    counts = torch.bincount(out_rows, minlength=num_out)
    rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[out_rows]
    rank, again = rank.sort(stable=True)
    starts = torch.cat([rank.new_zeros(1), torch.bincount(rank, minlength=1).cumsum(0)]).tolist()
    return KernelMap(in_rows.int()[order][again], out_rows[again].int(), tuple(starts), num_in, num_out)


def sum_rows(features: Tensor, place: Tensor, count: int, mean: bool = False) -> Tensor:
    """The sum, or the mean, of the (N, C) features with the same place (N,): (count, C), 0 where there are none."""
    out = features.new_zeros(count, features.shape[1], dtype=_wide(features))
    out = out.scatter_add(0, place[:, None].expand_as(features), features.to(out.dtype))
    if mean:
        out = out / torch.bincount(place, minlength=count).clamp_(min=1)[:, None].to(out.dtype)
    return out.to(features.dtype)


def max_rows(features: Tensor, place: Tensor, count: int) -> Tensor:
    """The maximum of the (N, C) features with the same place (N,): (count, C), 0 where there are none."""
    rows = torch.arange(len(features), device=features.device)
    return max_pairs(features, distinct(rows, place, len(features), count))


def _offsets(kernel_map: KernelMap) -> Iterator[tuple[int, Tensor, Tensor]]:
    for k, (start, end) in enumerate(pairwise(kernel_map.starts)):
        if start < end:
            yield k, kernel_map.in_rows[start:end], kernel_map.out_rows[start:end]


def _add(out: Tensor, rows: Tensor, values: Tensor) -> None:
    # Much faster than index_add_ on a CPU.
    out.scatter_add_(0, rows.long()[:, None].expand_as(values), values.to(out.dtype))


def _sum(features: Tensor, kernel_map: KernelMap) -> Tensor:
    out = features.new_zeros(kernel_map.num_out, features.shape[1], dtype=_wide(features))
    for _, ins, outs in _offsets(kernel_map):
        _add(out, outs, features.index_select(0, ins))
    return out.to(features.dtype)


def _wide(features: Tensor) -> torch.dtype:
    """The type of sums: wider than half precision. Integers keep theirs."""
    return torch.promote_types(features.dtype, torch.float32) if features.is_floating_point() else features.dtype


def _counts(kernel_map: KernelMap) -> Tensor:
    """(num_out,) int64: the number of pairs of each output row."""

    def count(one: KernelMap) -> tuple[Tensor, ...]:
        return (torch.bincount(one.out_rows, minlength=one.num_out),)

    return kernel_map.kept("counts", count)[0]
