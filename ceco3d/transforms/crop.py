"""Fewer points: random dropout and the nearest points of a sphere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.scenes.scene import Scene
from ceco3d.transforms.step import chance


def _keep(scene: Scene, index: Tensor) -> Scene:
    """The points at ``index`` in their old order, whatever the order of ``index``."""
    mask = torch.zeros(len(scene), dtype=torch.bool, device=scene.coord.device)
    mask[index] = True
    return scene.select(mask.nonzero().squeeze(1))  # positions, so that the mask is searched once and not per field


def point_dropout(scene: Scene, ratio: float, rng: torch.Generator) -> Scene:
    """Drop floor(``ratio`` * N) points, 0 <= ratio < 1, every subset equally likely."""
    kept = len(scene) - math.floor(ratio * len(scene))
    return _keep(scene, torch.randperm(len(scene), generator=rng, device=rng.device)[:kept])


def sphere_crop(scene: Scene, center: Tensor, max_points: int) -> Scene:
    """The ``max_points`` points nearest to ``center`` (3,) metres; the scene itself when it has no more than that."""
    if len(scene) <= max_points:
        return scene
    distance = (scene.coord - center).square().sum(1)
    return _keep(scene, distance.topk(max_points, largest=False, sorted=False).indices)


@dataclass(frozen=True)
class PointDropout:
    """With probability ``p``: ``point_dropout`` of ``ratio``."""

    ratio: float
    p: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        return point_dropout(scene, self.ratio, rng) if chance(self.p, rng) else scene


@dataclass(frozen=True)
class SphereCrop:
    """``sphere_crop`` around a random point of the scene, to ``max_points`` and to the share ``rate`` of its points."""

    max_points: int | None = None
    rate: float | None = None

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        limits = (self.max_points, None if self.rate is None else math.ceil(self.rate * len(scene)))
        most = min((limit for limit in limits if limit is not None), default=len(scene))
        if len(scene) <= most:
            return scene
        center = torch.randint(len(scene), (), generator=rng, device=rng.device)
        return sphere_crop(scene, scene.coord[center], most)
