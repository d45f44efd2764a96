"""Sizes of blocks for the Triton kernels, from the shape of a convolution alone.

Gathering rows from the L2 cache bounds these kernels, not the tensor cores: per pair of 96 channels a Hopper processor
needs about 8 cycles to fetch the row and 3 to multiply it. So a program takes all output channels of its rows where
registers allow, and pads channels to a power of two without regret.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from ceco3d.sparse.kernels.triton_launch import cdiv

# Programs that occupy an H100 or H200 (132 processors) twice. Fixed, so that sums run in the same order on every GPU.
PROGRAMS = 264
SHARED_BYTES = 96 << 10  # for rows in flight; leaves room for two programs on a processor of Hopper, one of Ampere
MIN_BLOCK = 16  # the least that tensor cores multiply


@dataclass(frozen=True)
class ConvolveConfig:
    """columns: output channels of a program; depth: input channels at a time; splits: see ``triton_gemm.convolve``."""

    columns: int
    depth: int
    splits: int
    warps: int
    stages: int


@dataclass(frozen=True)
class GradientConfig:
    """rows x columns: channels of a program; pairs: at a time; splits: see ``triton_gemm.weight_gradient``."""

    rows: int
    columns: int
    pairs: int
    splits: int
    warps: int
    stages: int


@lru_cache(maxsize=1024)
def convolve_config(
    num_out: int, in_channels: int, out_channels: int, volume: int, tile: int, dtype: torch.dtype
) -> ConvolveConfig:
    """Blocks for the forward pass and the input gradient."""
    columns = _block(out_channels, 256 if tile == 128 and dtype.itemsize == 2 else 128)
    widest = 64 if dtype.itemsize == 2 else 32
    whole = [depth for depth in (64, 32, 16) if depth <= widest and in_channels % depth == 0]
    depth = whole[0] if whole else _block(in_channels, widest // 2)
    programs = cdiv(num_out, tile) * cdiv(out_channels, columns)
    # An up-sampling (8 offsets) uses one offset a row: there is nothing to share out.
    splits = _splits(programs, volume // 4)
    warps = 4 if tile * columns <= 128 * 64 else 8
    # A row is found by its index: every second stage of the pipeline adds a buffer, the first two none.
    buffers = _buffers((tile + columns) * depth * dtype.itemsize, 3, 4)
    return ConvolveConfig(columns, depth, splits, warps, stages=2 * buffers - 1)


@lru_cache(maxsize=1024)
def gradient_config(
    num_out: int, in_channels: int, out_channels: int, volume: int, tile: int, dtype: torch.dtype
) -> GradientConfig:
    """Blocks for the weight gradient."""
    rows = _block(in_channels, 128)
    columns = _block(out_channels, 256 if dtype.itemsize == 2 else 128)
    pairs = 64 if dtype.itemsize == 2 else 32
    programs = volume * cdiv(in_channels, rows) * cdiv(out_channels, columns)
    # Offsets differ in their number of pairs: more programs than processors even that out. But every share is written
    # and read again, so it has to be worth it: eight tiles at least.
    splits = _splits(programs // 4, cdiv(num_out, tile) // 8)
    warps = 4 if rows * columns <= 128 * 64 else 8
    # The index of a row is found by way of its block: every third stage adds a buffer.
    buffers = _buffers((rows + columns) * pairs * dtype.itemsize, 2, 3)
    return GradientConfig(rows, columns, pairs, splits, warps, stages=3 * buffers - 1)


def _block(channels: int, most: int) -> int:
    return max(MIN_BLOCK, min(1 << (channels - 1).bit_length(), most))


def _splits(programs: int, most: int) -> int:
    splits = 1
    while programs * splits < PROGRAMS and 2 * splits <= most:
        splits *= 2
    return splits


def _buffers(step_bytes: int, least: int, most: int) -> int:
    """Steps whose rows are in flight together."""
    return max(least, min(SHARED_BYTES // step_bytes, most))
