"""Pasting objects of other scenes into a scene, after LGround's tail-instance sampling (ECCV 2022).

An object is put down at a random place: on the floor, a table, a bed, wherever the surface under it is level. It never
overlaps with what is there, and nothing that is there changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene, concatenate
from ceco3d.data.transforms.geometric import bounds

# Metres. Cells of the height map, and the side of its max filter in cells (LGround: 5 voxels of 2 cm).
CELL = 0.02
FILTER = 5
# How far anything under the object may rise above the surface at its middle.
LEVEL = 0.05
# Above the floor: surfaces higher than the first carry nothing, be it a wall or a cupboard; points above the second,
# be it a ceiling or a lamp, do not hide the surface below them but need to be above the object.
HIGHEST_SURFACE, OVERHEAD = 1.3, 1.5
GAP = 0.001  # between an object and what it stands on, so that rounding does not make them overlap


class InstanceSource(Protocol):
    """Where objects come from, such as ``scenes.bank.InstanceBank``."""

    def draw(self, count: int, rng: torch.Generator) -> list[Scene]:
        """``count`` objects, or none."""
        ...


class HeightMap:
    """What stands how high in a scene, and where there is room. ``coord`` (N, 3) metres, z up, N > 0."""

    def __init__(self, coord: Tensor) -> None:
        low, high = bounds(coord)
        self.low, self.high = low.tolist(), high.tolist()
        shape = [int((self.high[axis] - self.low[axis]) / CELL) + 1 for axis in (0, 1)]
        cell = ((coord[:, :2] - low[:2]) / CELL).long()
        index, z = cell[:, 0].clamp_(max=shape[0] - 1) * shape[1] + cell[:, 1].clamp_(max=shape[1] - 1), coord[:, 2]
        self.floor = z.kthvalue(1 + len(z) // 100).values.item()  # scans have stray points below the floor
        above = z > self.floor + OVERHEAD
        empty = z.new_full((shape[0] * shape[1],), -torch.inf)
        surface = empty.scatter_reduce(0, index, z.where(~above, -torch.inf), "amax")
        ceiling = -empty.scatter_reduce(0, index, (-z).where(above, -torch.inf), "amax")
        # Small windows are much faster to search in numpy.
        self.surface, self.ceiling = (grid.reshape(shape).cpu().numpy() for grid in (surface, ceiling))

    def place(self, size: Sequence[float], tries: int, rng: torch.Generator) -> tuple[float, float, float] | None:
        """Lowest corner (x, y, z) of a free box of ``size`` metres along each axis, or None after ``tries`` places.

        The place is then taken: nothing else is put there.
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
        window = self._window(x, y, size, 1)  # one cell more, for rounding
        highest = float(self.surface[window].max())
        if highest > support + LEVEL or self.ceiling[window].min() < highest + 2 * GAP + size[2]:
            return None
        return highest + GAP

    def _window(self, x: float, y: float, size: Sequence[float], margin: int) -> tuple[slice, slice]:
        """The cells of a rectangle at (x, y), with ``margin`` cells around it."""
        first = [int((value - low) / CELL) for value, low in zip((x, y), self.low, strict=False)]
        last = [int((value + length - low) / CELL) for value, length, low in zip((x, y), size, self.low, strict=False)]
        return tuple(slice(max(a - margin, 0), b + margin + 1) for a, b in zip(first, last, strict=True))


def paste(scene: Scene, objects: Sequence[Scene], tries: int, rng: torch.Generator) -> Scene:
    """``scene`` followed by the points of those ``objects`` for which there is room within ``tries`` places each.

    Objects keep their classes and get fresh instance ids. Boxes are along the axes: no point of the scene and no other
    object is in the box of a pasted one.
    """
    if len(scene) == 0:
        return scene
    heights = HeightMap(scene.coord)
    fresh = int(scene.instance.amax().clamp(min=-1)) + 1
    placed = []
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
    """``paste`` of ``count`` objects drawn from ``bank``, each at up to ``tries`` places (LGround: 5 and 50)."""

    bank: InstanceSource
    count: int = 5
    tries: int = 50

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        objects = [thing.to(scene.coord.device) for thing in self.bank.draw(self.count, rng)]
        return paste(scene, objects, self.tries, rng)
