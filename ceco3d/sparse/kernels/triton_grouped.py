"""The weight gradient of several offsets in one program, for convolutions of few input channels (``OFFSETS`` > 1)."""

# Triton compiles these functions from their source; their arguments have no Python types.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import triton
import triton.language as tl

from ceco3d.sparse.kernels.triton_gemm import _at, _dot


@triton.jit(do_not_specialize=["tiles"])
def grouped_weight_gradient(
    features,
    grad_out,
    grad_weight,
    neighbors,
    rows,
    slots,
    tiles,
    VOLUME: tl.constexpr,
    CIN: tl.constexpr,
    WIDTH: tl.constexpr,
    COUT: tl.constexpr,
    GRAD_WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    OFFSETS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    SPLIT_K: tl.constexpr,
    STAGES: tl.constexpr,
    OPERANDS: tl.constexpr,
):
    """``triton_gemm.weight_gradient`` of OFFSETS offsets: reads a row of ``grad_out`` once for all of them.

    slots (tiles, VOLUME) int32: for each tile the block of each offset, or -1. A program owns all input channels,
    BLOCK_M with padding, and walks through all tiles of its part, whether they use its offsets or not. A gradient that
    is not finite reaches all its offsets.
    """
    column = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    k = tl.program_id(1) * OFFSETS + tl.arange(0, OFFSETS)
    split = tl.program_id(2)
    channel = tl.arange(0, BLOCK_M)
    pair = tl.arange(0, BLOCK_K)
    parts: tl.constexpr = TILE // BLOCK_K
    share = (tiles + SPLIT_K - 1) // SPLIT_K
    first = split * share
    mine = tl.maximum(tl.minimum(first + share, tiles) - first, 0)
    total = tl.zeros((OFFSETS * BLOCK_M, BLOCK_N), tl.float32)
    for step in tl.range(0, mine * parts, num_stages=STAGES):
        tile = (first + step // parts).to(tl.int64)
        lane = (step % parts) * BLOCK_K + pair
        slot = tl.load(slots + tile * VOLUME + k, mask=k < VOLUME, other=-1)
        block = (tile * VOLUME + slot)[None, :] * TILE + lane[:, None]
        neighbor = tl.load(neighbors + block, mask=(slot >= 0)[None, :], other=-1)
        row = tl.load(rows + tile * TILE + lane)
        a = tl.load(
            features + neighbor.to(tl.int64)[:, :, None] * WIDTH + channel[None, None, :],
            mask=(neighbor >= 0)[:, :, None] & (channel < WIDTH)[None, None, :],
            other=0.0,
        )
        a = tl.reshape(a, (BLOCK_K, OFFSETS * BLOCK_M))
        b = tl.load(
            _at(grad_out, row, GRAD_WIDTH, column),
            mask=(row >= 0)[:, None] & (column < GRAD_WIDTH)[None, :],
            other=0.0,
        )
        total = _dot(tl.trans(a), b, total, OPERANDS)
    line = tl.arange(0, OFFSETS * BLOCK_M)
    k = tl.program_id(1) * OFFSETS + line // BLOCK_M
    channel = line % BLOCK_M
    grad_weight += split.to(tl.int64) * VOLUME * CIN * COUT
    tl.store(
        grad_weight + (k * CIN + channel)[:, None] * COUT + column[None, :],
        total,
        mask=((k < VOLUME) & (channel < CIN))[:, None] & (column < COUT)[None, :],
    )
