"""Cross-entropy of each voxel, as engines compute it: ``ceco3d.sparse.triton`` has another of the same arguments."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, offset: Tensor | None, label_smoothing: float
) -> Tensor:
    """(N, K) logits, (N,) labels from -1 = ignored -> (N,) losses, float32 or wider; 0 where ignored.

    weight           (K,) of the classes
    offset           (K,), added to the logits, or None
    label_smoothing  target mass spread evenly over all classes
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    logits = logits if offset is None else logits + offset
    weight = weight.to(logits.dtype)
    return F.cross_entropy(logits, labels, weight, ignore_index=-1, label_smoothing=label_smoothing, reduction="none")
