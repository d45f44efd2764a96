"""Cross-entropy in Triton: one launch each way, in float32 without a float32 copy of the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ceco3d.sparse.kernels import triton_cross_entropy_kernels as kernels
from ceco3d.sparse.kernels.triton_launch import cdiv, device_of, unsupported

MOST_CLASSES = 4096  # a program holds a row
BLOCK_VALUES = 4096


def supports(logits: Tensor) -> bool:
    """Whether these kernels take ``logits`` (N, K) here."""
    return unsupported(logits.device, logits.dtype) is None and 0 < logits.shape[1] <= MOST_CLASSES and len(logits) > 0


def cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, offset: Tensor | None, label_smoothing: float
) -> Tensor:
    """See ``ceco3d.sparse.cross_entropy``; labels below -1 or from K on give NaN. ``weight`` and ``offset`` float32."""
    out: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
        logits.contiguous(), labels.contiguous(), weight, offset, label_smoothing
    )
    return out


class _CrossEntropy(torch.autograd.Function):
    # ctx: torch types its own attributes only, not those that a function adds.
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, weight: Tensor, offset: Tensor | None, smoothing: float
    ) -> Tensor:
        out, normalizers = (logits.new_empty(len(logits), dtype=torch.float32) for _ in range(2))
        grid, sizes = _launch(logits, smoothing)
        with device_of(logits):
            kernels.losses[grid](logits, labels, weight, offset, smoothing, out, normalizers, len(logits), **sizes)
        ctx.save_for_backward(logits, labels, weight, offset, normalizers)
        ctx.smoothing = smoothing
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, labels, weight, offset, normalizers = ctx.saved_tensors
        grad_logits = torch.empty_like(logits)
        grid, sizes = _launch(logits, ctx.smoothing)
        with device_of(logits):
            kernels.gradient[grid](
                *(grad, grad.stride(0), logits, labels, weight, offset, ctx.smoothing, normalizers, grad_logits),
                len(logits),
                **sizes,
            )
        return grad_logits, None, None, None, None


def _launch(logits: Tensor, smoothing: float) -> tuple[tuple[int], dict[str, Any]]:
    rows, classes = logits.shape
    block_classes = 1 << (classes - 1).bit_length()
    block_rows = BLOCK_VALUES // block_classes
    sizes = {"CLASSES": classes, "SMOOTH": smoothing > 0, "BLOCK_ROWS": block_rows, "BLOCK_CLASSES": block_classes}
    return (cdiv(rows, block_rows),), sizes
