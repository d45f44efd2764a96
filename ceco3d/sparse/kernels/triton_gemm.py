"""The arithmetic of a sparse convolution in Triton: implicit matrix products over a TileMap.

Every program owns what it writes: there are no atomics, sums run in a fixed order and results are the same bit for bit
in every run. Products are summed in float32.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _dot(a, b, total, OPERANDS: tl.constexpr):
    """``total + a @ b``. OPERANDS: "exact"; "tf32"; "widened", for the interpreter, which cannot multiply bfloat16."""
    if OPERANDS == "tf32":
        return tl.dot(_tf32(a), _tf32(b), total, input_precision="tf32")
    elif OPERANDS == "widened":
        return tl.dot(a.to(tl.float32), b.to(tl.float32), total, input_precision="ieee")
    else:
        return tl.dot(a, b, total, input_precision="ieee")


@triton.jit
def _tf32(values):
    """Round to the nearest of TF32's 10 bits: the tensor cores cut the rest off, always toward zero. NaN stays NaN."""
    bits = values.to(tl.int32, bitcast=True)
    rounded = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    return tl.where(values == values, rounded, values)


@triton.jit
def _at(base, row, stride: tl.constexpr, column):
    """Pointers to ``base[row, column]``; row * stride passes 2**31 for 10M voxels of 256 channels."""
    return base + row.to(tl.int64)[:, None] * stride + column[None, :]


@triton.jit(do_not_specialize=["num_out"])
def convolve(
    features,
    weight,
    bias,
    out,
    neighbours,
    rows,
    offsets,
    counts,
    num_out,
    VOLUME: tl.constexpr,
    CIN: tl.constexpr,
    COUT: tl.constexpr,
    TILE: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    SPLITS: tl.constexpr,
    STAGES: tl.constexpr,
    BIAS: tl.constexpr,
    OPERANDS: tl.constexpr,
):
    """``out[row] = bias + sum_k features[neighbour_k(row)] @ weight[k]``: one tile of rows, COLUMNS output channels.

    features (num_in, CIN), weight (VOLUME, CIN, COUT), out (num_out, COUT). With SPLITS > 1 the offsets in use are
    dealt out among that many programs, and ``out`` is (SPLITS, num_out, COUT) float32, to be summed.
    """
    panels: tl.constexpr = (COUT + COLUMNS - 1) // COLUMNS
    # Programs beside each other share the rows they gather.
    tile = (tl.program_id(0) // panels).to(tl.int64)
    column = (tl.program_id(0) % panels) * COLUMNS + tl.arange(0, COLUMNS)
    split = tl.program_id(1)
    lane = tl.arange(0, TILE)
    depth = tl.arange(0, DEPTH)
    blocks: tl.constexpr = (CIN + DEPTH - 1) // DEPTH
    mine = (tl.load(counts + tile) - split + SPLITS - 1) // SPLITS
    total = tl.zeros((TILE, COLUMNS), tl.float32)
    for step in tl.range(0, mine * blocks, num_stages=STAGES):
        block = tile * VOLUME + split + (step // blocks) * SPLITS
        channel = (step % blocks) * DEPTH + depth
        neighbour = tl.load(neighbours + block * TILE + lane)
        k = tl.load(offsets + block).to(tl.int64)
        a = tl.load(
            _at(features, neighbour, CIN, channel),
            mask=(neighbour >= 0)[:, None] & (channel < CIN)[None, :],
            other=0.0,
        )
        b = tl.load(
            weight + k * (CIN * COUT) + channel[:, None] * COUT + column[None, :],
            mask=(channel < CIN)[:, None] & (column < COUT)[None, :],
            other=0.0,
        )
        total = _dot(a, b, total, OPERANDS)
    if BIAS:
        total += tl.load(bias + column, mask=column < COUT, other=0.0).to(tl.float32)[None, :]
    row = tl.load(rows + tile * TILE + lane)
    out += split.to(tl.int64) * num_out * COUT
    tl.store(
        _at(out, row, COUT, column),
        total.to(out.dtype.element_ty),
        mask=(row >= 0)[:, None] & (column < COUT)[None, :],
    )


@triton.jit(do_not_specialize=["tiles"])
def weight_gradient(
    features,
    grad_out,
    grad_weight,
    neighbours,
    rows,
    blocks,
    block_counts,
    tiles,
    VOLUME: tl.constexpr,
    CIN: tl.constexpr,
    COUT: tl.constexpr,
    TILE: tl.constexpr,
    PAIRS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SPLITS: tl.constexpr,
    STAGES: tl.constexpr,
    OPERANDS: tl.constexpr,
):
    """``grad_weight[s, k] = sum_row features[neighbour_k(row)]^T grad_out[row]`` over share s of the tiles that use k.

    features (num_in, CIN), grad_out (num_out, COUT), grad_weight (SPLITS, VOLUME, CIN, COUT) float32; a program has
    ROWS input and COLUMNS output channels of one offset, and takes PAIRS pairs at a time.
    """
    panels: tl.constexpr = (COUT + COLUMNS - 1) // COLUMNS
    k = tl.program_id(1)
    split = tl.program_id(2)
    channel = (tl.program_id(0) // panels) * ROWS + tl.arange(0, ROWS)
    column = (tl.program_id(0) % panels) * COLUMNS + tl.arange(0, COLUMNS)
    pair = tl.arange(0, PAIRS)
    parts: tl.constexpr = TILE // PAIRS
    count = tl.load(block_counts + k)
    share = (count + SPLITS - 1) // SPLITS
    first = split * share
    mine = tl.maximum(tl.minimum(first + share, count) - first, 0)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    blocks += k.to(tl.int64) * tiles + first
    for step in tl.range(0, mine * parts, num_stages=STAGES):
        block = tl.load(blocks + step // parts).to(tl.int64)
        lane = (step % parts) * PAIRS + pair
        neighbour = tl.load(neighbours + block * TILE + lane)
        row = tl.load(rows + (block // VOLUME) * TILE + lane)
        found = (neighbour >= 0)[:, None]
        a = tl.load(_at(features, neighbour, CIN, channel), mask=found & (channel < CIN)[None, :], other=0.0)
        b = tl.load(_at(grad_out, row, COUT, column), mask=found & (column < COUT)[None, :], other=0.0)
        total = _dot(tl.trans(a), b, total, OPERANDS)
    grad_weight += (split.to(tl.int64) * VOLUME + k) * (CIN * COUT)
    tl.store(
        grad_weight + channel[:, None] * COUT + column[None, :],
        total,
        mask=(channel < CIN)[:, None] & (column < COUT)[None, :],
    )
