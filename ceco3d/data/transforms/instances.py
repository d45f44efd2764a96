"""Augmentation of single objects: each changes on its own, so that the network relies less on their arrangement.

After the ScanNet200 recipe of Volt's teacher network. Its steps are independent: every step draws anew which objects it
changes. An object is an instance with at least one labeled point, walls and floors included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene
from ceco3d.utils.random import points_generator


def find_objects(scene: Scene) -> tuple[Tensor, int]:
    """The object of each point, (N,) int64 or -1 = none, and the number of objects."""
    instance = scene.instance
    if len(instance) == 0 or int(instance.amax()) < 0:
        return torch.full_like(instance, -1), 0
    ids = instance.clamp(min=0)
    used = torch.zeros(int(instance.amax()) + 1, dtype=torch.bool, device=ids.device)
    used[ids[(instance >= 0) & (scene.segment >= 0)]] = True
    number = torch.where(used, used.cumsum(0) - 1, -1)
    return torch.where(instance >= 0, number[ids], -1), int(used.sum())


def draw_objects(scene: Scene, p: float, rng: torch.Generator) -> tuple[Tensor, int]:
    """``find_objects`` with each object kept with probability ``p`` and the rest none."""
    objects, count = find_objects(scene)
    chosen = torch.rand(count, generator=rng).to(objects.device) < p
    if count == 0:
        return objects, 0
    number = torch.where(chosen, chosen.cumsum(0) - 1, -1)
    return torch.where(objects >= 0, number[objects], -1), int(chosen.sum())


def centroids(coord: Tensor, objects: Tensor, count: int) -> Tensor:
    """(I, 3) mean of the points of each of ``count`` objects, none without points."""
    rows = objects[:, None].expand_as(coord)
    sums = coord.new_zeros(count, 3, dtype=torch.float64).scatter_add(0, rows, coord.double())
    return (sums / torch.bincount(objects, minlength=count)[:, None]).to(coord.dtype)


def move_objects(scene: Scene, objects: Tensor, matrices: Tensor, shifts: Tensor) -> Scene:
    """Apply a linear map about its centroid, then a shift, to each object. Other points stay bit for bit.

    objects   (N,) int64 object of each point, -1 = none
    matrices  (I, 3, 3) on column vectors, none degenerate; normals are mapped too and keep their length
    shifts    (I, 3) meters
    """
    point = (objects >= 0).nonzero().squeeze(1)
    index = objects[point]
    coord, normal = scene.coord[point], scene.normal[point]
    centers = centroids(coord, index, len(matrices))
    linear = matrices[index]
    moved = (linear @ (coord - centers[index])[:, :, None]).squeeze(2) + (centers + shifts)[index]
    # The maps are rotations, mirrors and uniform scales: normals transform like vectors, up to the scale.
    factor = torch.linalg.vector_norm(matrices[:, :, 0], dim=1)
    turned = (linear @ normal[:, :, None]).squeeze(2) / factor[index, None]
    return scene.replace(coord=scene.coord.index_put((point,), moved), normal=scene.normal.index_put((point,), turned))


@dataclass(frozen=True)
class ObjectShift:
    """Each object, with probability ``p``: shift along x, y and z by U(-``shift``, ``shift``) meters."""

    p: float
    shift: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        objects, count = draw_objects(scene, self.p, rng)
        shifts = (2 * torch.rand(count, 3, generator=rng) - 1) * self.shift
        return move_objects(scene, objects, _diagonal(torch.ones(count, 3), scene), shifts.to(scene.coord))


@dataclass(frozen=True)
class ObjectRotation:
    """Each object, with probability ``p``: turn about the vertical through its centroid by +-``degrees``."""

    p: float
    degrees: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        objects, count = draw_objects(scene, self.p, rng)
        angle = (2 * torch.rand(count, generator=rng) - 1) * math.radians(self.degrees)
        cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros(count), torch.ones(count)
        matrices = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], 1).reshape(-1, 3, 3)
        return move_objects(scene, objects, matrices.to(scene.coord), scene.coord.new_zeros(count, 3))


@dataclass(frozen=True)
class ObjectFlip:
    """Each object, with probability ``p``: mirror at its centroid along x and along y, each with ``axis_p``."""

    p: float
    axis_p: float = 0.5

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        objects, count = draw_objects(scene, self.p, rng)
        signs = torch.ones(count, 3)
        signs[:, :2] -= 2.0 * (torch.rand(count, 2, generator=rng) < self.axis_p)
        return move_objects(scene, objects, _diagonal(signs, scene), scene.coord.new_zeros(count, 3))


@dataclass(frozen=True)
class ObjectScale:
    """Each object, with probability ``p``: scale about its centroid by U(``low``, ``high``)."""

    p: float
    low: float
    high: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        objects, count = draw_objects(scene, self.p, rng)
        factors = self.low + (self.high - self.low) * torch.rand(count, 1, generator=rng)
        return move_objects(scene, objects, _diagonal(factors.expand(-1, 3), scene), scene.coord.new_zeros(count, 3))


@dataclass(frozen=True)
class ObjectLabelDropout:
    """Each object, with probability ``p``: floor(``ratio`` * n) of its n points lose label and instance, and stay."""

    p: float
    ratio: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        objects, count = draw_objects(scene, self.p, rng)
        point = (objects >= 0).nonzero().squeeze(1)
        device = scene.coord.device
        point = point[torch.randperm(len(point), generator=points_generator(rng, device), device=device)]
        order = point[objects[point].argsort(stable=True)]  # by object, in random order within each
        sizes = torch.bincount(objects[order], minlength=count)
        rank = torch.arange(len(order), device=device) - (sizes.cumsum(0) - sizes)[objects[order]]
        lost = order[rank < (sizes * self.ratio).long()[objects[order]]]
        segment, instance = (values.index_fill(0, lost, -1) for values in (scene.segment, scene.instance))
        return scene.replace(segment=segment, instance=instance)


@dataclass(frozen=True)
class ObjectColorDrop:
    """Each object, with probability ``p``: all its points get the color ``value`` (0..255) in every channel."""

    p: float
    value: float = 0.0

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        objects, _ = draw_objects(scene, self.p, rng)
        return scene.replace(color=torch.where((objects >= 0)[:, None], self.value, scene.color))


@dataclass(frozen=True)
class ObjectSwap:
    """The objects of a scene in random pairs; each pair, with probability ``p``, trades the places of its centroids."""

    p: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        objects, count = find_objects(scene)
        order = torch.randperm(count, generator=rng)
        pairs = order[: count // 2 * 2].reshape(-1, 2)
        pairs = pairs[torch.rand(len(pairs), generator=rng) < self.p].to(objects.device)
        if len(pairs) == 0:
            return scene
        own = objects >= 0
        centers = centroids(scene.coord[own], objects[own], count)
        shifts = torch.zeros_like(centers)
        apart = centers[pairs[:, 1]] - centers[pairs[:, 0]]
        shifts[pairs[:, 0]], shifts[pairs[:, 1]] = apart, -apart
        moved = torch.zeros(count, dtype=torch.bool, device=objects.device).index_fill(0, pairs.flatten(), True)
        point = (own & moved[objects.clamp(min=0)]).nonzero().squeeze(1)
        return scene.replace(coord=scene.coord.index_put((point,), scene.coord[point] + shifts[objects[point]]))


def _diagonal(values: Tensor, scene: Scene) -> Tensor:
    """(I, 3, 3) matrices with the rows of ``values`` (I, 3) on their diagonals."""
    return torch.diag_embed(values).to(scene.coord)
