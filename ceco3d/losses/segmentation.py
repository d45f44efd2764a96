"""The training objective: the loss of the points, and beside it the centre term and Lovász-softmax."""

from __future__ import annotations

from torch import Tensor, nn

from ceco3d.losses.center_collapse import CenterCollapseLoss
from ceco3d.losses.lovasz import lovasz_softmax
from ceco3d.losses.point import PointLoss


class SegmentationLoss(nn.Module):
    """``loss = ce + lovasz_weight * lovasz + center_weight * ceco``.

    point          of logits and labels
    center         of features and labels, or None
    center_weight  weight of the centre term (lambda)
    lovasz_weight  weight of Lovász-softmax on the logits; 0 = not computed
    """

    def __init__(
        self,
        point: PointLoss,
        center: CenterCollapseLoss | None = None,
        center_weight: float = 0.0,
        lovasz_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.point, self.center, self.center_weight, self.lovasz_weight = point, center, center_weight, lovasz_weight

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor, scenes: Tensor) -> dict[str, Tensor]:
        """logits (N, K), features (N, C), labels (N,), -1 = ignored, scenes (N,) -> ``loss`` and its parts.

        Scalars: ``ce``, and those of ``lovasz`` and ``ceco`` that are part of it. A batch without a single valid label
        gives 0 with zero gradients.
        """
        values = {"ce": self.point(logits, labels)}
        loss = values["ce"]
        if self.lovasz_weight:
            values["lovasz"] = lovasz_softmax(logits, labels)
            loss = loss + self.lovasz_weight * values["lovasz"]
        if self.center is not None:
            values["ceco"] = self.center(features, labels, scenes)
            loss = loss + self.center_weight * values["ceco"]
        return {"loss": loss} | values
