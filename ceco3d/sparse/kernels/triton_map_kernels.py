"""Triton kernels that build the tile maps of ``triton_map``.

A *column* holds the offsets of one (x, y). Its neighbors are consecutive among the sorted keys, so the row of one of
them and a bit for each offset tell all: ``row << SIDE | bits``, bit z for offset ``column + z * SIDE**2``. Tensors of
columns by rows have a power of two of columns, COLUMNS; those past SIDE**2 are empty.
"""

# Triton compiles these functions from their source; their arguments have no Python types.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _either(a, b):
    return a | b


@triton.jit
def _first_not_below(keys, wanted, low, high, width):
    """The first position in ``low..high`` of a key >= ``wanted``, or ``high``; no range is longer than ``width``."""
    while width > 0:
        middle = (low + high) >> 1
        less = tl.load(keys + middle, mask=low < high, other=0) < wanted
        low, high = tl.where((low < high) & less, middle + 1, low), tl.where((low < high) & ~less, middle, high)
        width >>= 1
    return low


@triton.jit(do_not_specialize=["num_in", "num_out", "stride", "sign"])
def search_columns(
    in_keys,
    num_in,
    out_keys,
    num_out,
    steps,
    stride,
    sign,
    bits,
    columns,
    order,
    SIDE: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
    SEGMENT: tl.constexpr,
    SIGNATURE: tl.constexpr,
):
    """Find the neighbors of BLOCK output rows, and where these rows sort.

    The neighbor at an offset lies ``sign`` times the offset away. ``steps`` (SIDE**2,) are the key steps to the lowest
    offset of each column, ``stride`` is the step from one offset to the next, and ``bits`` (SIDE**3,) has the bit of
    the signature for each offset. Writes ``columns`` (num_out, SIDE**2), whose row is that of the neighbor with the
    lowest z, and ``order`` (num_out,): the segment of the row above its signature, SIGNATURE bits read as Gray code.
    """
    first = tl.program_id(0) * BLOCK
    rows = first + tl.arange(0, BLOCK)
    inside = (rows < num_out)[None, :]
    column = tl.arange(0, COLUMNS)
    real = (column < SIDE * SIDE)[:, None]
    step = sign * tl.load(steps + column, mask=column < SIDE * SIDE, other=0)[:, None]
    backward = (sign < 0).to(tl.int32)
    # Keys ascend: what the first and the last row find bounds the search of the others.
    ends = tl.minimum(first + tl.arange(0, 2) * (BLOCK - 1), num_out - 1)
    wanted = tl.load(out_keys + ends)[None, :] + step + backward
    none = tl.zeros((COLUMNS, 2), tl.int32)
    bounds = _first_not_below(in_keys, wanted, none, tl.where(real, none + num_in, none), num_in)
    low, high = tl.min(bounds, axis=1), tl.max(bounds, axis=1)
    wanted = tl.load(out_keys + rows, mask=rows < num_out, other=0)[None, :] + step + backward
    none = tl.zeros((COLUMNS, BLOCK), tl.int32)
    start = tl.where(inside, none + low[:, None], none)
    stop = tl.where(inside, none + high[:, None], none)
    at = _first_not_below(in_keys, wanted, start, stop, tl.max(high - low, axis=0)) - backward
    wanted -= backward

    start, taken, signature = at, none, none
    for z in range(SIDE):
        found = inside & real & (at >= 0) & (at < num_in)
        found = (found & (tl.load(in_keys + at, mask=found, other=0) == wanted)).to(tl.int32)
        bit = tl.load(bits + z * SIDE * SIDE + column, mask=column < SIDE * SIDE, other=0)
        taken |= found << z
        signature |= found << bit[:, None]
        at += sign * found
        wanted += sign * stride
    packed = (start.to(columns.dtype.element_ty) << SIDE) | taken
    tl.store(columns + rows.to(tl.int64)[None, :] * (SIDE * SIDE) + column[:, None], packed, mask=inside & real)
    # Up to 27 offsets have a bit each.
    sorted_by = tl.sum(signature, axis=0) if SIDE <= 3 else tl.reduce(signature, 0, _either)
    for shift in tl.static_range(5):
        sorted_by ^= sorted_by >> (1 << shift)
    segment = (rows // SEGMENT).to(tl.int64) << SIGNATURE
    tl.store(order + rows, (segment | sorted_by).to(order.dtype.element_ty), mask=rows < num_out)


@triton.jit(do_not_specialize=["num_out", "tiles", "sign"])
def fill_tiles(
    columns,
    order,
    num_out,
    sign,
    tiles,
    neighbors,
    rows,
    offsets,
    counts,
    blocks,
    SIDE: tl.constexpr,
    COLUMNS: tl.constexpr,
    TILE: tl.constexpr,
):
    """Write a tile of a ``TileMap``: the rows ``order[tile * TILE :]`` and their neighbors at the offsets in use.

    Blocks of other offsets stay unwritten and unread. ``blocks`` (SIDE**3, tiles) gets -1 for them.
    """
    volume: tl.constexpr = SIDE * SIDE * SIDE
    tile = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, TILE)
    place = tile * TILE + lane
    row = tl.load(order + place, mask=place < num_out, other=-1)
    tl.store(rows + place, row.to(tl.int32))
    column = tl.arange(0, COLUMNS)
    real = column < SIDE * SIDE
    packed = tl.load(
        columns + row[None, :] * (SIDE * SIDE) + column[:, None], mask=(row >= 0)[None, :] & real[:, None], other=0
    )
    neighbor = packed >> SIDE
    used = 0
    for z in range(SIDE):
        here = ((packed >> z) & 1).to(tl.int32)
        active = tl.max(here, axis=1)
        slot = used + tl.cumsum(active, axis=0) - active
        k = z * SIDE * SIDE + column
        # Offsets in use from the front, the others from the back.
        tl.store(offsets + tile * volume + tl.where(active > 0, slot, volume - 1 - k + slot), k, mask=real)
        tl.store(blocks + k.to(tl.int64) * tiles + tile, tl.where(active > 0, tile * volume + slot, -1), mask=real)
        block = neighbors + (tile * volume + slot)[:, None] * TILE
        tl.store(block + lane[None, :], tl.where(here > 0, neighbor, -1), mask=(active > 0)[:, None])
        neighbor += sign * here
        used += tl.sum(active, axis=0)
    tl.store(counts + tile, used)


@triton.jit(do_not_specialize=["tiles"])
def list_blocks(blocks, block_counts, tiles, BLOCK: tl.constexpr):
    """Move the blocks of one offset to the front of its row of ``blocks`` (K, tiles), and count them."""
    k = tl.program_id(0)
    blocks += k.to(tl.int64) * tiles
    count = 0
    for first in range(0, tiles, BLOCK):
        tile = first + tl.arange(0, BLOCK)
        block = tl.load(blocks + tile, mask=tile < tiles, other=-1)
        used = (block >= 0).to(tl.int32)
        # A block moves to a place at or before its own, which has been read.
        tl.store(blocks + count + tl.cumsum(used, axis=0) - used, block, mask=block >= 0)
        count += tl.sum(used, axis=0)
    tl.store(block_counts + k, count)
