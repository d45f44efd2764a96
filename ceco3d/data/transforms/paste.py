"""Paste objects of other scenes into a scene, after the tail-instance sampling of LGround (ECCV 2022).

An object goes to a random place with a level surface: the floor, a table, a bed. It never overlaps with the points of
the scene, which do not change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene, concatenate
from ceco3d.data.transforms.geometric import bounds, rotate, rotation_matrix, scale
from ceco3d.utils.random import uniform

# Cell size of the height map in meters, and width of its max filter in cells (LGround: 5 voxels of 2 cm).
CELL = 0.02
FILTER = 5
# How far the ground below the object may rise above the surface at its center, in meters.
LEVEL = 0.05
# Meters above the floor. Surfaces above the first, such as walls and cupboards, carry no objects. Points above the
# second, such as ceilings and lamps, do not hide the surface below, but must be above the object.
HIGHEST_SURFACE, OVERHEAD = 1.3, 1.5
GAP = 0.001  # meters between an object and its support, so that rounding cannot make them overlap


class InstanceSource(Protocol):
    """A source of objects, such as ``ceco3d.data.scenes.instance_bank.InstanceBank``."""

    def draw(self, count: int, rng: torch.Generator) -> list[Scene]:
        """``count`` objects, or none."""
        ...


class HeightMap:
    """The heights of a scene and the free places in it. ``coord`` (N, 3) meters, z up, N > 0."""

    def __init__(self, coord: Tensor) -> None:
        low, high = bounds(coord)
        self.low, self.high = low.tolist(), high.tolist()
        shape = [int((self.high[axis] - self.low[axis]) / CELL) + 1 for axis in (0, 1)]
        cell = ((coord[:, :2] - low[:2]) / CELL).long()
        index, z = cell[:, 0].clamp_(max=shape[0] - 1) * shape[1] + cell[:, 1].clamp_(max=shape[1] - 1), coord[:, 2]
        # The 1st percentile, because scans have stray points below the floor.
        self.floor = z.kthvalue(1 + len(z) // 100).values.item()
        above = z > self.floor + OVERHEAD
        empty = z.new_full((shape[0] * shape[1],), -torch.inf)
        surface = empty.scatter_reduce(0, index, z.where(~above, -torch.inf), "amax")
        ceiling = -empty.scatter_reduce(0, index, (-z).where(above, -torch.inf), "amax")
        # NumPy searches small windows much faster.
        self.surface, self.ceiling = (grid.reshape(shape).cpu().numpy() for grid in (surface, ceiling))

    def place(self, size: Sequence[float], tries: int, rng: torch.Generator) -> tuple[float, float, float] | None:
        """The lowest corner (x, y, z) of a free box of ``size`` (3,) meters, or None after ``tries`` random places.

        Marks the place as taken.
        """
        room = [self.high[axis] - self.low[axis] - size[axis] for axis in (0, 1)]
        draws = torch.rand(tries, 2, generator=rng).tolist()
        if min(room) < 0:
            return None
        for u, v in draws:
            x, y = self.low[0] + u * room[0], self.low[1] + v * room[1]
            z = self._bottom(x, y, size)
            if z is not None:
                self.surface[self._window(x, y, size, 1)] = torch.inf
                return x, y, z
        return None

    def _bottom(self, x: float, y: float, size: Sequence[float]) -> float | None:
        middle = (x + size[0] / 2, y + size[1] / 2)
        support = self.surface[self._window(*middle, (0, 0), FILTER // 2)].max()
        if not -torch.inf < support <= self.floor + HIGHEST_SURFACE:
            return None
        window = self._window(x, y, size, 1)  # one more cell, for rounding
        highest = float(self.surface[window].max())
        if highest > support + LEVEL or self.ceiling[window].min() < highest + 2 * GAP + size[2]:
            return None
        return highest + GAP

    def _window(self, x: float, y: float, size: Sequence[float], margin: int) -> tuple[slice, slice]:
        """The cells of a rectangle at (x, y), plus ``margin`` cells on each side."""
        first = [int((value - low) / CELL) for value, low in zip((x, y), self.low, strict=False)]
        last = [int((value + length - low) / CELL) for value, length, low in zip((x, y), size, self.low, strict=False)]
        rows, columns = (slice(max(a - margin, 0), b + margin + 1) for a, b in zip(first, last, strict=True))
        return rows, columns


def paste(scene: Scene, objects: Sequence[Scene], tries: int, rng: torch.Generator) -> Scene:
    """``scene``, followed by the points of each of ``objects`` that finds room within ``tries`` random places.

    Objects keep their classes and get new instance ids. The axis-aligned bounding box of a pasted object contains no
    point of the scene or of another object.
    """
    if len(scene) == 0:
        return scene
    heights = HeightMap(scene.coord)
    fresh = int(scene.instance.amax().clamp(min=-1)) + 1
    placed: list[Scene] = []
    for thing in objects:
        low, high = bounds(thing.coord)
        corner = heights.place((high - low).tolist(), tries, rng)
        if corner is not None:
            coord = thing.coord - low + low.new_tensor(corner)
            instance = torch.full_like(thing.instance, fresh + len(placed))
            placed.append(thing.replace(coord=coord, instance=instance))
    return concatenate([scene, *placed], scene.name) if placed else scene


@dataclass(frozen=True)
class PasteInstances:
    """``paste`` of ``count`` objects drawn from ``bank``, each at up to ``tries`` places (LGround: 5 and 50).

    turn   degrees: each object is turned about the vertical by +-``turn``
    scale  each object is scaled by U(scale[0], scale[1])
    """

    bank: InstanceSource
    count: int = 5
    tries: int = 50
    turn: float = 0.0
    scale: Sequence[float] = (1.0, 1.0)

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        drawn = self.bank.draw(self.count, rng)
        objects = [self._changed(thing.to(scene.coord.device), rng) for thing in drawn]
        return paste(scene, objects, self.tries, rng)

    def _changed(self, thing: Scene, rng: torch.Generator) -> Scene:
        if self.turn:
            angle = math.radians(uniform(-self.turn, self.turn, rng))
            thing = rotate(thing, rotation_matrix((0.0, 0.0, angle)))
        low, high = self.scale
        return scale(thing, uniform(low, high, rng)) if (low, high) != (1, 1) else thing
