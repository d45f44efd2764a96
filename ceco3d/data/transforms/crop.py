"""Point dropout and sphere crop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene, columns
from ceco3d.utils.random import chance, points_generator, uniform


def _ascending(index: Tensor, count: int) -> Tensor:
    """Sort ``index``, distinct indices below ``count``."""
    mask = torch.zeros(count, dtype=torch.bool, device=index.device)
    mask[index] = True
    return mask.nonzero().squeeze(1)


def point_dropout(scene: Scene, ratio: float, rng: torch.Generator) -> Scene:
    """Drop floor(``ratio`` * N) points, 0 <= ratio < 1, every subset equally likely."""
    kept = len(scene) - math.floor(ratio * len(scene))
    device = scene.coord.device
    index = torch.randperm(len(scene), generator=points_generator(rng, device), device=device)[:kept]
    return scene.select(_ascending(index, len(scene)))


def nearest(coord: Tensor, center: Tensor, count: int) -> Tensor:
    """Indices (count,) int64, ascending, of the points of ``coord`` (N, 3) nearest to ``center`` (3,)."""
    distance = columns(coord - center).square_().sum(0)
    return _ascending(distance.topk(count, largest=False, sorted=False).indices, len(coord))


def sphere_crop(scene: Scene, center: Tensor, max_points: int) -> Scene:
    """The ``max_points`` points nearest to ``center`` (3,), in meters; the scene itself if it has no more points."""
    if len(scene) <= max_points:
        return scene
    return scene.select(nearest(scene.coord, center, max_points))


@dataclass(frozen=True)
class PointDropout:
    """With probability ``p``: ``point_dropout`` of ``ratio``."""

    ratio: float
    p: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        return point_dropout(scene, self.ratio, rng) if chance(self.p, rng) else scene


@dataclass(frozen=True)
class SphereCrop:
    """``sphere_crop`` around a random point, to at most ``max_points`` points and the fraction ``rate`` of the scene.

    rate  one fraction, or two to draw it between

    As a transform it crops a scene; ``rows`` alone chooses the points to read from disk, or the voxels to keep.
    """

    max_points: int | None = None
    rate: float | Sequence[float] | None = None

    def rows(self, coord: Tensor, rng: torch.Generator) -> Tensor | None:
        """Indices (M,) int64, ascending, of the points of ``coord`` (N, 3) to keep; None keeps all."""
        limits = (self.max_points, self._share(len(coord), rng))
        most = min((limit for limit in limits if limit is not None), default=len(coord))
        if len(coord) <= most:
            return None
        return nearest(coord, coord[int(torch.randint(len(coord), (), generator=rng))], most)

    def _share(self, count: int, rng: torch.Generator) -> int | None:
        if self.rate is None:
            return None
        if isinstance(self.rate, Sequence):
            low, high = self.rate
            return int(uniform(low, high, rng) * count)
        return math.ceil(self.rate * count)

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        index = self.rows(scene.coord, rng)
        return scene if index is None else scene.select(index)
