"""Network and loss as one module: what a training step differentiates."""

from __future__ import annotations

from torch import Tensor, nn

from ceco3d.data.batch import Batch
from ceco3d.losses import SegmentationLoss
from ceco3d.models import MinkUNet


class Objective(nn.Module):
    """``Batch -> {"loss": ..., "ce": ..., ...}`` with the gradients of both the network and the loss's own layers."""

    def __init__(self, model: MinkUNet, criterion: SegmentationLoss) -> None:
        super().__init__()
        self.model, self.criterion = model, criterion

    def prepare(self, batch: Batch) -> Batch:
        """The batch with everything that ``forward`` would have to wait for."""
        return batch.prepared(self.model.build_maps)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars by name."""
        features = self.model.forward_features(batch.sparse())
        logits = self.model.final(features)
        return self.criterion(logits.features, features.features, batch.labels, batch.coordinates[:, 0])
