"""What the C++ kernels take: the library itself, the pairs of a kernel map, and pointers to tensors."""

from __future__ import annotations

import ctypes
from ctypes import c_bool, c_int, c_int64, c_void_p

import torch
from torch import Tensor

from ceco3d.sparse.cpp.build import library
from ceco3d.sparse.maps.kernel_map import KernelMap

TASKS_PER_THREAD = 8


class Pairs(ctypes.Structure):
    """``struct Pairs`` of common.h."""

    _fields_ = (
        ("in_rows", c_void_p),
        ("out_rows", c_void_p),
        ("cuts", c_void_p),
        ("offsets", c_int64),
        ("num_out", c_int64),
        ("block_rows", c_int64),
    )


class Epilogue(ctypes.Structure):
    """``struct Epilogue`` of common.h."""

    _fields_ = (("bias", c_void_p), ("residual", c_void_p), ("relu", c_bool))


def cpp() -> ctypes.CDLL:
    """The compiled kernels. RuntimeError where there are none: ask ``supports(dtype)`` first."""
    kernels = library()
    if kernels is None:
        raise RuntimeError("the C++ kernels are not available: ask supports(dtype) first")
    return kernels


def pairs(kernel_map: KernelMap, block_rows: int) -> tuple[Pairs, Tensor]:
    """The map as C++ sees it, and the tensor that has to outlive it."""
    cuts = kernel_map.cuts(block_rows)
    rows = pointers(kernel_map.in_rows, kernel_map.out_rows, cuts)
    return Pairs(*rows, cuts.shape[1], kernel_map.num_out, block_rows), cuts


def epilogue(bias: Tensor | None, residual: Tensor | None, relu: bool, out: Tensor) -> tuple[Epilogue, object]:
    """What follows the sums of ``out`` as C++ sees it, and the tensors that have to outlive it."""
    bias = None if bias is None else bias.float().contiguous()
    residual = None if residual is None else residual.to(out.dtype).contiguous()
    return Epilogue(*pointers(bias, residual), relu), (bias, residual)


def pointers(*tensors: Tensor | None) -> tuple[c_void_p, ...]:
    """The addresses of the values of ``tensors``."""
    return tuple(c_void_p(None if tensor is None else tensor.data_ptr()) for tensor in tensors)


def threads() -> c_int:
    """The number of threads that torch uses."""
    return c_int(torch.get_num_threads())


def rows_per_block(num_out: int, panels: int, most: int, least: int) -> int:
    """Rows per block: few enough for every thread to get some blocks, and a power of two to keep block sizes few."""
    rows = most
    while rows > least and num_out * panels < rows * TASKS_PER_THREAD * torch.get_num_threads():
        rows //= 2
    return rows
