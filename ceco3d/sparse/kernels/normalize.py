"""Batch normalization with a residual and ReLU on the CPU (normalize.cpp): ``NormKernels`` for float32 and bfloat16.

Statistics and sums do not depend on the number of threads. Nothing else is as large as the rows, and bfloat16 rows are
never copied to float32.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_bool, c_double, c_int, c_int64, c_void_p

import torch
from torch import Tensor

from ceco3d.sparse.cpp.build import library
from ceco3d.sparse.kernels.arguments import cpp, pointers, threads
from ceco3d.sparse.kernels.protocol import Norm, Running


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
    """See ``NormKernels.supports``: they need a compiler."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and library() is not None


def statistics(x: Tensor) -> Tensor:
    """(N, C) contiguous -> (2, C) float64: mean and biased variance."""
    out = torch.empty(2, x.shape[1], dtype=torch.float64)
    cpp().ceco3d_statistics(*_mode(x), *pointers(x), *map(c_int64, x.shape), *pointers(out))
    return out


def forward(norm: Norm, running: Running, x: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
    """See ``NormKernels.forward``."""
    if norm.training:
        found = statistics(x)
        _track(running, found, len(x))
    else:
        found = torch.stack([running.mean, running.variance]).double()
    out = torch.empty_like(x)
    cpp().ceco3d_normalize(*_mode(x), byref(_call(norm, found, x)), *pointers(x, residual, out))
    return out, found


def backward(
    norm: Norm, statistics: Tensor, grad: Tensor, x: Tensor, out: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See ``NormKernels.backward``."""
    grad = grad.contiguous()
    grad_x, passed = torch.empty_like(x), None if out is None else torch.empty_like(x)
    grad_weight, grad_bias = torch.empty_like(norm.weight), torch.empty_like(norm.bias)
    rows = pointers(x, out, grad, grad_x, passed)
    call = _call(norm, statistics, x)
    cpp().ceco3d_normalize_gradient(*_mode(x), byref(call), *rows, *pointers(grad_weight, grad_bias))
    return grad_x, grad_weight, grad_bias, grad if passed is None else passed


def _track(running: Running, statistics: Tensor, rows: int) -> None:
    """Update the running statistics, with the unbiased variance."""
    mean, variance = statistics
    running.mean.lerp_(mean.float(), running.momentum)
    running.variance.lerp_((variance * (rows / (rows - 1))).float(), running.momentum)
    running.batches.add_(1)


def _call(norm: Norm, statistics: Tensor, x: Tensor) -> _Norm:
    values = pointers(statistics, norm.weight, norm.bias)
    return _Norm(*values, *x.shape, norm.eps, norm.relu, norm.training)


def _mode(x: Tensor) -> tuple[c_bool, c_int]:
    return c_bool(x.dtype == torch.bfloat16), threads()
