"""The confusion matrix, following ScanNet's benchmark script (evaluate_semantic_label.py)."""

from __future__ import annotations

import torch
from torch import Tensor

from ceco3d.utils.distributed import reduce


class Confusion:
    """Counts of (ground truth, prediction) over all points of all scenes.

    Points without ground truth (-1) do not count. A prediction outside the classes (-1) goes into an extra column: it
    is a false negative of the true class and no false positive.
    """

    def __init__(self, num_classes: int, counts: Tensor | None = None) -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes + 1, dtype=torch.int64) if counts is None else counts

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Add (N,) predicted and (N,) true training indices; ValueError if lengths or the range of labels are wrong."""
        if prediction.shape != truth.shape or prediction.ndim != 1:
            raise ValueError(f"{tuple(prediction.shape)} predictions for {tuple(truth.shape)} labels")
        size = self.num_classes
        if len(truth) and (int(prediction.max()) >= size or int(truth.max()) >= size):
            raise ValueError(f"label {max(int(prediction.max()), int(truth.max()))} in a space of {size} classes")
        valid = truth >= 0
        prediction, truth = prediction[valid].long(), truth[valid].long()
        column = torch.where(prediction < 0, size, prediction)
        pairs = torch.bincount(truth * (size + 1) + column, minlength=size * (size + 1))
        self.counts += pairs.reshape(size, size + 1).cpu()

    def share(self) -> None:
        """Sum the counts over all processes, on each of them."""
        self.counts = reduce(self.counts)

    @property
    def truth(self) -> Tensor:
        """(K,) int64 ground-truth points per class."""
        return self.counts.sum(1)

    @property
    def union(self) -> Tensor:
        """(K,) int64 tp + fp + fn per class."""
        return self.truth + self.counts[:, :-1].sum(0) - self.counts.diagonal()

    @property
    def iou(self) -> Tensor:
        """(K,) float64 intersection over union; NaN where the union is empty."""
        return self.counts.diagonal().double() / self.union.double()

    @property
    def sums(self) -> Tensor:
        """(3, K) int64 of each class: correct points, those of the ground truth, those predicted (all with truth)."""
        return torch.stack([self.counts.diagonal(), self.truth, self.counts[:, :-1].sum(0)])

    @property
    def miou(self) -> float | None:
        """Mean IoU over the classes with ground truth; None if there is none."""
        return mean_iou(self.sums)

    @property
    def accuracy(self) -> float | None:
        """Share of the counted points that are correct; None without points."""
        total = int(self.counts.sum())
        return int(self.counts.diagonal().sum()) / total if total else None


def mean_iou(sums: Tensor) -> float | None:
    """Mean IoU over the classes with ground truth, from ``Confusion.sums`` (3, K); None if there is none."""
    correct, truth, predicted = sums[:, sums[1] > 0].double()
    return (correct / (truth + predicted - correct)).mean().item() if len(truth) else None
