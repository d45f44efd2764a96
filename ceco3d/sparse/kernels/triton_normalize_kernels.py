"""Triton kernels of ``triton_normalize``.

Rows (N, C) are cut into parts of ``steps * BLOCK_ROWS`` rows, and a program takes BLOCK_CHANNELS channels of one. Sums
are float32: by lane within a part, then over the parts in their order, in each program that needs them. No atomics.
"""

# Triton compiles these functions from their source; their arguments have no Python types.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import triton
import triton.language as tl

PIVOT_ROWS = tl.constexpr(64)
PARTS_AT_A_TIME = tl.constexpr(32)


@triton.jit
def _channels(channels, BLOCK_CHANNELS: tl.constexpr):
    """(channels of this program, which exist, which this program writes the sums of: all in part 0, else none)."""
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    return channel, channel < channels, channel < tl.where(tl.program_id(0) == 0, channels, 0)


@triton.jit
def _block(step, steps, rows, channels, channel, inside, BLOCK_ROWS: tl.constexpr):
    """(row numbers, positions of their values, which exist) of one step."""
    row = (tl.program_id(0) * steps + step) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    return row, row.to(tl.int64)[:, None] * channels + channel[None, :], (row < rows)[:, None] & inside[None, :]


@triton.jit
def _values(pointers, mask):
    return tl.load(pointers, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _sum_of_parts(sums, parts, channels, channel, inside, BLOCK_CHANNELS: tl.constexpr):
    """The sum of ``sums`` (parts, C) over the parts."""
    part = tl.arange(0, PARTS_AT_A_TIME)
    total = tl.zeros((PARTS_AT_A_TIME, BLOCK_CHANNELS), tl.float32)
    for first in range(0, parts, PARTS_AT_A_TIME):
        mask = (first + part < parts)[:, None] & inside[None, :]
        total += tl.load(sums + (first + part)[:, None] * channels + channel[None, :], mask=mask, other=0.0)
    return tl.sum(total, 0)


@triton.jit
def _transform(moments, weight, bias, channels, channel, inside):
    """(center, rest, 1 / deviation, scale, shift): ``y = (x - center) * scale + shift``."""
    center = tl.load(moments + channel, mask=inside, other=0.0)
    rest = tl.load(moments + channels + channel, mask=inside, other=0.0)
    inverse = tl.load(moments + 2 * channels + channel, mask=inside, other=0.0)
    scale = tl.load(weight + channel, mask=inside, other=0.0) * inverse
    return center, rest, inverse, scale, tl.load(bias + channel, mask=inside, other=0.0) - rest * scale


@triton.jit(do_not_specialize=["rows", "steps"])
def statistics(x, sums, rows, channels, steps, BLOCK_ROWS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr):
    """Sums (2, parts, C) of x - pivot and of its square, followed by the pivot (C,).

    The pivot is the mean of a few rows spread over all, so that small sums round little.
    """
    channel, inside, first = _channels(channels, BLOCK_CHANNELS)
    spread = tl.arange(0, PIVOT_ROWS).to(tl.int64) * rows // PIVOT_ROWS
    some = _values(x + spread[:, None] * channels + channel[None, :], inside[None, :])
    center = tl.sum(some, 0) / PIVOT_ROWS
    total = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    square = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    for step in tl.range(0, steps, num_stages=3):
        _, at, mask = _block(step, steps, rows, channels, channel, inside, BLOCK_ROWS)
        away = tl.where(mask, _values(x + at, mask) - center[None, :], 0.0)
        total += away
        square += away * away
    part, parts = tl.program_id(0) * channels + channel, tl.num_programs(0)
    tl.store(sums + part, tl.sum(total, 0), mask=inside)
    tl.store(sums + parts * channels + part, tl.sum(square, 0), mask=inside)
    tl.store(sums + 2 * parts * channels + channel, center, mask=first)


@triton.jit(do_not_specialize=["rows", "steps"])
def normalize(
    x,
    residual,
    out,
    sums,
    moments,
    weight,
    bias,
    running_mean,
    running_var,
    batches,
    momentum,
    eps,
    rows,
    channels,
    steps,
    TRAINING: tl.constexpr,
    RESIDUAL: tl.constexpr,
    RELU: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """``out = relu((x - mean) / deviation * weight + bias + residual)``; the programs of part 0 keep the statistics.

    They write moments (3, C): the mean as the float nearest to it and what that lacks, and 1 / deviation. In training
    the moments come from the sums of ``statistics``, and the running statistics move toward them.
    """
    channel, inside, first = _channels(channels, BLOCK_CHANNELS)
    if TRAINING:
        parts = tl.num_programs(0)
        mean = _sum_of_parts(sums, parts, channels, channel, inside, BLOCK_CHANNELS) / rows
        square = _sum_of_parts(sums + parts * channels, parts, channels, channel, inside, BLOCK_CHANNELS) / rows
        variance = square - mean * mean
        variance = tl.where(variance < 0, 0.0, variance)  # NaN stays
        start = tl.load(sums + 2 * parts * channels + channel, mask=inside, other=0.0)
        center = start + mean
        # The rounding error of that sum (Knuth).
        virtual = center - start
        rest = (start - (center - virtual)) + (mean - virtual)
        before = tl.load(running_mean + channel, mask=first, other=0.0)
        tl.store(running_mean + channel, before + momentum * (center - before), mask=first)
        before = tl.load(running_var + channel, mask=first, other=0.0)
        unbiased = variance * (rows / (rows - 1.0))
        tl.store(running_var + channel, before + momentum * (unbiased - before), mask=first)
        if (tl.program_id(0) == 0) & (tl.program_id(1) == 0):
            tl.store(batches, tl.load(batches) + 1)
    else:
        center = tl.load(running_mean + channel, mask=inside, other=0.0)
        variance = tl.load(running_var + channel, mask=inside, other=1.0)
        rest = center * 0
    inverse = tl.div_rn(1.0, tl.sqrt_rn(variance + eps))
    tl.store(moments + channel, center, mask=first)
    tl.store(moments + channels + channel, rest, mask=first)
    tl.store(moments + 2 * channels + channel, inverse, mask=first)
    scale = tl.load(weight + channel, mask=inside, other=0.0) * inverse
    shift = tl.load(bias + channel, mask=inside, other=0.0) - rest * scale
    for step in tl.range(0, steps, num_stages=3):
        _, at, mask = _block(step, steps, rows, channels, channel, inside, BLOCK_ROWS)
        y = (_values(x + at, mask) - center[None, :]) * scale[None, :] + shift[None, :]
        if RESIDUAL:
            y += _values(residual + at, mask)
        if RELU:
            y = tl.where(y < 0, 0.0, y)  # NaN stays
        tl.store(out + at, y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _passing(grad, x, out, center, scale, shift, at, mask, MASK: tl.constexpr):
    """The gradient ``grad`` without the values that ReLU set to zero: MASK "", "input" (recomputed) or "output"."""
    if MASK == "input":
        grad = tl.where((x - center[None, :]) * scale[None, :] + shift[None, :] <= 0, 0.0, grad)
    elif MASK == "output":
        grad = tl.where(_values(out + at, mask) <= 0, 0.0, grad)
    return grad


@triton.jit(do_not_specialize=["rows", "steps"])
def gradient_sums(
    grad,
    grad_stride,
    x,
    out,
    passed,
    sums,
    moments,
    weight,
    bias,
    rows,
    channels,
    steps,
    MASK: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Sums (2, parts, C) of the gradient that passes ReLU, and of its product with (x - mean) / deviation.

    With MASK "output" that gradient is kept in ``passed``.
    """
    channel, inside, _ = _channels(channels, BLOCK_CHANNELS)
    center, rest, inverse, scale, shift = _transform(moments, weight, bias, channels, channel, inside)
    total = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    product = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    for step in tl.range(0, steps, num_stages=3):
        row, at, mask = _block(step, steps, rows, channels, channel, inside, BLOCK_ROWS)
        value = _values(x + at, mask)
        g = _values(grad + row.to(tl.int64)[:, None] * grad_stride + channel[None, :], mask)
        g = _passing(g, value, out, center, scale, shift, at, mask, MASK)
        if MASK == "output":
            tl.store(passed + at, g.to(passed.dtype.element_ty), mask=mask)
        total += g
        away = (value - center[None, :]) - rest[None, :]
        product += g * tl.where(mask, away * inverse[None, :], 0.0)
    part = tl.program_id(0) * channels + channel
    tl.store(sums + part, tl.sum(total, 0), mask=inside)
    tl.store(sums + tl.num_programs(0) * channels + part, tl.sum(product, 0), mask=inside)


@triton.jit(do_not_specialize=["rows", "steps"])
def gradient(
    grad,
    grad_stride,
    x,
    grad_x,
    grad_weight,
    grad_bias,
    sums,
    moments,
    weight,
    bias,
    rows,
    channels,
    steps,
    MASK: tl.constexpr,
    TRAINING: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """The gradient of x; the programs of part 0 write those of weight and bias. MASK is "" or "input"."""
    channel, inside, first = _channels(channels, BLOCK_CHANNELS)
    center, rest, inverse, scale, shift = _transform(moments, weight, bias, channels, channel, inside)
    parts = tl.num_programs(0)
    total = _sum_of_parts(sums, parts, channels, channel, inside, BLOCK_CHANNELS)
    product = _sum_of_parts(sums + parts * channels, parts, channels, channel, inside, BLOCK_CHANNELS)
    tl.store(grad_bias + channel, total, mask=first)
    tl.store(grad_weight + channel, product, mask=first)
    mean, slope = total / rows, product / rows * inverse
    for step in tl.range(0, steps, num_stages=3):
        row, at, mask = _block(step, steps, rows, channels, channel, inside, BLOCK_ROWS)
        value = _values(x + at, mask)
        g = _values(grad + row.to(tl.int64)[:, None] * grad_stride + channel[None, :], mask)
        g = _passing(g, value, None, center, scale, shift, at, mask, MASK)
        if TRAINING:
            g -= mean[None, :] + ((value - center[None, :]) - rest[None, :]) * slope[None, :]
        tl.store(grad_x + at, (g * scale[None, :]).to(grad_x.dtype.element_ty), mask=mask)
