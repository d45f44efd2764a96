"""Votes over segments: all points of a segment of the over-segmentation get the class with the most probability."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

POINTS = 1 << 17  # added at once: bounds the memory


class SegmentVotes:
    """Sums the probabilities of the N points of a scan over its segments.

    segments  (N,) int64, any numbers

    Chunks of a scan can be added one after the other. It takes 4 bytes for each class and segment, on the device of the
    probabilities.
    """

    def __init__(self, segments: np.ndarray) -> None:
        self.segment = torch.from_numpy(np.unique(segments, return_inverse=True)[1].reshape(-1).astype(np.int64))
        self.points = torch.bincount(self.segment)
        self.sums: Tensor | None = None

    def add(self, points: Tensor, probabilities: Tensor, row: Tensor) -> None:
        """Add points (W,), each once in all; their probabilities are the rows ``row`` (W,) of (S, K)."""
        if self.sums is None:
            self.sums = probabilities.new_zeros(len(self.points), probabilities.shape[1])
        segment = self.segment.to(row.device)[points.to(row.device)]
        for start in range(0, len(row), POINTS):
            part = slice(start, start + POINTS)
            self.sums.index_add_(0, segment[part], probabilities[row[part]])

    def result(self) -> tuple[Tensor, Tensor]:
        """The class (N,) int64 of each point's segment, and its mean probability there (N,) float32, on the CPU.

        ValueError if nothing was added.
        """
        if self.sums is None:
            raise ValueError("no points were added")
        most, label = self.sums.cpu().max(1)
        return label[self.segment], (most / self.points)[self.segment]
