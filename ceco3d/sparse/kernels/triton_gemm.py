"""Implicit GEMM in Triton: sparse convolution over a TileMap.

Every program owns what it writes: no atomics, a fixed order of sums, the same bits in every run. Sums are float32.
"""

# Triton compiles these functions from their source; their arguments have no Python types.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _dot(a, b, total, OPERANDS: tl.constexpr):
    """``total + a @ b``. OPERANDS: "exact", "tf32", or "widened" for the interpreter, which lacks bfloat16 products."""
    if OPERANDS == "tf32":
        return tl.dot(_tf32(a), _tf32(b), total, input_precision="tf32")
    elif OPERANDS == "widened":
        return tl.dot(a.to(tl.float32), b.to(tl.float32), total, input_precision="ieee")
    else:
        return tl.dot(a, b, total, input_precision="ieee")


@triton.jit
def _tf32(values):
    """Round to the nearest TF32 (10 bits). The tensor cores would truncate, always toward zero. NaN stays NaN."""
    bits = values.to(tl.int32, bitcast=True)
    rounded = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    return tl.where(values == values, rounded, values)


@triton.jit
def _at(base, row, stride: tl.constexpr, column):
    """Pointers to ``base[row, column]``. row * stride exceeds 2**31 for 10M voxels of 256 channels."""
    return base + row.to(tl.int64)[:, None] * stride + column[None, :]


@triton.jit
def _weights(weight, k, channel, column, CIN: tl.constexpr, COUT: tl.constexpr, TRANSPOSED: tl.constexpr):
    """``weight[k]`` for input ``channel`` and output ``column``, zero beyond CIN and COUT."""
    first: tl.constexpr = 1 if TRANSPOSED else COUT
    second: tl.constexpr = CIN if TRANSPOSED else 1
    place = channel[:, None] * first + column[None, :] * second
    inside = (channel < CIN)[:, None] & (column < COUT)[None, :]
    return tl.load(weight + k.to(tl.int64) * (CIN * COUT) + place, mask=inside, other=0.0)


@triton.jit(do_not_specialize=["num_out"])
def convolve(
    features,
    weight,
    bias,
    residual,
    out,
    neighbors,
    rows,
    offsets,
    counts,
    num_out,
    VOLUME: tl.constexpr,
    CIN: tl.constexpr,
    WIDTH: tl.constexpr,
    COUT: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    CHUNKS: tl.constexpr,
    SPLIT_K: tl.constexpr,
    STAGES: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    MIRRORED: tl.constexpr,
    RELU: tl.constexpr,
    OPERANDS: tl.constexpr,
):
    """``out[row] = relu(bias + sum_k features[neighbor_k(row)] @ weight[k] + residual[row])``.

    A program computes BLOCK_M rows and BLOCK_N channels. features (num_in, WIDTH), of which CIN channels count;
    weight (VOLUME, CIN, COUT), or (VOLUME, COUT, CIN) if TRANSPOSED, from the last to the first offset if MIRRORED;
    residual and out (num_out, COUT). bias and residual may be None. With SPLIT_K > 1 that many programs share
    the steps of a tile, and ``out`` is (SPLIT_K, num_out, COUT) float32: partial sums for ``add_parts``.
    """
    panels: tl.constexpr = (COUT + BLOCK_N - 1) // BLOCK_N
    # Adjacent programs gather the same rows.
    tile = (tl.program_id(0) // panels).to(tl.int64)
    column = (tl.program_id(0) % panels) * BLOCK_N + tl.arange(0, BLOCK_N)
    split = tl.program_id(1)
    lane = tl.arange(0, BLOCK_M)
    depth = tl.arange(0, BLOCK_K)
    # A step multiplies CHUNKS blocks of channels at one offset, whose neighbors it reads once.
    wide: tl.constexpr = CHUNKS * BLOCK_K
    parts: tl.constexpr = (CIN + wide - 1) // wide
    mine = (tl.load(counts + tile) * parts - split + SPLIT_K - 1) // SPLIT_K
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    if residual is not None:  # takes fewer registers before the products than after them
        row = tl.load(rows + tile * BLOCK_M + lane)
        inside = (row >= 0)[:, None] & (column < COUT)[None, :]
        total += tl.load(_at(residual, row, COUT, column), mask=inside, other=0.0).to(tl.float32)
    for i in tl.range(0, mine, num_stages=STAGES):
        step = i * SPLIT_K + split
        block = tile * VOLUME + step // parts
        neighbor = tl.load(neighbors + block * BLOCK_M + lane)
        k = tl.load(offsets + block)
        if MIRRORED:
            k = VOLUME - 1 - k
        for chunk in tl.static_range(CHUNKS):
            channel = (step % parts) * wide + chunk * BLOCK_K + depth
            a = tl.load(
                _at(features, neighbor, WIDTH, channel),
                mask=(neighbor >= 0)[:, None] & (channel < WIDTH)[None, :],
                other=0.0,
            )
            b = _weights(weight, k, channel, column, CIN, COUT, TRANSPOSED)
            total = _dot(a, b, total, OPERANDS)
    if bias is not None:
        total += tl.load(bias + column, mask=column < COUT, other=0.0).to(tl.float32)[None, :]
    if RELU:
        total = _relu(total)
    row = tl.load(rows + tile * BLOCK_M + lane)
    out += split.to(tl.int64) * num_out * COUT
    tl.store(
        _at(out, row, COUT, column),
        total.to(out.dtype.element_ty),
        mask=(row >= 0)[:, None] & (column < COUT)[None, :],
    )


@triton.jit
def _relu(values):
    """NaN stays NaN."""
    return tl.where(values < 0, 0.0, values)


@triton.jit(do_not_specialize=["num_out", "split_k"])
def add_parts(parts, bias, residual, out, num_out, cout, split_k, RELU: tl.constexpr, BLOCK: tl.constexpr):
    """``out = relu(bias + sum_s parts[s] + residual)`` for BLOCK values; parts (split_k, num_out, cout) float32."""
    size = num_out.to(tl.int64) * cout
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < size
    total = tl.zeros((BLOCK,), tl.float32)
    for split in range(split_k):
        total += tl.load(parts + split * size + place, mask=inside, other=0.0)
    if residual is not None:
        total += tl.load(residual + place, mask=inside, other=0.0).to(tl.float32)
    if bias is not None:
        total += tl.load(bias + place % cout).to(tl.float32)
    if RELU:
        total = _relu(total)
    tl.store(out + place, total.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["tiles"])
def weight_gradient(
    features,
    grad_out,
    grad_weight,
    neighbors,
    rows,
    blocks,
    block_counts,
    tiles,
    VOLUME: tl.constexpr,
    CIN: tl.constexpr,
    WIDTH: tl.constexpr,
    COUT: tl.constexpr,
    GRAD_WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    SPLIT_K: tl.constexpr,
    STAGES: tl.constexpr,
    OPERANDS: tl.constexpr,
):
    """``grad_weight[s, k] = sum_row features[neighbor_k(row)]^T grad_out[row]`` over part s of the tiles that use k.

    features (num_in, WIDTH) and grad_out (num_out, GRAD_WIDTH), of which CIN and COUT channels count; grad_weight
    (SPLIT_K, VOLUME, CIN, COUT) float32. A program owns BLOCK_M input and BLOCK_N output channels of one offset and
    takes BLOCK_K pairs per step; BLOCK_K divides TILE.
    """
    panels: tl.constexpr = (COUT + BLOCK_N - 1) // BLOCK_N
    k = tl.program_id(1)
    split = tl.program_id(2)
    channel = (tl.program_id(0) // panels) * BLOCK_M + tl.arange(0, BLOCK_M)
    column = (tl.program_id(0) % panels) * BLOCK_N + tl.arange(0, BLOCK_N)
    pair = tl.arange(0, BLOCK_K)
    parts: tl.constexpr = TILE // BLOCK_K
    count = tl.load(block_counts + k)
    share = (count + SPLIT_K - 1) // SPLIT_K
    first = split * share
    mine = tl.maximum(tl.minimum(first + share, count) - first, 0)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    blocks += k.to(tl.int64) * tiles + first
    for step in tl.range(0, mine * parts, num_stages=STAGES):
        block = tl.load(blocks + step // parts).to(tl.int64)
        lane = (step % parts) * BLOCK_K + pair
        neighbor = tl.load(neighbors + block * TILE + lane)
        row = tl.load(rows + (block // VOLUME) * TILE + lane)
        found = (neighbor >= 0)[:, None]
        a = tl.load(_at(features, neighbor, WIDTH, channel), mask=found & (channel < WIDTH)[None, :], other=0.0)
        b = tl.load(_at(grad_out, row, GRAD_WIDTH, column), mask=found & (column < GRAD_WIDTH)[None, :], other=0.0)
        total = _dot(tl.trans(a), b, total, OPERANDS)
    grad_weight += (split.to(tl.int64) * VOLUME + k) * (CIN * COUT)
    tl.store(
        grad_weight + channel[:, None] * COUT + column[None, :],
        total,
        mask=(channel < CIN)[:, None] & (column < COUT)[None, :],
    )
