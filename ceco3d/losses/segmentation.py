"""The training objective: cross-entropy of the points, and beside it the centre term."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ceco3d.losses.center_collapse import CenterCollapseLoss


class SegmentationLoss(nn.Module):
    """``loss = ce + center_weight * ceco``.

    label_smoothing  of the cross-entropy (0 = none)
    center_weight    weight of the centre term (lambda)
    center           keyword arguments of CenterCollapseLoss, or None for plain cross-entropy
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        label_smoothing: float = 0.0,
        center_weight: float = 0.0,
        center: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.label_smoothing, self.center_weight = label_smoothing, center_weight
        self.center = None if center is None else CenterCollapseLoss(num_classes, in_channels, **center)

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """logits (N, K), features (N, in_channels), labels (N,), -1 = ignored -> scalars ``loss``, ``ce`` and ``ceco``.

        A batch without a single valid label gives 0 with zero gradients.
        """
        ce = F.cross_entropy(
            logits.float(), labels, ignore_index=-1, label_smoothing=self.label_smoothing, reduction="sum"
        ) / (labels >= 0).sum().clamp(min=1)
        if self.center is None:
            return {"loss": ce, "ce": ce}
        ceco = self.center(features, labels)
        return {"loss": ce + self.center_weight * ceco, "ce": ce, "ceco": ceco}
