"""Default block sizes of the Triton kernels, from the shape of a convolution alone.

The kernels are bound by gathering rows from the L2 cache, not by the tensor cores: for a pair of 96 channels, a Hopper
processor needs about 8 cycles to fetch the row and 3 to multiply it. So a program computes all output channels of its
rows where registers allow, and padding channels to a power of two costs little.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from ceco3d.sparse.kernels.triton_launch import cdiv

# Programs that fill an H100 or H200 (132 processors) twice. A constant keeps the order of sums the same on every GPU.
PROGRAMS = 264
SHARED_BYTES = 96 << 10  # for rows in flight; leaves room for two programs on a processor of Hopper, one of Ampere
MIN_BLOCK = 16  # the smallest block that tensor cores multiply


@dataclass(frozen=True)
class ConvolveConfig:
    """Block sizes of ``triton_gemm.convolve``; BLOCK_M is the tile of the kernel map.

    BLOCK_N  output channels of a program
    BLOCK_K  input channels of a product
    CHUNKS   products of a step, which reads the neighbors at one offset once
    SPLIT_K  programs that share the steps of a tile
    """

    BLOCK_N: int
    BLOCK_K: int
    CHUNKS: int
    SPLIT_K: int
    num_warps: int
    num_stages: int


@dataclass(frozen=True)
class GradientConfig:
    """Block sizes of ``triton_gemm.weight_gradient``, or of ``grouped_weight_gradient`` if OFFSETS > 1.

    OFFSETS  offsets of a program; with more than one, BLOCK_M covers all input channels
    BLOCK_M  input channels of a program
    BLOCK_N  output channels of a program
    BLOCK_K  pairs of a step
    SPLIT_K  programs that share the sum over pairs
    """

    OFFSETS: int
    BLOCK_M: int
    BLOCK_N: int
    BLOCK_K: int
    SPLIT_K: int
    num_warps: int
    num_stages: int


@lru_cache(maxsize=1024)
def convolve_config(
    num_out: int, in_channels: int, out_channels: int, volume: int, tile: int, dtype: torch.dtype
) -> ConvolveConfig:
    """Block sizes for the forward pass and the input gradient."""
    block_n = _block(out_channels, 256 if tile == 128 and dtype.itemsize == 2 else 128)
    widest = 64 if dtype.itemsize == 2 else 32
    whole = [size for size in (64, 32, 16) if size <= widest and in_channels % size == 0]
    block_k = whole[0] if whole else _block(in_channels, widest // 2)
    programs = cdiv(num_out, tile) * cdiv(out_channels, block_n)
    # An up-sampling (8 offsets) uses one offset per row, the others at least a quarter of theirs.
    split_k = _split_k(programs, (volume // 4 if volume > 8 else 1) * cdiv(in_channels, block_k))
    num_warps = 4 if tile * block_n <= 128 * 64 else 8
    # A row is found by its index: only every second pipeline stage adds a buffer, and the first two add none.
    buffers = _buffers((tile + block_n) * block_k * dtype.itemsize, 3, 4)
    return ConvolveConfig(block_n, block_k, 1, split_k, num_warps, num_stages=2 * buffers - 1)


@lru_cache(maxsize=1024)
def gradient_config(
    num_out: int, in_channels: int, out_channels: int, volume: int, tile: int, dtype: torch.dtype
) -> GradientConfig:
    """Block sizes for the weight gradient."""
    block_m = _block(in_channels, 128)
    block_n = _block(out_channels, 256 if dtype.itemsize == 2 else 128)
    block_k = 64 if dtype.itemsize == 2 else 32
    programs = volume * cdiv(in_channels, block_m) * cdiv(out_channels, block_n)
    # Offsets differ in their number of pairs; more programs than processors even that out. But every partial sum is
    # written and read again: at least eight tiles for each, and twice as many bytes gathered as moved for the sum.
    moved, gathered = 8 * block_m * block_n, tile * (block_m + block_n) * dtype.itemsize
    split_k = _split_k(programs // 4, cdiv(num_out, tile) // max(8, cdiv(2 * moved, gathered)))
    num_warps = 4 if block_m * block_n <= 128 * 64 else 8
    # The index of a row is found through its block: every third stage adds a buffer.
    buffers = _buffers((block_m + block_n) * block_k * dtype.itemsize, 2, 3)
    return GradientConfig(1, block_m, block_n, block_k, split_k, num_warps, num_stages=3 * buffers - 1)


def _block(channels: int, most: int) -> int:
    return max(MIN_BLOCK, min(1 << (channels - 1).bit_length(), most))


def _split_k(programs: int, most: int) -> int:
    split_k = 1
    while programs * split_k < PROGRAMS and 2 * split_k <= most:
        split_k *= 2
    return split_k


def _buffers(step_bytes: int, least: int, most: int) -> int:
    """Steps whose rows are in flight at the same time."""
    return max(least, min(SHARED_BYTES // step_bytes, most))
