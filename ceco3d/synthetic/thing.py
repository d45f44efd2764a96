"""What the catalogue says about a class, and the palettes it draws from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.synthetic.programs import Draw, Program
from ceco3d.synthetic.shapes import Shape

Size = tuple[float, float, float]


@dataclass(frozen=True)
class Place:
    """Where a class stands.

    kind     floor | back (against a wall) | seat (facing a table) | top (on a support) | wall | ceiling | around
    on       classes that can carry it (top) or that it belongs to (seat, around)
    z        lowest and highest height of its underside over the floor, metres (wall); around: 1 in front, -1 below
    """

    kind: str
    on: tuple[str, ...] = ()
    z: tuple[float, float] = (0.0, 0.0)


FLOOR, BACK, CEILING = Place("floor"), Place("back"), Place("ceiling")


def on(names: str) -> Place:
    """On one of the comma-separated support classes."""
    return Place("top", tuple(names.split(", ")))


def at(names: str) -> Place:
    """On the floor, facing one of the comma-separated classes."""
    return Place("seat", tuple(names.split(", ")))


def around(names: str, where: int = 0) -> Place:
    """In the wall, centred on one of the comma-separated classes when there is one; 1: in front of it, -1: below it."""
    return Place("around", tuple(names.split(", ")), (where, where))


def wall(low: float, high: float | None = None) -> Place:
    """On a wall, underside between ``low`` and ``high`` metres."""
    return Place("wall", z=(low, low if high is None else high))


@dataclass(frozen=True)
class Thing:
    """A class: its shape program, nominal size (w, d, h) in metres, palettes, place and the rooms it is found in.

    ``size`` varies per instance and axis by ``vary`` (relative). ``rooms`` lists room types, "any" = all alike.
    """

    program: Program
    size: Size
    main: str
    accent: str
    place: Place
    rooms: str = "any"
    vary: float = 0.15

    def draw(self, rng: np.random.Generator) -> Shape:
        """One instance."""
        w, d, h = np.array(self.size) * rng.uniform(1 - self.vary, 1 + self.vary, 3)
        return self.program(Draw(w, d, h, pick(self.main, rng), pick(self.accent, rng), rng))


PALETTES = {
    "wood": "8b5e34 a9743f c89a63 6b4423 d6b283 4a3020 b98a55",
    "lightwood": "d6b283 dfc49b c8a878 e2cfa8",
    "white": "e8e8e4 f2f0ea dcdcd6 e4e0d4",
    "grey": "8c8f92 a6a8a8 6f7276 b9bbb9",
    "dark": "2c2c30 3a3a3d 232326 45454a",
    "metal": "9a9da1 b4b7ba 7f8388 c4c6c8",
    "beige": "cdbf9f dccfb4 b9a98a e0d6c0",
    "brown": "6b4a33 80583c 54392a 96714f",
    "blue": "3a5a8c 2f4570 5b83b5 7fa3c9 26384f",
    "red": "a23434 8c2626 b84a3c 7a2430",
    "green": "3f7a3a 2f6131 5c8f45 6ea05a 47704a",
    "yellow": "d9b43a e2c657 c99d2e",
    "pink": "d998a8 c97f95 e0b4bd",
    "fabric": "7b7f88 5f6a7d 8d7a66 a39887 6b5a58 4d5966 9a8f7a 7c4a42",
    "bright": "c0392b 2e6fb0 e0a92e 3f8f4f 8e44ad d2691e 2aa198 d05090",
    "cloth": "30384f 7a2f35 8f8f93 d8d5cf 4d6b50 274b73 b08d57 222226 a0526d",
    "towel": "e6e2da b7c7d6 d9b8a5 7f9aa8 c9d3bf a8617a f0ece4",
    "paper": "f0eee6 e6e2d6 f5f3ee",
    "glass": "7d97a8 a9c0cc c7d6dc 5f7482",
    "cardboard": "b08a5a c29b6b a37c4c 9b7a52",
    "recycle": "2f62a8 2a6f9e 3a7d4a",
    "wallpaint": "d9d4c7 e4e0d6 cfd3d1 d8cdb8 c6cbd0 e6dfcf bfc5b8",
    "ground": "9a7b55 7d6546 8f8a80 a59c8c 6f7073 b59468 5f5a58",
    "ceiling": "e9e7e1 e2e0da efeee9",
    "skin": "c99f80 a97c5c e0b99a",
}


def pick(palette: str, rng: np.random.Generator) -> np.ndarray:
    """A colour of the palette, (3,) in 0..255, varied a little."""
    colors = PALETTES[palette].split()
    rgb = colors[rng.integers(len(colors))]
    color = np.array([int(rgb[i : i + 2], 16) for i in (0, 2, 4)], float)
    return np.clip(color * rng.uniform(0.9, 1.1) + rng.normal(0, 5, 3), 8, 250)
