"""Contrastive Scene Contexts: InfoNCE within partitions of the space around each point (CSC, CVPR 2021).

A point's feature in one view should be closer to its own feature in the other view than to those of other points.
Contrastive Scene Contexts compares bin by bin: each bin holds the points in one direction and range of distances.
Points closer than ``r1`` are never compared. With a single bin for all points this is PointContrast (ECCV 2020).
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
    """One bin for all other points: (Q, 3) -> (Q, Q) int8, 0, and -1 on the diagonal as in every partition."""
    count = len(positions)
    return torch.zeros(count, count, dtype=torch.int8, device=positions.device).fill_diagonal_(-1)


def fast_bins(positions: Tensor, r1: float, r2: float) -> Tensor:
    """Near or far, above or below: (Q, 3) -> (Q, Q) int8, the bin of point j as seen from point i; -1 = none.

    With t = position_j - position_i: 0 near and above, 1 near and below, 2 far and above, 3 far and below. Near means
    r1 < |t| <= r2, far |t| > r2, above t_z > 0. Positions and radii share a unit (voxels); z points up.
    """
    distance = _distances(positions)
    z = positions[:, 2]
    bins = (z[None] <= z[:, None]).to(torch.int8) + 2 * (distance > r2).to(torch.int8)
    return bins.masked_fill_(distance <= r1, -1)


def angular_bins(positions: Tensor, r1: float, r2: float, bins_xy: int, bins_zy: int) -> Tensor:
    """Near or far, by direction: (Q, 3) -> (Q, Q) int8 like ``fast_bins``, with 2 * bins_xy * bins_zy bins.

    Bins are ordered by (shell, angle about z, angle about x). Shell 0 is near, 1 is far. The angle about z,
    atan2(t_y, t_x), is divided into bins_xy parts of the full circle; the angle about x, atan2(t_y, t_z) modulo pi,
    into bins_zy parts of the half circle. Both follow CSC's code.
    """
    distance = _distances(positions)
    x, y, z = (column[None] - column[:, None] for column in positions.unbind(1))
    about_z = _part(torch.atan2(y, x), 2 * math.pi, bins_xy)
    about_x = _part(torch.atan2(y, z), math.pi, bins_zy)
    bins = ((distance > r2).to(torch.int8) * bins_xy + about_z) * bins_zy + about_x
    return bins.masked_fill_(distance <= r1, -1)


def info_nce(queries: Tensor, keys: Tensor, bins: Tensor, count: int, temperature: float) -> tuple[Tensor, Tensor]:
    """InfoNCE averaged over Q queries and ``count`` bins, and the fraction of queries closest to their own key.

    queries, keys (Q, C): row i of each is the same point. Normalized here.
    bins          (Q, Q) integers, the bin of key j for query i; -1 = not compared, always on the diagonal
    Bin p compares query i with its own key and with the keys in p. Both results are scalars, 0 if Q = 0.
    """
    if len(queries) == 0:
        zero = queries.sum() + keys.sum()
        return zero, zero.detach()
    logits = F.normalize(queries, dim=1) @ F.normalize(keys, dim=1).T / temperature
    own = logits.diagonal()
    # All logits lie within +-1 / T, so one shift prevents overflow and one exponential serves all bins.
    weight = (logits - 1 / temperature).exp()
    own_weight = weight.diagonal()
    loss = logits.new_zeros(())
    for number in range(count):
        others = weight.masked_fill(bins != number, 0).sum(1)
        loss = loss + ((own_weight + others).log() + 1 / temperature - own).mean()
    return loss / count, (logits.detach().argmax(1) == torch.arange(len(logits), device=logits.device)).float().mean()


def chance_loss(bins: Tensor, count: int) -> Tensor:
    """``info_nce`` if all features were equal. It depends only on the bins, and varies widely between pairs."""
    others = torch.stack([(bins == number).sum(1) for number in range(count)])
    return (1 + others).float().log().mean() if others.numel() else others.new_zeros((), dtype=torch.float32)


@dataclass(frozen=True)
class Partition:
    """Which points are compared with each other: ``positions (Q, 3) -> bins (Q, Q)``, with ``count`` bins.

    kind             "one": all points | "fast": near / far x above / below | "angular": near / far x directions
    r1, r2           in voxels: the smallest distance compared, and where far begins (CSC: 2 and 20 voxels of 2.5 cm)
    bins_xy, bins_zy for "angular", see ``angular_bins``
    Raises ValueError for an unknown kind, r1 > r2, or fewer than one bin.
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
            raise ValueError(f"bins_xy={self.bins_xy} and bins_zy={self.bins_zy}: both at least 1, product at most 63")

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
    """``info_nce`` averaged over pairs of views, with bins from the positions of their points.

    All arithmetic is float32 or wider, also under autocast. ValueError for a temperature below LOWEST_TEMPERATURE.
    """

    def __init__(self, partition: Partition, temperature: float = 0.4) -> None:
        super().__init__()
        if not temperature >= LOWEST_TEMPERATURE:
            raise ValueError(f"temperature={temperature}: must be at least {LOWEST_TEMPERATURE}")
        self.partition, self.temperature = partition, temperature

    def forward(self, queries: Tensor, keys: Tensor, positions: Tensor, counts: Sequence[int]) -> dict[str, Tensor]:
        """Features (Q, C) of both views and ``positions`` (Q, 3) of the queries in voxels -> scalars by name.

        counts  queries of each pair of views, in order; their sum is Q

        Returns ``loss``, ``chance`` (the loss if all features were equal) and ``match_accuracy`` (the fraction of
        queries closest to their own key).
        """
        with torch.autocast(queries.device.type, enabled=False):
            dtype = torch.promote_types(queries.dtype, torch.float32)
            parts = zip(*(torch.split(tensor, list(counts)) for tensor in (queries, keys, positions)), strict=True)
            results = [self._pair(q.to(dtype), k.to(dtype), self.partition(p)) for q, k, p in parts]
            loss, accuracy, chance = (torch.stack(values).mean() for values in zip(*results, strict=True))
        return {"loss": loss, "chance": chance, "match_accuracy": accuracy}

    def _pair(self, queries: Tensor, keys: Tensor, bins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = self.partition.count
        return *info_nce(queries, keys, bins, count, self.temperature), chance_loss(bins, count)


def _distances(positions: Tensor) -> Tensor:
    """(Q, 3) -> (Q, Q), without a matrix product, which would round."""
    return torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")


def _part(angle: Tensor, circle: float, parts: int) -> Tensor:
    """Index (int8) of the part that an angle falls into, of ``parts`` equal parts of ``circle`` radians, its period."""
    return ((angle % circle) * (parts / circle)).floor_().clamp_(max=parts - 1).to(torch.int8)
