"""Tensors in memory shared with worker processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def shared_zeros(size: int | tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros of ``size`` in shared memory: running worker processes see every change."""
    share: Callable[[], Tensor] = torch.zeros(size, dtype=dtype).share_memory_
    return share()
