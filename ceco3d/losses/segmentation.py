"""The segmentation loss: the point loss, plus Lovász-softmax, the center loss and alignment where they are on.

A loss of your own is an ``nn.Module`` with the same ``forward``: (logits, features, labels, scenes) -> scalars by name,
among them "loss", which is differentiated. All of them are logged. One whose ``needs_classifier`` is True also gets
``classifier``, the rows (K, C) of the network's classifier.
"""

from __future__ import annotations

from torch import Tensor, nn

from ceco3d.losses.alignment import alignment
from ceco3d.losses.center_collapse import CenterCollapseLoss
from ceco3d.losses.lovasz import lovasz_softmax
from ceco3d.losses.point import PointLoss


class SegmentationLoss(nn.Module):
    """``loss = ce + lovasz_weight * lovasz + center_weight * ceco + alignment * alignment of centers and classifier``.

    point          loss on logits and labels ("ce")
    center         loss on features and labels ("ceco"), or None
    center_weight  weight of the center loss (lambda)
    lovasz_weight  weight of Lovász-softmax on the logits; 0 = not computed
    alignment      weight of ``losses.alignment``; 0 = not computed. ValueError if negative
    """

    def __init__(
        self,
        point: PointLoss,
        center: CenterCollapseLoss | None = None,
        center_weight: float = 0.0,
        lovasz_weight: float = 0.0,
        alignment: float = 0.0,
    ) -> None:
        super().__init__()
        if alignment < 0:
            raise ValueError(f"alignment={alignment}: must not be negative")
        self.point, self.center, self.center_weight, self.lovasz_weight = point, center, center_weight, lovasz_weight
        self.alignment = alignment

    @property
    def needs_classifier(self) -> bool:
        """Whether ``forward`` needs the rows of the classifier."""
        return self.alignment > 0

    def forward(
        self, logits: Tensor, features: Tensor, labels: Tensor, scenes: Tensor, classifier: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Scalars by name: ``loss``, ``ce``, and ``lovasz``, ``ceco`` and ``alignment`` where they are part of it.

        logits      (N, K)
        features    (N, C), the input of the classifier
        labels      (N,) training index, -1 = ignored
        scenes      (N,) index of the scene in the batch
        classifier  (K, C) its rows, for the alignment

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
        if self.alignment:
            if classifier is None:
                raise ValueError("alignment needs the rows of the classifier: pass classifier")
            values["alignment"] = alignment(features, labels, classifier)
            loss = loss + self.alignment * values["alignment"]
        return {"loss": loss} | values
