"""Match the keys of two sorted lists that lie a fixed step apart."""

from __future__ import annotations

from ctypes import CDLL, c_int, c_int64, c_void_p

import torch
from torch import Tensor

from ceco3d.sparse.cpp.build import library

CHUNK_ROWS = 2048
COLUMN_STEPS = 32


def match(in_keys: Tensor, out_keys: Tensor, steps: Tensor, stride: int) -> tuple[Tensor, Tensor, list[int]]:
    """Pairs of rows (input, output) with ``in_keys[input] == out_keys[output] + step``, for every step.

    Sorted unique keys and distinct steps (K,) int64 -> input rows (P,) and output rows (P,) int32, step by step and
    ascending within a step, and the K numbers of pairs. Along z, ``in_keys[i] - out_keys[o]`` and the steps are
    multiples of ``stride``.
    """
    if len(steps) == 0:
        return in_keys.new_empty(0).int(), in_keys.new_empty(0).int(), []
    if in_keys.device.type == "cpu" and (cpp := library()) is not None:
        return _walk(cpp, in_keys, out_keys, steps, stride)
    in_rows, out_rows = zip(*(_search(in_keys, out_keys, step) for step in steps.tolist()), strict=True)
    return torch.cat(in_rows), torch.cat(out_rows), [len(rows) for rows in in_rows]


def _search(in_keys: Tensor, out_keys: Tensor, step: int) -> tuple[Tensor, Tensor]:
    if len(in_keys) == 0:
        return in_keys.int(), in_keys.int()
    wanted = out_keys + step
    position = torch.searchsorted(in_keys, wanted, out_int32=True).clamp_(max=len(in_keys) - 1)
    out_rows = (in_keys[position] == wanted).nonzero().squeeze(1)
    return position[out_rows], out_rows.int()


def _walk(cpp: CDLL, in_keys: Tensor, out_keys: Tensor, steps: Tensor, stride: int) -> tuple[Tensor, Tensor, list[int]]:
    in_keys, out_keys = in_keys.contiguous(), out_keys.contiguous()
    ascending, order = steps.sort()
    divisible = stride & (stride - 1) == 0  # C++ shifts
    columns = _columns(ascending.tolist(), stride if divisible else 0)
    places = torch.zeros(-(-len(out_keys) // CHUNK_ROWS), len(steps), dtype=torch.int64)

    def run(in_rows: Tensor | None, out_rows: Tensor | None) -> None:
        lists = [a for keys in (in_keys, out_keys, columns) for a in (c_void_p(keys.data_ptr()), c_int64(len(keys)))]
        rows = [c_void_p(None if tensor is None else tensor.data_ptr()) for tensor in (places, in_rows, out_rows)]
        threads, shift = c_int(torch.get_num_threads()), c_int(stride.bit_length() - 1 if divisible else 0)
        cpp.ceco3d_match(threads, *lists, c_int64(len(steps)), shift, c_int64(CHUNK_ROWS), *rows)

    run(None, None)
    counts = torch.empty_like(places).index_copy_(1, order, places).T  # by offset, then by chunk
    starts = (counts.flatten().cumsum(0) - counts.flatten()).reshape(counts.shape)
    places.copy_(starts[order].T)
    in_rows, out_rows = (torch.empty(int(counts.sum()), dtype=torch.int32) for _ in range(2))
    if len(in_rows):  # a null pointer would mean: count only
        run(in_rows, out_rows)
    return in_rows, out_rows, counts.sum(1).tolist()


def _columns(steps: list[int], stride: int) -> Tensor:
    """(C, 3) int64, ``struct Column`` of match.cpp in each row: runs of steps that grow by ``stride``."""
    columns: list[list[int]] = []
    for place, step in enumerate(steps):
        if columns and place and step == steps[place - 1] + stride and columns[-1][2] < COLUMN_STEPS:
            columns[-1][2] += 1
        else:
            columns.append([step, place, 1])
    return torch.tensor(columns)
