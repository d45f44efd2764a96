"""Triton kernels of ``triton_cross_entropy``: a program takes whole rows."""

# Triton compiles these functions from their source; their arguments have no Python types.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _rows(logits, labels, offset, rows, CLASSES: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_CLASSES: tl.constexpr):
    """(row, classes, positions, which exist, logits with -inf beyond the classes, labels)"""
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    column = tl.arange(0, BLOCK_CLASSES)
    at = row.to(tl.int64)[:, None] * CLASSES + column[None, :]
    mask = (row < rows)[:, None] & (column < CLASSES)[None, :]
    z = tl.load(logits + at, mask=mask, other=0.0).to(tl.float32)
    if offset is not None:
        z += tl.load(offset + column, mask=column < CLASSES, other=0.0)[None, :]
    z = tl.where((column < CLASSES)[None, :], z, float("-inf"))
    return row, column, at, mask, z, tl.load(labels + row, mask=row < rows, other=-1)


@triton.jit(do_not_specialize=["rows"])
def losses(
    logits,
    labels,
    weight,
    offset,
    smoothing,
    out,
    normalizers,
    rows,
    CLASSES: tl.constexpr,
    SMOOTH: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
):
    """Losses (N,), and the log-sum-exp of each row, for ``gradient``. A label that does not exist gives NaN."""
    row, column, _, _, z, label = _rows(logits, labels, offset, rows, CLASSES, BLOCK_ROWS, BLOCK_CLASSES)
    most = tl.max(z, 1)
    normalizer = most + tl.log(tl.sum(tl.exp(z - most[:, None]), 1))
    w = tl.load(weight + column, mask=column < CLASSES, other=0.0)[None, :]
    terms = w * tl.where((column < CLASSES)[None, :], normalizer[:, None] - z, 0.0)
    loss = tl.sum(tl.where(column[None, :] == label[:, None], terms, 0.0), 1)
    if SMOOTH:
        loss = (1 - smoothing) * loss + smoothing / CLASSES * tl.sum(terms, 1)
    loss = tl.where(label == -1, 0.0, tl.where((label < 0) | (label >= CLASSES), float("nan"), loss))
    tl.store(out + row, loss, mask=row < rows)
    tl.store(normalizers + row, normalizer, mask=row < rows)


@triton.jit(do_not_specialize=["rows", "grad_stride"])
def gradient(
    grad,
    grad_stride,
    logits,
    labels,
    weight,
    offset,
    smoothing,
    normalizers,
    grad_logits,
    rows,
    CLASSES: tl.constexpr,
    SMOOTH: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
):
    """The gradient of the logits, from that of the losses: ``grad[row * grad_stride]``."""
    row, column, at, mask, z, label = _rows(logits, labels, offset, rows, CLASSES, BLOCK_ROWS, BLOCK_CLASSES)
    normalizer = tl.load(normalizers + row, mask=row < rows, other=0.0)
    g = tl.load(grad + row.to(tl.int64) * grad_stride, mask=row < rows, other=0.0)
    w = tl.load(weight + column, mask=column < CLASSES, other=0.0)[None, :]
    target = tl.where(column[None, :] == label[:, None], w, 0.0)
    if SMOOTH:
        target = (1 - smoothing) * target + smoothing / CLASSES * w
    slope = tl.exp(z - normalizer[:, None]) * tl.sum(target, 1)[:, None] - target
    slope = tl.where((label == -1)[:, None], 0.0, slope * g[:, None])
    tl.store(grad_logits + at, slope.to(grad_logits.dtype.element_ty), mask=mask)
