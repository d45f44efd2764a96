"""Point contrast with scene contexts: InfoNCE within partitions of the space around each point (CSC, CVPR 2021).

A point's feature in one view must be nearer to its own feature in the other view than to those of the other points.
Contrastive Scene Contexts compares it bin by bin: only with the points that lie in the same direction and at a like
distance; points closer than ``r1`` are never compared. One bin of everything is PointContrast's loss (ECCV 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KINDS = ("one", "fast", "angular")
LOWEST_TEMPERATURE = 0.03  # exp(-2 / T) must not vanish in float32


def one_bin(positions: Tensor) -> Tensor:
    """(Q, 3) -> (Q, Q) int8 of 0: every other point; the diagonal is -1, as in all partitions."""
    count = len(positions)
    return torch.zeros(count, count, dtype=torch.int8, device=positions.device).fill_diagonal_(-1)


def fast_bins(positions: Tensor, r1: float, r2: float) -> Tensor:
    """(Q, 3) -> (Q, Q) int8, the bin that point j is in as seen from point i, of 4; -1 in none.

    With t = position_j - position_i: 0 near and up, 1 near and down, 2 far and up, 3 far and down; near is
    r1 < |t| <= r2, far is |t| > r2, up is t_z > 0. Positions and radii are in the same unit (voxels), z up.
    """
    distance = _distances(positions)
    z = positions[:, 2]
    bins = (z[None] <= z[:, None]).to(torch.int8) + 2 * (distance > r2).to(torch.int8)
    return bins.masked_fill_(distance <= r1, -1)


def angular_bins(positions: Tensor, r1: float, r2: float, bins_xy: int, bins_zy: int) -> Tensor:
    """(Q, 3) -> (Q, Q) int8 as ``fast_bins``, of 2 * bins_xy * bins_zy: (shell, angle about z, angle about x).

    Shell 0 is near, 1 far; the angle about z, atan2(t_y, t_x), is cut into bins_xy parts of the circle; the angle about
    x, atan2(t_y, t_z) without its sign of direction, into bins_zy parts of the half circle (both as in CSC's code).
    """
    distance = _distances(positions)
    x, y, z = (column[None] - column[:, None] for column in positions.unbind(1))
    about_z = _part(torch.atan2(y, x), 2 * math.pi, bins_xy)
    about_x = _part(torch.atan2(y, z), math.pi, bins_zy)
    bins = ((distance > r2).to(torch.int8) * bins_xy + about_z) * bins_zy + about_x
    return bins.masked_fill_(distance <= r1, -1)


def info_nce(queries: Tensor, keys: Tensor, bins: Tensor, count: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Mean InfoNCE over Q queries and ``count`` bins, and the share of queries whose nearest key is their own: scalars.

    queries, keys (Q, C): row i of both is the same point; any length, normalised here
    bins          (Q, Q) integers, the bin of key j for query i, -1 = not compared; -1 on the diagonal
    Bin p compares query i with its own key and with the keys in p. Both are 0 without a query.
    """
    if len(queries) == 0:
        zero = queries.sum() + keys.sum()
        return zero, zero.detach()
    logits = F.normalize(queries, dim=1) @ F.normalize(keys, dim=1).T / temperature
    own = logits.diagonal()
    # All logits are in +-1 / T: one common shift is enough, and one exponential serves all bins.
    weight = (logits - 1 / temperature).exp()
    own_weight = weight.diagonal()
    loss = logits.new_zeros(())
    for number in range(count):
        others = weight.masked_fill(bins != number, 0).sum(1)
        loss = loss + ((own_weight + others).log() + 1 / temperature - own).mean()
    return loss / count, (logits.detach().argmax(1) == torch.arange(len(logits), device=logits.device)).float().mean()


def chance_loss(bins: Tensor, count: int) -> Tensor:
    """What ``info_nce`` is when all features are equal: it depends on the bins alone, and varies much between pairs."""
    others = torch.stack([(bins == number).sum(1) for number in range(count)])
    return (1 + others).float().log().mean() if others.numel() else others.new_zeros((), dtype=torch.float32)


@dataclass(frozen=True)
class Partition:
    """Which points are compared with each other: ``positions (Q, 3) -> bins (Q, Q)``, in ``count`` bins.

    kind             "one": everything | "fast": near / far x up / down | "angular": near / far x directions
    r1, r2           voxels; nearest that is compared, and where far begins (CSC: 2 and 20 voxels of 2.5 cm)
    bins_xy, bins_zy of "angular", see ``angular_bins``
    Raises ValueError for an unknown kind, r1 > r2 or less than one bin.
    """

    kind: str = "fast"
    r1: float = 2.0
    r2: float = 20.0
    bins_xy: int = 2
    bins_zy: int = 2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"partition {self.kind!r}; choose one of {', '.join(KINDS)}")
        if not 0 <= self.r1 <= self.r2:
            raise ValueError(f"r1={self.r1} and r2={self.r2}: must be 0 <= r1 <= r2 voxels")
        if not (self.bins_xy >= 1 and self.bins_zy >= 1 and 2 * self.bins_xy * self.bins_zy <= 127):
            raise ValueError(f"bins_xy={self.bins_xy} and bins_zy={self.bins_zy}: at least 1 each, 63 together")

    @property
    def count(self) -> int:
        """Number of bins."""
        return {"one": 1, "fast": 4, "angular": 2 * self.bins_xy * self.bins_zy}[self.kind]

    @torch.no_grad()
    def __call__(self, positions: Tensor) -> Tensor:
        """(Q, 3) voxels, z up -> (Q, Q) int8 bin numbers, -1 = not compared."""
        if self.kind == "one":
            return one_bin(positions)
        if self.kind == "fast":
            return fast_bins(positions, self.r1, self.r2)
        return angular_bins(positions, self.r1, self.r2, self.bins_xy, self.bins_zy)


class SceneContextLoss(nn.Module):
    """``info_nce`` of every pair of views, in bins of their points' positions; the mean over pairs.

    All arithmetic is float32 at least, also under autocast. ValueError for a temperature below LOWEST_TEMPERATURE.
    """

    def __init__(self, partition: Partition, temperature: float = 0.4) -> None:
        super().__init__()
        if not temperature >= LOWEST_TEMPERATURE:
            raise ValueError(f"temperature={temperature}: must be at least {LOWEST_TEMPERATURE}")
        self.partition, self.temperature = partition, temperature

    def forward(self, queries: Tensor, keys: Tensor, positions: Tensor, counts: Sequence[int]) -> dict[str, Tensor]:
        """Features (Q, C) of both views, ``positions`` (Q, 3) of the queries in voxels, Q cut into pairs by ``counts``.

        Returns the scalars ``loss``, ``chance`` (what it is when all features are equal) and ``match_accuracy`` (share
        of queries nearest to their own key).
        """
        with torch.autocast(queries.device.type, enabled=False):
            dtype = torch.promote_types(queries.dtype, torch.float32)
            parts = zip(*(tensor.split(list(counts)) for tensor in (queries, keys, positions)), strict=True)
            results = [self._pair(q.to(dtype), k.to(dtype), self.partition(p)) for q, k, p in parts]
            loss, accuracy, chance = (torch.stack(values).mean() for values in zip(*results, strict=True))
        return {"loss": loss, "chance": chance, "match_accuracy": accuracy}

    def _pair(self, queries: Tensor, keys: Tensor, bins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = self.partition.count
        return *info_nce(queries, keys, bins, count, self.temperature), chance_loss(bins, count)


def _distances(positions: Tensor) -> Tensor:
    """(Q, 3) -> (Q, Q); not by way of a matrix product, which would round."""
    return torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")


def _part(angle: Tensor, circle: float, parts: int) -> Tensor:
    """Which of ``parts`` equal parts of ``circle`` (radians) an angle falls into, int8; angles repeat every circle."""
    return ((angle % circle) * (parts / circle)).floor_().clamp_(max=parts - 1).to(torch.int8)
