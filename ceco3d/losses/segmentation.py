"""The segmentation loss: the point loss, plus Lovász-softmax and the center loss where they are on.

A loss of your own is an ``nn.Module`` with the same ``forward``: (logits, features, labels, scenes) -> scalars by name,
among them "loss", which is differentiated. All of them are logged.
"""

from __future__ import annotations

from torch import Tensor, nn

from ceco3d.losses.center_collapse import CenterCollapseLoss
from ceco3d.losses.lovasz import lovasz_softmax
from ceco3d.losses.point import PointLoss


class SegmentationLoss(nn.Module):
    """``loss = ce + lovasz_weight * lovasz + center_weight * ceco``.

    point          loss on logits and labels ("ce")
    center         loss on features and labels ("ceco"), or None
    center_weight  weight of the center loss (lambda)
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
        """Scalars by name: ``loss``, ``ce``, and ``lovasz`` and ``ceco`` where they are part of the loss.

        logits    (N, K)
        features  (N, C), the input of the classifier
        labels    (N,) training index, -1 = ignored
        scenes    (N,) index of the scene in the batch

        Without any valid label the loss is 0 and so are its gradients.
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
