"""Small label spaces, and a data set with one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ceco3d.data.labels import LabelSpace
from tests.helpers.extensions import Planes


def numbered(count: int, first: int = 1, name: str = "numbered") -> LabelSpace:
    """``count`` classes with the raw ids ``first``, ``first`` + 2, ..."""
    ids = tuple(range(first, first + 2 * count, 2))
    colors = np.arange(3 * count, dtype=np.uint8).reshape(count, 3)
    return LabelSpace(name, ids, tuple(f"{name} {raw}" for raw in ids), colors)


def named(*names: str, aliases: Mapping[int | str, int] | None = None, name: str = "named") -> LabelSpace:
    """Classes with these names and the raw ids 1, 2, ..."""
    colors = np.zeros((len(names), 3), np.uint8)
    return LabelSpace(name, tuple(range(1, len(names) + 1)), names, colors, aliases=aliases or {})


@dataclass(frozen=True)
class Levels(Planes):
    """The scenes of ``Planes`` with three classes of their own: the floor is the first, the wall the second."""

    def space(self) -> LabelSpace:
        return numbered(3, name="level")

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        arrays = super()._arrays(name)
        return arrays | {"segment": (arrays["segment"] == 0).astype(np.int16)}


@dataclass(frozen=True)
class Factory(Planes):
    """The scenes of ``Planes`` with other classes: a pump, the floor under another name, the wall."""

    def space(self) -> LabelSpace:
        return named("pump", "Ground", "WALL", aliases={"floor": 1}, name="factory")

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        arrays = super()._arrays(name)
        return arrays | {"segment": np.where(arrays["segment"] == 2, 1, 2).astype(np.int16)}
