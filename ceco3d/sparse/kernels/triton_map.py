"""Kernel maps for the Triton kernels: neighbor tables in tiles of output rows with similar neighborhoods.

The host never waits for the device, except for two small tables per kernel size the first time: all sizes follow from
the numbers of voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ceco3d.sparse.kernels import triton_map_kernels as kernels
from ceco3d.sparse.kernels.triton_launch import cdiv, device_of
from ceco3d.sparse.maps.coordinates import offset_keys
from ceco3d.sparse.maps.kernel_map import kernel_offsets

# Rows are sorted by neighborhood within a segment only: the rows that a segment gathers fit the L2 cache.
SEGMENT = 1 << 17
SIGNATURE_BITS = 27
SEARCH_ROWS = 128


@dataclass(frozen=True)
class TileMap:
    """For each tile of output rows: the offsets at which any of its rows has a neighbor, and those neighbors.

    neighbors     (tiles, K, rows of a tile) int32: input row, or -1; block j of a tile belongs to its j-th offset
    rows          (tiles * rows of a tile,) int32: output row at each place, -1 at the end of the last tile
    offsets       (tiles, K) int32: offsets in use, ascending, then the others
    counts        (tiles,) int32: number of offsets in use
    blocks        (K, tiles) int32: for each offset its blocks ``tile * K + j``, ascending; valid up to ``block_counts``
    block_counts  (K,) int32
    num_in        number of input rows
    num_out       number of output rows
    """

    neighbors: Tensor
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
        return self.neighbors.shape[1]

    @property
    def tile(self) -> int:
        """Rows of a tile."""
        return self.neighbors.shape[2]


@dataclass(frozen=True)
class TileMaps:
    """The map of a convolution, ``forward``, and of its transpose, ``backward``.

    If ``mirrored``, both are the same map: offset K-1-k is the transpose of offset k (odd kernels on one level).
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
    """Rows of a tile: fewer at the coarse levels, whose few rows still have to fill all processors."""
    return 128 if num_out >= 1 << 15 else 64


def signature_bits(kernel_size: int) -> Tensor:
    """(K,) int32: for each offset, the bit of a row's signature that a neighbor there sets.

    At most 27 bits: kernels larger than 3 divide each axis into three. The rarest neighbors, the farthest, get the
    highest bits, so sorting by signature separates them first.
    """
    side = min(kernel_size, 3)
    offsets = kernel_offsets(kernel_size, 1)
    place = (offsets - offsets.min()) * side // kernel_size
    center = (side - 1) / 2 if side == 3 else 0
    cell = torch.cartesian_prod(*[torch.arange(side)] * 3).reshape(-1, 3)
    nearness = (cell - center).abs().sum(1)
    rank = torch.empty(len(cell), dtype=torch.int64)
    rank[nearness.argsort(stable=True)] = torch.arange(len(cell))
    return rank[(place * torch.tensor([side * side, side, 1])).sum(1)].int()


# Cached per device: the host waits for such a copy.
@cache
def _bits_on(kernel_size: int, device: torch.device) -> Tensor:
    return signature_bits(kernel_size).to(device)


@cache
def _columns_on(kernel_size: int, stride: int, device: torch.device) -> Tensor:
    return offset_keys(kernel_offsets(kernel_size, stride)[: kernel_size**2]).to(device)


def search(in_keys: Tensor, out_keys: Tensor, kernel_size: int, stride: int) -> Tensor:
    """The neighbor table (K, num_out) int32: the input row at each offset of each output row, or -1."""
    table = torch.empty(kernel_size**3, len(out_keys), dtype=torch.int32, device=out_keys.device)
    if table.numel() == 0:
        return table
    # A column holds the offsets of one (x, y); its neighbors are consecutive among the sorted keys.
    columns = _columns_on(kernel_size, stride, in_keys.device)
    grid = (cdiv(len(out_keys), SEARCH_ROWS), len(columns))
    with device_of(in_keys):
        kernels.search_columns[grid](
            *(in_keys, len(in_keys), len(in_keys).bit_length(), out_keys, len(out_keys), columns, stride, table),
            SIDE=kernel_size,
            BLOCK=SEARCH_ROWS,
        )
    return table


def transpose(table: Tensor, num_in: int) -> Tensor:
    """The neighbor table (K, num_in) of the transposed convolution, from ``table`` (K, num_out)."""
    volume, num_out = table.shape
    rows = torch.arange(num_out, dtype=torch.int32, device=table.device).expand(volume, -1)
    # The extra column takes the absent neighbors. Within an offset no input row occurs twice.
    out = torch.full((volume, num_in + 1), -1, dtype=torch.int32, device=table.device)
    return out.scatter_(1, table.masked_fill(table < 0, num_in).long(), rows)[:, :num_in].contiguous()


def arrange(table: Tensor, bits: Tensor, num_in: int) -> TileMap:
    """Sort the output rows of a neighbor table (K, num_out) by neighborhood and cut them into tiles."""
    volume, num_out = table.shape
    tile = tile_rows(num_out)
    tiles = cdiv(num_out, tile)
    rows = torch.full((tiles * tile,), -1, dtype=torch.int32, device=table.device)
    rows[:num_out] = _order(table, bits)
    active = torch.empty(tiles, volume, dtype=torch.int8, device=table.device)
    neighbors = torch.empty(tiles, volume, tile, dtype=torch.int32, device=table.device)
    if tiles:
        with device_of(table):
            kernels.active_offsets[(tiles,)](table, num_out, rows, active, VOLUME=volume, TILE=tile)
    offsets = active.sort(dim=1, descending=True, stable=True).indices.int()
    counts = active.sum(1, dtype=torch.int32)
    if tiles:
        with device_of(table):
            kernels.fill_tiles[(tiles,)](table, num_out, rows, offsets, counts, neighbors, VOLUME=volume, TILE=tile)
    slot = active.cumsum(1, dtype=torch.int32) - 1
    block = slot + torch.arange(tiles, dtype=torch.int32, device=table.device)[:, None] * volume
    order = active.t().sort(dim=1, descending=True, stable=True).indices
    return TileMap(
        neighbors=neighbors,
        rows=rows,
        offsets=offsets,
        counts=counts,
        blocks=block.t().gather(1, order).contiguous(),
        block_counts=active.sum(0, dtype=torch.int32),
        num_in=num_in,
        num_out=num_out,
    )


def _order(table: Tensor, bits: Tensor) -> Tensor:
    """(num_out,) int32: rows by segment, then by signature read as Gray code: neighbors in that order differ little."""
    volume, num_out = table.shape
    signature = torch.zeros(num_out, dtype=torch.int32, device=table.device)
    if num_out == 0:
        return signature
    with device_of(table):
        grid = (cdiv(num_out, SEARCH_ROWS),)
        kernels.row_signatures[grid](table, num_out, bits, signature, VOLUME=volume, BLOCK=SEARCH_ROWS)
    for shift in (1, 2, 4, 8, 16):
        signature ^= signature >> shift
    segment = torch.arange(num_out, device=table.device) // SEGMENT
    return (segment << SIGNATURE_BITS | signature).sort(stable=True).indices.int()
