"""Match the keys of two sorted lists that lie a fixed step apart."""

from __future__ import annotations

from ctypes import CDLL, c_int, c_int64, c_void_p

import torch
from torch import Tensor

from ceco3d.sparse.cpp.build import library


def match(in_keys: Tensor, out_keys: Tensor, steps: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Pairs of rows (input, output) with ``in_keys[input] == out_keys[output] + step``, for every step.

    Sorted unique keys and steps (K,) int64 -> input rows (P,) and output rows (P,) int32, step by step and ascending
    within a step, and the K numbers of pairs.
    """
    if len(steps) == 0:
        return in_keys.new_empty(0).int(), in_keys.new_empty(0).int(), []
    if in_keys.device.type == "cpu" and (cpp := library()) is not None:
        return _walk(cpp, in_keys, out_keys, steps)
    in_rows, out_rows = zip(*(_search(in_keys, out_keys, step) for step in steps.tolist()), strict=True)
    return torch.cat(in_rows), torch.cat(out_rows), [len(rows) for rows in in_rows]


def _search(in_keys: Tensor, out_keys: Tensor, step: int) -> tuple[Tensor, Tensor]:
    if len(in_keys) == 0:
        return in_keys.int(), in_keys.int()
    wanted = out_keys + step
    position = torch.searchsorted(in_keys, wanted, out_int32=True).clamp_(max=len(in_keys) - 1)
    out_rows = (in_keys[position] == wanted).nonzero().squeeze(1)
    return position[out_rows], out_rows.int()


def _walk(cpp: CDLL, in_keys: Tensor, out_keys: Tensor, steps: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    in_keys, out_keys, steps = in_keys.contiguous(), out_keys.contiguous(), steps.contiguous()
    starts = torch.zeros(len(steps) + 1, dtype=torch.int64)

    def run(in_rows: int | None, out_rows: int | None) -> None:
        lists = [
            argument
            for keys in (in_keys, out_keys, steps)
            for argument in (c_void_p(keys.data_ptr()), c_int64(len(keys)))
        ]
        threads = c_int(torch.get_num_threads())
        cpp.ceco3d_match(threads, *lists, *map(c_void_p, (starts.data_ptr(), in_rows, out_rows)))

    run(None, None)
    counts = starts[1:].tolist()
    starts.cumsum_(0)
    in_rows, out_rows = (torch.empty(sum(counts), dtype=torch.int32) for _ in range(2))
    if sum(counts):  # a null pointer would mean: count only
        run(in_rows.data_ptr(), out_rows.data_ptr())
    return in_rows, out_rows, counts
