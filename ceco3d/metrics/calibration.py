"""How well confidences agree with accuracy, and the temperature that makes them agree (Guo et al., ICML 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ceco3d.utils.distributed import reduce

BINS = 15  # as in the paper
STEPS = 30  # of the search for the temperature: more than float32 tells apart
RANGE = (0.05, 20.0)  # temperatures
ROWS = 1 << 16  # of logits at a time


class Calibration:
    """Sums over points, in bins of their confidence: points, confidence, correct ones. Unlabeled points do not count.

    sums  (3, BINS) float64
    """

    def __init__(self, sums: Tensor | None = None) -> None:
        self.sums = torch.zeros(3, BINS, dtype=torch.float64) if sums is None else sums

    def update(self, confidence: Tensor, prediction: Tensor, truth: Tensor) -> None:
        """Add N points: confidence 0..1, predicted and true training indices."""
        known = truth >= 0
        confidence = confidence[known].double()
        bins = (confidence * BINS).long().clamp(0, BINS - 1)
        for row, values in enumerate((torch.ones_like(confidence), confidence, prediction[known] == truth[known])):
            self.sums[row] += torch.bincount(bins, values.double(), BINS).cpu()

    def share(self) -> None:
        """Sum over all processes, on each of them."""
        self.sums = reduce(self.sums)

    @property
    def bins(self) -> list[dict[str, float]]:
        """Each bin, the least confident first: number of points, their mean confidence, the share that is right."""
        return [
            {"points": int(points), "confidence": confidence / max(points, 1), "accuracy": correct / max(points, 1)}
            for points, confidence, correct in self.sums.T.tolist()
        ]

    @property
    def error(self) -> float | None:
        """Expected calibration error, the mean difference of confidence and accuracy over bins; None without points."""
        points, confidence, correct = self.sums
        total = float(points.sum())
        return float((confidence - correct).abs().sum()) / total if total else None


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature within RANGE that minimizes the cross-entropy of ``logits`` (N, K) for ``labels`` (N,).

    The cross-entropy is convex in the inverse of the temperature, so its derivative is bisected.
    """
    low, high = 1 / RANGE[1], 1 / RANGE[0]
    for _ in range(STEPS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _slope(logits, labels, middle) > 0 else (middle, high)
    return 1 / math.sqrt(low * high)


def _slope(logits: Tensor, labels: Tensor, inverse: float) -> float:
    """The derivative of the summed cross-entropy of ``inverse * logits`` by ``inverse``."""
    total = 0.0
    for start in range(0, len(labels), ROWS):
        part, truth = logits[start : start + ROWS], labels[start : start + ROWS]
        expected = ((part * inverse).softmax(1) * part).sum(1)
        total += float((expected - part.gather(1, truth[:, None]).squeeze(1)).double().sum())
    return total
