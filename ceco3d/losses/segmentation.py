"""The training objective: the loss of the points, and beside it the centre term."""

from __future__ import annotations

from torch import Tensor, nn

from ceco3d.losses.center_collapse import CenterCollapseLoss
from ceco3d.losses.point import PointLoss


class SegmentationLoss(nn.Module):
    """``loss = ce + center_weight * ceco``.

    point          of logits and labels
    center         of features and labels, or None
    center_weight  weight of the centre term (lambda)
    """

    def __init__(self, point: PointLoss, center: CenterCollapseLoss | None = None, center_weight: float = 0.0) -> None:
        super().__init__()
        self.point, self.center, self.center_weight = point, center, center_weight

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor, scenes: Tensor) -> dict[str, Tensor]:
        """logits (N, K), features (N, C), labels (N,), -1 = ignored, scenes (N,) -> ``loss``, ``ce`` and ``ceco``.

        Scalars. A batch without a single valid label gives 0 with zero gradients.
        """
        ce = self.point(logits, labels)
        if self.center is None:
            return {"loss": ce, "ce": ce}
        ceco = self.center(features, labels, scenes)
        return {"loss": ce + self.center_weight * ceco, "ce": ce, "ceco": ceco}
