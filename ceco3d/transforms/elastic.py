"""Elastic distortion: points move with a smooth random displacement field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ceco3d.scenes.scene import Scene
from ceco3d.transforms.geometric import bounds
from ceco3d.transforms.step import chance


def box_blur(grid: Tensor) -> Tensor:
    """3-tap box blur along each of the three axes of ``grid`` (C, X, Y, Z) in turn, zero outside."""
    for axis in (1, 2, 3):
        size = grid.shape[axis]
        padded = functional.pad(grid, [int(axis == side) for side in (3, 3, 2, 2, 1, 1)])
        grid = (padded.narrow(axis, 0, size) + padded.narrow(axis, 1, size) + padded.narrow(axis, 2, size)) / 3
    return grid


def trilinear(grid: Tensor, position: Tensor) -> Tensor:
    """Values of ``grid`` (C, X, Y, Z) at ``position`` (N, 3) in grid steps, 0 <= position <= size - 1: (N, C)."""
    _, nx, ny, nz = grid.shape
    position = position.t().contiguous()
    last = position.new_tensor([[nx - 2], [ny - 2], [nz - 2]])
    low = torch.minimum(position.floor(), last)
    x, y, z = low.int().unbind(0)
    fx, fy, fz = (position - low).unbind(0)
    gx, gy, gz = 1 - fx, 1 - fy, 1 - fz
    corners = [(i * ny + j) * nz + k for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    rows = ((x * ny + y) * nz + z)[:, None] + x.new_tensor(corners)
    weights = torch.stack([a * b for a in (gx * gy, gx * fy, fx * gy, fx * fy) for b in (gz, fz)], dim=1)
    table = grid.flatten(1).t().contiguous()
    # A weighted sum of eight table rows per point; embedding_bag does it without an (N, 8, C) intermediate.
    return functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)


def elastic_distortion(scene: Scene, granularity: float, magnitude: float, rng: torch.Generator) -> Scene:
    """Displace the points by ``magnitude`` times a smoothed Gaussian noise field; normals stay.

    The noise has one node every ``granularity`` metres, with one node to spare around the bounding box, and is
    blurred twice by ``box_blur``. Its node values are N(0, 1) before the blur, so ``magnitude`` is in metres.
    (Recipe of the original MinkUNet, LanguageGroundedSemseg and Pointcept.)
    """
    if len(scene) == 0:
        return scene
    low, high = bounds(scene.coord)
    nodes = ((high - low) / granularity).floor().int().add(3).tolist()
    noise = torch.randn((3, *nodes), generator=rng, device=rng.device)
    field = box_blur(box_blur(noise)).mul_(magnitude)
    displacement = trilinear(field, (scene.coord - (low - granularity)) / granularity)
    return scene.replace(coord=scene.coord + displacement)


@dataclass(frozen=True)
class ElasticDistortion:
    """With probability ``p``: ``elastic_distortion`` at each of ``scales``, (granularity, magnitude) in metres."""

    scales: Sequence[Sequence[float]]
    p: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        if not chance(self.p, rng):
            return scene
        for granularity, magnitude in self.scales:
            scene = elastic_distortion(scene, granularity, magnitude, rng)
        return scene
