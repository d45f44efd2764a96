"""Triton kernels that build the neighbor tables of ``triton_map``."""

# Triton compiles these functions from their source; their arguments have no Python types.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["num_in", "halvings", "num_out", "stride"])
def search_columns(
    in_keys, num_in, halvings, out_keys, num_out, columns, stride, table, SIDE: tl.constexpr, BLOCK: tl.constexpr
):
    """Find one column of offsets for BLOCK output rows: a binary search for its start, then a walk along z."""
    column = tl.program_id(1)
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = rows < num_out
    wanted = tl.load(out_keys + rows, mask=inside, other=0) + tl.load(columns + column)
    low = tl.zeros((BLOCK,), tl.int32)
    high = low + num_in
    for _ in range(halvings):
        middle = (low + high) >> 1
        less = tl.load(in_keys + middle, mask=low < high, other=0) < wanted
        low = tl.where((low < high) & less, middle + 1, low)
        high = tl.where((low < high) & ~less, middle, high)
    for z in range(SIDE):
        found = inside & (low < num_in)
        found &= tl.load(in_keys + low, mask=found, other=0) == wanted
        entry = (column + z * SIDE * SIDE).to(tl.int64) * num_out
        tl.store(table + entry + rows, tl.where(found, low, -1), mask=inside)
        low += found.to(tl.int32)
        wanted += stride


@triton.jit(do_not_specialize=["num_out"])
def row_signatures(table, num_out, bits, signature, VOLUME: tl.constexpr, BLOCK: tl.constexpr):
    """Set the bit of every offset at which a row has a neighbor."""
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    found = tl.zeros((BLOCK,), tl.int32)
    for k in range(VOLUME):
        here = tl.load(table + tl.cast(k, tl.int64) * num_out + rows, mask=rows < num_out, other=-1) >= 0
        found |= here.to(tl.int32) << tl.load(bits + k)
    tl.store(signature + rows, found, mask=rows < num_out)


@triton.jit(do_not_specialize=["num_out"])
def active_offsets(table, num_out, rows, active, VOLUME: tl.constexpr, TILE: tl.constexpr):
    """Mark the offsets at which any row of a tile has a neighbor."""
    tile = tl.program_id(0)
    row = tl.load(rows + tile * TILE + tl.arange(0, TILE))
    for k in range(VOLUME):
        here = tl.load(table + tl.cast(k, tl.int64) * num_out + row, mask=row >= 0, other=-1) >= 0
        tl.store(active + tile * VOLUME + k, tl.max(here.to(tl.int32)).to(tl.int8))


@triton.jit(do_not_specialize=["num_out"])
def fill_tiles(table, num_out, rows, offsets, counts, neighbors, VOLUME: tl.constexpr, TILE: tl.constexpr):
    """Write the blocks of a tile that are in use; the others stay unwritten and unread."""
    tile = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, TILE)
    row = tl.load(rows + tile * TILE + lane)
    for j in range(tl.load(counts + tile)):
        k = tl.load(offsets + tile * VOLUME + j).to(tl.int64)
        neighbor = tl.load(table + k * num_out + row, mask=row >= 0, other=-1)
        tl.store(neighbors + (tile * VOLUME + j) * TILE + lane, neighbor)
