"""Kernel maps for the Triton kernels: tables of neighbours in tiles of output rows that look alike.

Nothing here makes the host wait for the device, but for two small tables of each kernel the first time: every size
follows from the numbers of voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from ceco3d.sparse.kernels.triton_launch import cdiv, device_of
from ceco3d.sparse.maps.coordinates import offset_keys
from ceco3d.sparse.maps.kernel_map import kernel_offsets

# Rows are ordered by neighbourhood within a segment only, so that what a segment gathers stays in the L2 cache.
SEGMENT = 1 << 17
SIGNATURE_BITS = 27
SEARCH_ROWS = 128


@dataclass(frozen=True)
class TileMap:
    """For each tile of output rows, the offsets that any of its rows has a neighbour at, and those neighbours.

    neighbours    (tiles, K, rows of a tile) int32: input row, or -1; block j of a tile belongs to its j-th offset
    rows          (tiles * rows of a tile,) int32: output row at each place, -1 at the end of the last tile
    offsets       (tiles, K) int32: offsets in use, ascending, then the others
    counts        (tiles,) int32: how many are in use
    blocks        (K, tiles) int32: for each offset its blocks ``tile * K + j``, ascending; valid up to ``block_counts``
    block_counts  (K,) int32
    num_in        number of input rows
    num_out       number of output rows
    """

    neighbours: Tensor
    rows: Tensor
    offsets: Tensor
    counts: Tensor
    blocks: Tensor
    block_counts: Tensor
    num_in: int
    num_out: int

    @property
    def volume(self) -> int:
        """K, the number of offsets."""
        return self.neighbours.shape[1]

    @property
    def tile(self) -> int:
        """Rows of a tile."""
        return self.neighbours.shape[2]


@dataclass(frozen=True)
class TileMaps:
    """The maps of a convolution, ``forward``, and of its transpose, ``backward``.

    With ``mirrored`` they are one map: offset K-1-k is then the transpose of offset k (odd kernels on one level).
    """

    forward: TileMap
    backward: TileMap
    mirrored: bool

    def transposed(self) -> TileMaps:
        """The maps of the transposed convolution."""
        return TileMaps(self.backward, self.forward, self.mirrored)


def build_tile_maps(in_keys: Tensor, out_keys: Tensor, kernel_size: int, stride: int) -> TileMaps:
    """Maps between two sorted key sets; ``stride`` is the input's tensor stride in voxels."""
    bits = _bits_on(kernel_size, in_keys.device)
    table = search(in_keys, out_keys, kernel_size, stride)
    forward = arrange(table, bits, len(in_keys))
    if in_keys is out_keys and kernel_size % 2:
        return TileMaps(forward, forward, mirrored=True)
    return TileMaps(forward, arrange(transpose(table, len(in_keys)), bits, len(out_keys)), mirrored=False)


def tile_rows(num_out: int) -> int:
    """Rows of a tile: fewer at the coarse levels, whose few rows must still occupy all processors."""
    return 128 if num_out >= 1 << 15 else 64


def signature_bits(kernel_size: int) -> Tensor:
    """(K,) int32: the bit of a row's signature that tells of a neighbour at each offset.

    At most 27 bits: of a kernel larger than 3 an axis is divided in three. The rarest neighbours, the farthest, get the
    highest bits, so that ordering by signature separates them first.
    """
    side = min(kernel_size, 3)
    offsets = kernel_offsets(kernel_size, 1)
    place = (offsets - offsets.min()) * side // kernel_size
    centre = (side - 1) / 2 if side == 3 else 0
    cell = torch.cartesian_prod(*[torch.arange(side)] * 3).reshape(-1, 3)
    nearness = (cell - centre).abs().sum(1)
    rank = torch.empty(len(cell), dtype=torch.int64)
    rank[nearness.argsort(stable=True)] = torch.arange(len(cell))
    return rank[(place * torch.tensor([side * side, side, 1])).sum(1)].int()


# Made once for each device: the host waits for such a copy.
@cache
def _bits_on(kernel_size: int, device: torch.device) -> Tensor:
    return signature_bits(kernel_size).to(device)


@cache
def _columns_on(kernel_size: int, stride: int, device: torch.device) -> Tensor:
    return offset_keys(kernel_offsets(kernel_size, stride)[: kernel_size**2]).to(device)


def search(in_keys: Tensor, out_keys: Tensor, kernel_size: int, stride: int) -> Tensor:
    """(K, num_out) int32: the input row at each offset of each output row, or -1."""
    table = torch.empty(kernel_size**3, len(out_keys), dtype=torch.int32, device=out_keys.device)
    if table.numel() == 0:
        return table
    # A column has the offsets of one (x, y); its neighbours lie one after the other among the sorted keys.
    columns = _columns_on(kernel_size, stride, in_keys.device)
    grid = (cdiv(len(out_keys), SEARCH_ROWS), len(columns))
    with device_of(in_keys):
        _search[grid](
            *(in_keys, len(in_keys), len(in_keys).bit_length(), out_keys, len(out_keys), columns, stride, table),
            SIDE=kernel_size,
            BLOCK=SEARCH_ROWS,
        )
    return table


def transpose(table: Tensor, num_in: int) -> Tensor:
    """(K, num_in): the output row that each input row meets at each offset, or -1; (K, num_out) the other way."""
    volume, num_out = table.shape
    rows = torch.arange(num_out, dtype=torch.int32, device=table.device).expand(volume, -1)
    # One more column takes what has no place. At one offset no input row occurs twice.
    out = torch.full((volume, num_in + 1), -1, dtype=torch.int32, device=table.device)
    return out.scatter_(1, table.masked_fill(table < 0, num_in).long(), rows)[:, :num_in].contiguous()


def arrange(table: Tensor, bits: Tensor, num_in: int) -> TileMap:
    """Order the rows of ``table`` (K, num_out) by their neighbourhoods and cut them into tiles."""
    volume, num_out = table.shape
    tile = tile_rows(num_out)
    tiles = cdiv(num_out, tile)
    rows = torch.full((tiles * tile,), -1, dtype=torch.int32, device=table.device)
    rows[:num_out] = _order(table, bits)
    active = torch.empty(tiles, volume, dtype=torch.int8, device=table.device)
    neighbours = torch.empty(tiles, volume, tile, dtype=torch.int32, device=table.device)
    if tiles:
        with device_of(table):
            _active[(tiles,)](table, num_out, rows, active, VOLUME=volume, TILE=tile)
    offsets = active.sort(dim=1, descending=True, stable=True).indices.int()
    counts = active.sum(1, dtype=torch.int32)
    if tiles:
        with device_of(table):
            _fill[(tiles,)](table, num_out, rows, offsets, counts, neighbours, VOLUME=volume, TILE=tile)
    slot = active.cumsum(1, dtype=torch.int32) - 1
    block = slot + torch.arange(tiles, dtype=torch.int32, device=table.device)[:, None] * volume
    order = active.t().sort(dim=1, descending=True, stable=True).indices
    return TileMap(
        neighbours=neighbours,
        rows=rows,
        offsets=offsets,
        counts=counts,
        blocks=block.t().gather(1, order).contiguous(),
        block_counts=active.sum(0, dtype=torch.int32),
        num_in=num_in,
        num_out=num_out,
    )


def _order(table: Tensor, bits: Tensor) -> Tensor:
    """(num_out,) int32: rows by segment, then by signature, read as Gray code: neighbours differ in few bits."""
    volume, num_out = table.shape
    signature = torch.zeros(num_out, dtype=torch.int32, device=table.device)
    if num_out == 0:
        return signature
    with device_of(table):
        _signature[(cdiv(num_out, SEARCH_ROWS),)](table, num_out, bits, signature, VOLUME=volume, BLOCK=SEARCH_ROWS)
    for shift in (1, 2, 4, 8, 16):
        signature ^= signature >> shift
    segment = torch.arange(num_out, device=table.device) // SEGMENT
    return (segment << SIGNATURE_BITS | signature).sort(stable=True).indices.int()


@triton.jit(do_not_specialize=["num_in", "halvings", "num_out", "stride"])
def _search(
    in_keys, num_in, halvings, out_keys, num_out, columns, stride, table, SIDE: tl.constexpr, BLOCK: tl.constexpr
):
    """One column of offsets for BLOCK output rows: where it starts among the sorted keys, then along z."""
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
def _signature(table, num_out, bits, signature, VOLUME: tl.constexpr, BLOCK: tl.constexpr):
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    found = tl.zeros((BLOCK,), tl.int32)
    for k in range(VOLUME):
        here = tl.load(table + tl.cast(k, tl.int64) * num_out + rows, mask=rows < num_out, other=-1) >= 0
        found |= here.to(tl.int32) << tl.load(bits + k)
    tl.store(signature + rows, found, mask=rows < num_out)


@triton.jit(do_not_specialize=["num_out"])
def _active(table, num_out, rows, active, VOLUME: tl.constexpr, TILE: tl.constexpr):
    """Which offsets occur in a tile."""
    tile = tl.program_id(0)
    row = tl.load(rows + tile * TILE + tl.arange(0, TILE))
    for k in range(VOLUME):
        here = tl.load(table + tl.cast(k, tl.int64) * num_out + row, mask=row >= 0, other=-1) >= 0
        tl.store(active + tile * VOLUME + k, tl.max(here.to(tl.int32)).to(tl.int8))


@triton.jit(do_not_specialize=["num_out"])
def _fill(table, num_out, rows, offsets, counts, neighbours, VOLUME: tl.constexpr, TILE: tl.constexpr):
    """The blocks of a tile that are in use; nobody reads the others."""
    tile = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, TILE)
    row = tl.load(rows + tile * TILE + lane)
    for j in range(tl.load(counts + tile)):
        k = tl.load(offsets + tile * VOLUME + j).to(tl.int64)
        neighbour = tl.load(table + k * num_out + row, mask=row >= 0, other=-1)
        tl.store(neighbours + (tile * VOLUME + j) * TILE + lane, neighbour)
