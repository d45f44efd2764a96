"""Batch normalization with a residual and ReLU on the CPU (normalize.cpp): float32 and bfloat16 rows.

Statistics and sums do not depend on the number of threads. Nothing else is as large as the rows, and bfloat16 rows are
never copied to float32.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_bool, c_double, c_int, c_int64, c_void_p
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.sparse.cpp.build import library
from ceco3d.sparse.kernels.arguments import cpp, pointers, threads


@dataclass(frozen=True)
class Norm:
    """What one call does to its rows.

    statistics    (2, C) float64: mean and biased variance
    weight, bias  (C,) float32
    eps           added to the variance
    relu          whether ReLU comes last
    training      whether the statistics are those of the rows, so that gradients flow through them
    """

    statistics: Tensor
    weight: Tensor
    bias: Tensor
    eps: float
    relu: bool
    training: bool

    def of(self, x: Tensor) -> _Norm:
        """The call on the rows ``x`` as C++ sees it."""
        return _Norm(*pointers(self.statistics, self.weight, self.bias), *x.shape, self.eps, self.relu, self.training)


class _Norm(ctypes.Structure):
    """``struct Norm`` of normalize.cpp."""

    _fields_ = (
        ("statistics", c_void_p),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("rows", c_int64),
        ("channels", c_int64),
        ("eps", c_double),
        ("relu", c_bool),
        ("training", c_bool),
    )


def supports(x: Tensor) -> bool:
    """Whether these kernels take the rows ``x`` here: they need a compiler."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and library() is not None


def statistics(x: Tensor) -> Tensor:
    """(N, C) contiguous -> (2, C) float64: mean and biased variance."""
    out = torch.empty(2, x.shape[1], dtype=torch.float64)
    cpp().ceco3d_statistics(*_mode(x), *pointers(x), *map(c_int64, x.shape), *pointers(out))
    return out


def forward(norm: Norm, x: Tensor, residual: Tensor | None) -> Tensor:
    """(N, C) contiguous, with a residual of its shape and dtype or None -> (N, C)."""
    out = torch.empty_like(x)
    cpp().ceco3d_normalize(*_mode(x), byref(norm.of(x)), *pointers(x, residual, out))
    return out


def backward(norm: Norm, grad: Tensor, x: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, weight, bias and residual; ``out`` is what ``forward`` returned with a residual and ReLU."""
    grad_x, passed = torch.empty_like(x), None if out is None else torch.empty_like(x)
    grad_weight, grad_bias = torch.empty_like(norm.weight), torch.empty_like(norm.bias)
    rows = pointers(x, out, grad, grad_x, passed)
    cpp().ceco3d_normalize_gradient(*_mode(x), byref(norm.of(x)), *rows, *pointers(grad_weight, grad_bias))
    return grad_x, grad_weight, grad_bias, grad if passed is None else passed


def _mode(x: Tensor) -> tuple[c_bool, c_int]:
    return c_bool(x.dtype == torch.bfloat16), threads()
