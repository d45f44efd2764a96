"""Products of a sparse matrix, given as coordinates and values, with a dense one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def spmm(
    rows: Tensor,
    cols: Tensor,
    vals: Tensor,
    size: torch.Size,
    mat: Tensor,
    is_sorted: bool = False,
    cuda_spmm_alg: int = 1,
) -> Tensor:
    """(size[0], C) product of the matrix with ``vals`` at (``rows``, ``cols``) and ``mat`` (size[1], C).

    rows, cols, vals  (P,); repeated places add up. The order of the sums is that of the pairs, on any device.
    is_sorted, cuda_spmm_alg  accepted, without effect
    AssertionError unless lengths, dtypes and devices agree.
    """
    if len(rows) != len(cols) or len(rows) != len(vals):
        raise AssertionError("Invalid length")
    if vals.dtype != mat.dtype or vals.device != mat.device:
        raise AssertionError("vals and mat must have the same dtype and device")
    return _sum_rows(mat[cols.long()] * vals[:, None], rows, size[0])


def _sum_rows(terms: Tensor, rows: Tensor, count: int) -> Tensor:
    """(count, C): the sums of the terms (P, C) that have the same row. Deterministic: no atomic additions."""
    order = rows.long().argsort(stable=True)
    counts = torch.bincount(rows.long(), minlength=count)
    return torch.segment_reduce(terms[order], "sum", lengths=counts, initial=0)


def spmm_average(
    rows: Tensor, cols: Tensor, size: torch.Size, mat: Tensor, cuda_spmm_alg: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Means instead of sums: the product, the places (2, P) int64 sorted by row, and their values (P,)."""
    if len(rows) != len(cols):
        raise AssertionError("Invalid length")
    ordered, order = rows.long().sort(stable=True)
    places = torch.stack([ordered, cols.long()[order]])
    vals = (1 / torch.bincount(ordered, minlength=size[0])[ordered]).to(mat.dtype)
    return spmm(places[0], places[1], vals, size, mat), places, vals


class MinkowskiSPMMFunction(torch.autograd.Function):
    """``spmm``, differentiable with respect to ``mat``."""

    # ctx: torch types its own attributes only, not those that a function adds.
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, cols: Tensor, vals: Tensor, size: torch.Size, mat: Tensor, cuda_spmm_alg: int = 1
    ) -> Tensor:
        """See ``spmm``."""
        ctx.size = size
        ctx.save_for_backward(rows, cols, vals)
        return spmm(rows, cols, vals, size, mat)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of ``mat``."""
        rows, cols, vals = ctx.saved_tensors
        return None, None, None, None, spmm(cols, rows, vals, torch.Size(ctx.size[::-1]), grad), None


class MinkowskiSPMMAverageFunction(torch.autograd.Function):
    """``spmm_average``, differentiable with respect to ``mat``."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, cols: Tensor, size: torch.Size, mat: Tensor, cuda_spmm_alg: int = 1) -> Tensor:
        """The product alone; see ``spmm_average``."""
        result, places, vals = spmm_average(rows, cols, size, mat)
        ctx.size = size
        ctx.save_for_backward(places, vals)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of ``mat``."""
        (rows, cols), vals = ctx.saved_tensors
        return None, None, None, spmm(cols, rows, vals, torch.Size(ctx.size[::-1]), grad), None
