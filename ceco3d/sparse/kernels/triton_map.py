"""Kernel maps for the Triton kernels: neighbor tables in tiles of output rows with similar neighborhoods.

A map takes four launches: search, sort, fill, list. The host never waits for the device, except for two small tables
per kernel size and level the first time: all sizes follow from the numbers of voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from math import isqrt

import torch
from torch import Tensor

from ceco3d.sparse.kernels import triton_map_kernels as kernels
from ceco3d.sparse.kernels.triton_launch import cdiv, device_of
from ceco3d.sparse.maps.coordinates import offset_keys
from ceco3d.sparse.maps.kernel_map import kernel_offsets

# Rows are sorted by neighborhood within a segment only: the rows that a segment gathers fit the L2 cache.
SEGMENT = 1 << 17
LISTED = 2048  # tiles that ``list_blocks`` takes in a step


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
    forward = build_tile_map(in_keys, out_keys, kernel_size, stride, 1)
    if in_keys is out_keys and kernel_size % 2:
        return TileMaps(forward, forward, mirrored=True)
    return TileMaps(forward, build_tile_map(out_keys, in_keys, kernel_size, stride, -1), mirrored=False)


def build_tile_map(in_keys: Tensor, out_keys: Tensor, kernel_size: int, stride: int, sign: int) -> TileMap:
    """The map of one direction: the neighbor of a voxel at an offset lies ``sign`` times the offset away from it."""
    columns, order = search(in_keys, out_keys, kernel_size, stride, sign)
    return arrange(columns, order.sort(stable=True).indices, len(in_keys), sign)


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
def _columns_on(kernel_size: int, stride: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Key steps to the columns of a kernel, and its signature bits."""
    steps = offset_keys(kernel_offsets(kernel_size, stride)[: kernel_size**2])
    return steps.to(device), signature_bits(kernel_size).to(device)


def search(in_keys: Tensor, out_keys: Tensor, kernel_size: int, stride: int, sign: int) -> tuple[Tensor, Tensor]:
    """The neighbors (num_out, K / kernel_size) of each output row, column by column, and what rows are sorted by.

    See ``triton_map_kernels``. Rows sort by segment, then by signature read as Gray code: neighbors in that order
    differ little.
    """
    num_out, area, signature = len(out_keys), kernel_size**2, min(kernel_size, 3) ** 3
    device, segments = out_keys.device, cdiv(num_out, SEGMENT)
    columns = torch.empty(num_out, area, dtype=_integer(len(in_keys).bit_length() + kernel_size), device=device)
    # The fewer bits, the fewer passes of the sort.
    order = torch.empty(num_out, dtype=_integer(signature + segments.bit_length(), torch.int16), device=device)
    if num_out == 0:
        return columns, order
    steps, bits = _columns_on(kernel_size, stride, in_keys.device)
    width = columns_of(kernel_size)
    block = search_rows(width)
    with device_of(in_keys):
        kernels.search_columns[(cdiv(num_out, block),)](
            *(in_keys, len(in_keys), out_keys, num_out, steps, stride, sign, bits, columns, order),
            SIDE=kernel_size,
            COLUMNS=width,
            BLOCK=block,
            SEGMENT=SEGMENT,
            SIGNATURE=signature,
        )
    return columns, order


def arrange(columns: Tensor, order: Tensor, num_in: int, sign: int) -> TileMap:
    """Cut the rows of ``search`` into tiles in the order (num_out,) int64."""
    num_out, area = columns.shape
    side, tile = isqrt(area), tile_rows(num_out)
    volume, tiles = side * area, cdiv(num_out, tile)
    make = partial(torch.empty, dtype=torch.int32, device=order.device)
    made = TileMap(
        neighbors=make(tiles, volume, tile),
        rows=make(tiles * tile),
        offsets=make(tiles, volume),
        counts=make(tiles),
        blocks=make(volume, tiles),
        block_counts=make(volume),
        num_in=num_in,
        num_out=num_out,
    )
    with device_of(order):
        if tiles:
            kernels.fill_tiles[(tiles,)](
                *(columns, order, num_out, sign, tiles),
                *(made.neighbors, made.rows, made.offsets, made.counts, made.blocks),
                SIDE=side,
                COLUMNS=columns_of(side),
                TILE=tile,
                num_warps=fill_warps(columns_of(side), tile),
            )
        kernels.list_blocks[(volume,)](made.blocks, made.block_counts, tiles, BLOCK=LISTED)
    return made


def columns_of(kernel_size: int) -> int:
    """COLUMNS of the kernels."""
    return 1 << (kernel_size**2 - 1).bit_length()


def search_rows(width: int) -> int:
    """Rows that a program of ``search_columns`` searches in so many columns."""
    return max(16, 1024 // width)


def fill_warps(width: int, tile: int) -> int:
    """Warps of ``fill_tiles``: eight values a thread."""
    return max(1, min(width * tile // 256, 16))


def _integer(bits: int, smallest: torch.dtype = torch.int32) -> torch.dtype:
    """The smallest signed type for numbers of so many bits."""
    kinds = (smallest, torch.int32, torch.int64)
    return next(kind for kind in kinds if torch.iinfo(kind).bits > bits)
