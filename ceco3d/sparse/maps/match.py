"""Which keys of one sorted list lie a step away from which of another."""

from __future__ import annotations

from ctypes import c_int, c_int64, c_void_p

import torch
from torch import Tensor

from ceco3d.sparse.cpp.build import library


def match(in_keys: Tensor, out_keys: Tensor, steps: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Rows (input, output) with ``in_keys[input] == out_keys[output] + step``, for every step.

    Keys sorted and unique, steps (K,) int64 -> (P,) int32 each, step by step and ascending, and K counts.
    """
    if len(steps) == 0:
        return in_keys.new_empty(0).int(), in_keys.new_empty(0).int(), []
    if in_keys.device.type == "cpu" and library() is not None:
        return _walk(in_keys, out_keys, steps)
    in_rows, out_rows = zip(*(_search(in_keys, out_keys, step) for step in steps.tolist()), strict=True)
    return torch.cat(in_rows), torch.cat(out_rows), [len(rows) for rows in in_rows]


def _search(in_keys: Tensor, out_keys: Tensor, step: int) -> tuple[Tensor, Tensor]:
    if len(in_keys) == 0:
        return in_keys.int(), in_keys.int()
    wanted = out_keys + step
    position = torch.searchsorted(in_keys, wanted, out_int32=True).clamp_(max=len(in_keys) - 1)
    out_rows = (in_keys[position] == wanted).nonzero().squeeze(1)
    return position[out_rows], out_rows.int()


def _walk(in_keys: Tensor, out_keys: Tensor, steps: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    in_keys, out_keys, steps = in_keys.contiguous(), out_keys.contiguous(), steps.contiguous()
    starts = torch.zeros(len(steps) + 1, dtype=torch.int64)

    def run(in_rows: int | None, out_rows: int | None) -> None:
        lists = ((c_void_p(keys.data_ptr()), c_int64(len(keys))) for keys in (in_keys, out_keys, steps))
        threads = c_int(torch.get_num_threads())
        library().ceco3d_match(threads, *sum(lists, ()), *map(c_void_p, (starts.data_ptr(), in_rows, out_rows)))

    run(None, None)
    counts = starts[1:].tolist()
    starts.cumsum_(0)
    in_rows, out_rows = (torch.empty(sum(counts), dtype=torch.int32) for _ in range(2))
    if sum(counts):  # a null pointer would mean counting
        run(in_rows.data_ptr(), out_rows.data_ptr())
    return in_rows, out_rows, counts
