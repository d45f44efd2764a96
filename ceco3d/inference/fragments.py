"""Fragments: a scene goes through the network several times, and in each pass other points represent the voxels.

A voxel takes the features of one of its points. With fragments, each point is predicted as the representative of its
own voxel instead of copying the prediction of another point. This is Pointcept's procedure at test time (``GridSample``
with mode "test" in pointcept/datasets/transform.py, ``SemSegTester`` in pointcept/engines/test.py, at d74c646).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fragments:
    """The passes over M voxels of N points. In pass number i, its point i % count represents each voxel.

    passes  number of passes
    order   (N,) int64, the points voxel by voxel, in each in their own order
    start   (M,) int64, where a voxel begins in ``order``
    count   (M,) int64, points of each voxel
    voxel   (N,) int64, the voxel of each point
    turn    (N,) int64, the place of each point in its voxel; -1 in voxels with more points than there are passes, whose
            points all get the mean of all passes
    """

    passes: int
    order: Tensor
    start: Tensor
    count: Tensor
    voxel: Tensor
    turn: Tensor

    def representatives(self, number: int) -> Tensor:
        """(M,) the points that represent the voxels in pass ``number``, 0..passes-1."""
        return self.order[self.start + number % self.count]

    def groups(self) -> Tensor:
        """(N,) int64: points of the same group are predicted by the same passes, at the same voxel."""
        return self.voxel * self.passes + self.turn.clamp(min=0)

    def rows(self) -> Tensor:
        """(M,) int64, how many of the points of each voxel have probabilities of their own."""
        return torch.where(self.count > self.passes, 1, self.count)

    def predicted(self, number: int, points: Tensor) -> Tensor:
        """Those of ``points`` (S,) that pass ``number`` predicts, as indices 0..S-1, ascending."""
        turn, count = self.turn[points], self.count[self.voxel[points]]
        return ((turn < 0) | (turn == number % count)).nonzero().squeeze(1)


def make_fragments(voxel: Tensor, count: int, most: int | None) -> Fragments:
    """The passes over ``count`` voxels, each with at least one of the N points; ``voxel`` (N,) is that of each.

    most  passes; None: as many as the fullest voxel has points
    """
    order = torch.argsort(voxel, stable=True)
    counts = torch.bincount(voxel, minlength=count)
    start = counts.cumsum(0) - counts
    turn = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device)) - start[voxel]
    fullest = int(counts.max())
    passes = fullest if most is None else min(most, fullest)
    return Fragments(passes, order, start, counts, voxel, turn.masked_fill_(counts[voxel] > passes, -1))
