"""Elastic distortion: points move with a smooth random displacement field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ceco3d.data.scenes.scene import Scene, columns
from ceco3d.data.transforms.geometric import bounds
from ceco3d.utils.random import chance, points_generator


def box_blur(grid: Tensor) -> Tensor:
    """3-tap box blur of ``grid`` (C, X, Y, Z) along each of the three spatial axes in turn, zero outside."""
    for axis in (1, 2, 3):
        size = grid.shape[axis]
        padded = functional.pad(grid, [int(axis == side) for side in (3, 3, 2, 2, 1, 1)])
        grid = (padded.narrow(axis, 0, size) + padded.narrow(axis, 1, size) + padded.narrow(axis, 2, size)) / 3
    return grid


def trilinear(grid: Tensor, position: Tensor) -> Tensor:
    """Interpolate ``grid`` (C, X, Y, Z) at ``position`` (3, N), in grid steps, 0 <= position <= size - 1: (C, N)."""
    _, nx, ny, nz = grid.shape
    last = position.new_tensor([[nx - 2], [ny - 2], [nz - 2]])
    low = torch.minimum(position.floor(), last)
    fx, fy, fz = (position - low).unbind(0)
    x, y, z = low.long().unbind(0)
    node = (x * ny + y).mul_(nz).add_(z)
    table = grid.flatten(1)

    def along_z(offset: int) -> Tensor:
        start = node + offset
        first = table.index_select(1, start)
        return first.lerp_(table.index_select(1, start.add_(1)), fz)

    def along_y(offset: int) -> Tensor:
        return along_z(offset).lerp_(along_z(offset + nz), fy)

    return along_y(0).lerp_(along_y(ny * nz), fx)


def elastic_distortion(scene: Scene, granularity: float, magnitude: float, rng: torch.Generator) -> Scene:
    """Displace the points by ``magnitude`` times a smooth Gaussian noise field; normals stay.

    The noise has a node every ``granularity`` meters and one extra node around the bounding box. Nodes are N(0, 1)
    before two passes of ``box_blur``, so ``magnitude`` is in meters.
    (Recipe of the original MinkUNet, LanguageGroundedSemseg and Pointcept.)
    """
    if len(scene) == 0:
        return scene
    low, high = bounds(scene.coord)
    nodes = ((high - low) / granularity).floor().int().add(3).tolist()
    device = scene.coord.device
    noise = torch.randn((3, *nodes), generator=points_generator(rng, device), device=device)
    field = box_blur(box_blur(noise)).mul_(magnitude)
    position = columns(scene.coord - (low - granularity)).div_(granularity)
    return scene.replace(coord=trilinear(field, position).t().add_(scene.coord))


@dataclass(frozen=True)
class ElasticDistortion:
    """With probability ``p``: ``elastic_distortion`` at each of ``scales``, (granularity, magnitude) in meters."""

    scales: Sequence[Sequence[float]]
    p: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        if not chance(self.p, rng):
            return scene
        for granularity, magnitude in self.scales:
            scene = elastic_distortion(scene, granularity, magnitude, rng)
        return scene
