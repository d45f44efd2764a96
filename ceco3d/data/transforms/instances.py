"""Augmentation of single objects: each moves, turns and changes on its own, so that the network relies less on the
arrangement of objects (after the ScanNet200 recipe of Volt's teacher network)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene
from ceco3d.utils.random import points_generator


def movable(scene: Scene, structure: Sequence[int]) -> tuple[Tensor, int]:
    """The object of each point, (N,) int64 or -1 = none, and the number of objects.

    Objects are instances without any point of the classes ``structure`` (training indices).
    """
    instance = scene.instance
    if len(instance) == 0 or int(instance.amax()) < 0:
        return torch.full_like(instance, -1), 0
    part = torch.isin(scene.segment, scene.segment.new_tensor(list(structure)))
    ids = instance.clamp(min=0)
    size = int(instance.amax()) + 1
    fixed = torch.zeros(size, dtype=torch.bool, device=ids.device)
    fixed[ids[part & (instance >= 0)]] = True
    used = torch.zeros_like(fixed)
    used[ids[instance >= 0]] = True
    free = used & ~fixed
    number = torch.where(free, free.cumsum(0) - 1, -1)
    return torch.where(instance >= 0, number[ids], -1), int(free.sum())


def move_objects(scene: Scene, objects: Tensor, matrices: Tensor, shifts: Tensor) -> Scene:
    """Apply a linear map about its floor center, then a shift, to each object. Other points stay bit for bit.

    objects   (N,) int64 object of each point, -1 = none
    matrices  (I, 3, 3) on column vectors, none degenerate; normals are mapped too and keep their length
    shifts    (I, 3) meters
    """
    point = (objects >= 0).nonzero().squeeze(1)
    index = objects[point]
    coord, normal = scene.coord[point], scene.normal[point]
    centers = _floor_centers(coord, index, len(matrices))
    linear = matrices[index]
    moved = (linear @ (coord - centers[index])[:, :, None]).squeeze(2) + (centers + shifts)[index]
    # The maps are rotations, mirrors and uniform scales: normals transform like vectors, up to the scale.
    factor = torch.linalg.vector_norm(matrices[:, :, 0], dim=1)
    turned = (linear @ normal[:, :, None]).squeeze(2) / factor[index, None]
    return scene.replace(coord=scene.coord.index_put((point,), moved), normal=scene.normal.index_put((point,), turned))


def _floor_centers(coord: Tensor, index: Tensor, count: int) -> Tensor:
    """(I, 3) ``floor_center`` of each object."""
    rows = index[:, None].expand_as(coord)
    low = coord.new_full((count, 3), torch.inf).scatter_reduce(0, rows, coord, "amin")
    high = coord.new_full((count, 3), -torch.inf).scatter_reduce(0, rows, coord, "amax")
    centers = (low + high) / 2
    centers[:, 2] = low[:, 2]
    return centers


@dataclass(frozen=True)
class InstanceAugmentation:
    """Augments each object of a scene with probability ``p``, independently of the others.

    structure  classes whose instances stay, as training indices (``LabelSpace.structure``); points without an instance
               stay too
    shift      meters: shift along x and y by U(-shift, shift), not along z, where the object would leave its support
    rotate     degrees: rotation about the vertical axis through its center by U(-rotate, rotate)
    flip       probability of a mirror image
    scale      scale about its floor center by U(scale[0], scale[1])
    dropout    drop a fraction of its points, drawn from U(0, dropout)
    gray       probability of losing its color: all its points get the mean color of the scene
    """

    structure: Sequence[int]
    p: float = 0.5
    shift: float = 0.1
    rotate: float = 45.0
    flip: float = 0.5
    scale: Sequence[float] = (0.9, 1.1)
    dropout: float = 0.2
    gray: float = 0.1

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        objects, count = movable(scene, self.structure)
        device = scene.coord.device
        draw = torch.rand(count, 8, generator=rng).to(device)
        chosen = draw[:, 0] < self.p
        if not chosen.any():
            return scene
        draw, number = draw[chosen], torch.where(chosen, chosen.cumsum(0) - 1, -1)
        objects = torch.where(objects >= 0, number[objects], -1)
        shifts = torch.zeros_like(draw[:, :3])
        shifts[:, :2] = (2 * draw[:, 1:3] - 1) * self.shift
        scene = move_objects(scene, objects, self._matrices(draw[:, 3], draw[:, 4], draw[:, 5]), shifts)
        gray = torch.where(objects >= 0, (draw[:, 6] < self.gray)[objects], False)
        color = torch.where(gray[:, None], scene.color.mean(0), scene.color)
        share = torch.where(objects >= 0, draw[:, 7][objects] * self.dropout, 0.0)
        kept = torch.rand(len(scene), generator=points_generator(rng, device), device=device) >= share
        return scene.replace(color=color).select(kept)

    def _matrices(self, turn: Tensor, mirror: Tensor, size: Tensor) -> Tensor:
        """(I, 3, 3) from three draws (I,) of U(0, 1)."""
        angle = (2 * turn - 1) * math.radians(self.rotate)
        factor = self.scale[0] + (self.scale[1] - self.scale[0]) * size
        sign = torch.where(mirror < self.flip, -1.0, 1.0)
        cos, sin, zero = factor * angle.cos(), factor * angle.sin(), torch.zeros_like(angle)
        rows = (sign * cos, -sin, zero, sign * sin, cos, zero, zero, zero, factor)
        return torch.stack(rows, 1).reshape(-1, 3, 3)
