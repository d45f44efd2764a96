"""What an entry of the catalog says about its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ceco3d.synthetic.catalog.palettes import pick_color
from ceco3d.synthetic.shapes.builder import Instance, ShapeBuilder
from ceco3d.synthetic.shapes.primitives import Shape

PlacementKind = Literal["floor", "against_wall", "facing", "on_top", "on_wall", "ceiling", "attached"]


@dataclass(frozen=True)
class Placement:
    """Where objects of a class go.

    kind      floor | against_wall | facing (on the floor, facing a host) | on_top (of a host) | on_wall | ceiling |
              attached (to the wall where its host is, centered on it)
    hosts     classes it stands on (on_top), faces (facing) or belongs to (attached)
    z         lowest and highest height of its underside above the floor, meters (on_wall)
    position  relative to the host (attached)
    """

    kind: PlacementKind
    hosts: tuple[str, ...] = ()
    z: tuple[float, float] = (0.0, 0.0)
    position: Literal["around", "in_front", "below"] = "around"


ON_FLOOR, AGAINST_WALL, ON_CEILING = Placement("floor"), Placement("against_wall"), Placement("ceiling")


def on_top_of(hosts: str) -> Placement:
    """On one of the comma-separated classes."""
    return Placement("on_top", tuple(hosts.split(", ")))


def facing(hosts: str) -> Placement:
    """On the floor, facing one of the comma-separated classes."""
    return Placement("facing", tuple(hosts.split(", ")))


def attached_to(hosts: str, position: Literal["around", "in_front", "below"] = "around") -> Placement:
    """In the wall, centered on one of the comma-separated classes if the room has one."""
    return Placement("attached", tuple(hosts.split(", ")), position=position)


def on_wall(low: float, high: float | None = None) -> Placement:
    """On a wall, the underside between ``low`` and ``high`` meters above the floor."""
    return Placement("on_wall", z=(low, low if high is None else high))


@dataclass(frozen=True)
class ObjectClass:
    """One class of objects.

    builder       builds its shape
    size          nominal width, depth and height in meters
    main, accent  palettes of its two colors
    placement     where it goes in a room
    room_types    keys of ``ROOM_TYPES`` where it is common, separated by blanks; "any": the same everywhere
    vary          relative variation of the size, drawn per instance and axis
    """

    builder: ShapeBuilder
    size: tuple[float, float, float]
    main: str
    accent: str
    placement: Placement
    room_types: str = "any"
    vary: float = 0.15

    def build(self, rng: np.random.Generator) -> Shape:
        """One instance with random size and colors."""
        w, d, h = np.array(self.size) * rng.uniform(1 - self.vary, 1 + self.vary, 3)
        return self.builder(Instance(w, d, h, pick_color(self.main, rng), pick_color(self.accent, rng), rng))
