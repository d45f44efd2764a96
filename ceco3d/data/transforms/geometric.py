"""Rigid and affine transforms of coordinates, and point jitter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene, columns
from ceco3d.utils.random import chance, points_generator, uniform

AXES = "xyz"


def bounds(values: Tensor) -> tuple[Tensor, Tensor]:
    """Minimum and maximum of each column of ``values`` (N, C), N > 0: two (C,) tensors."""
    rows = columns(values)
    return rows.amin(1), rows.amax(1)


def floor_center(coord: Tensor) -> Tensor:
    """Floor center (3,) of the bounding box of ``coord`` (N, 3): its center in x and y, its lowest z."""
    if len(coord) == 0:
        return coord.new_zeros(3)
    low, high = bounds(coord)
    middle = (low + high) / 2
    middle[2] = low[2]
    return middle


def center_shift(scene: Scene) -> Scene:
    """Move the floor center of the bounding box to the origin."""
    return scene.replace(coord=scene.coord - floor_center(scene.coord))


def rotation_matrix(angles: Sequence[float], order: str = AXES) -> Tensor:
    """(3, 3) float32 rotation by ``angles`` (radians about x, y, z), applied in the ``order`` of axes.

    Right-handed: a positive angle about z turns x toward y.
    """
    matrix = torch.eye(3)
    for axis in map(AXES.index, order):
        cos, sin = math.cos(angles[axis]), math.sin(angles[axis])
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3)
        turn[i, i], turn[i, j], turn[j, i], turn[j, j] = cos, -sin, sin, cos
        matrix = turn @ matrix
    return matrix


def rotate(scene: Scene, matrix: Tensor) -> Scene:
    """Rotate about the origin by ``matrix`` (3, 3), which acts on column vectors; normals rotate too."""
    matrix = matrix.to(scene.coord)
    return scene.replace(coord=(matrix @ columns(scene.coord)).t(), normal=(matrix @ columns(scene.normal)).t())


def scale(scene: Scene, factor: float) -> Scene:
    """Scale uniformly about the origin; normals stay."""
    return scene.replace(coord=scene.coord * factor)


def flip(scene: Scene, axes: str) -> Scene:
    """Mirror at the origin along each axis in ``axes``, such as "xy"; normals are mirrored too."""
    sign = scene.coord.new_tensor([-1.0 if axis in axes else 1.0 for axis in AXES])
    return scene.replace(coord=scene.coord * sign, normal=scene.normal * sign)


def jitter(scene: Scene, sigma: float, clip: float, rng: torch.Generator) -> Scene:
    """Move every point by Gaussian noise of ``sigma`` meters per axis, clipped at +-``clip`` meters; normals stay."""
    device = scene.coord.device
    noise = torch.randn(3, len(scene), generator=points_generator(rng, device), device=device).t()
    return scene.replace(coord=noise.mul_(sigma).clamp_(-clip, clip).add_(scene.coord))


@dataclass(frozen=True)
class CenterShift:
    """``center_shift``; draws nothing."""

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        return center_shift(scene)


@dataclass(frozen=True)
class RandomRotation:
    """Rotate about each axis, with probability ``p`` each, by an angle drawn from +-``x``, ``y``, ``z`` degrees.

    The order of the axes is random too, as in LGround.
    """

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    p: float = 1.0

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        limits = (math.radians(limit) for limit in (self.x, self.y, self.z))
        angles = [uniform(-limit, limit, rng) if chance(self.p, rng) else 0.0 for limit in limits]
        order = torch.randperm(3, generator=rng).tolist()
        return rotate(scene, rotation_matrix(angles, "".join(AXES[axis] for axis in order)))


@dataclass(frozen=True)
class RandomScale:
    """Scale by a factor from U(``low``, ``high``)."""

    low: float
    high: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        return scale(scene, uniform(self.low, self.high, rng))


@dataclass(frozen=True)
class RandomFlip:
    """With probability ``gate``: mirror along x and along y, each with probability ``p``."""

    p: float = 0.5
    gate: float = 1.0

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        if not chance(self.gate, rng):
            return scene
        return flip(scene, "".join(axis for axis in "xy" if chance(self.p, rng)))


@dataclass(frozen=True)
class PointJitter:
    """``jitter`` with ``sigma`` and ``clip`` in meters."""

    sigma: float
    clip: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        return jitter(scene, self.sigma, self.clip, rng)
