"""Which named columns of a scan hold coordinates, colors and normals."""

from __future__ import annotations

from collections.abc import Iterable

# In any case. The first complete triple counts.
COORD_NAMES = (("x", "y", "z"),)
COLOR_NAMES = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
NORMAL_NAMES = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))


def find_columns(names: Iterable[str], triples: tuple[tuple[str, ...], ...]) -> list[str] | None:
    """The first of ``triples`` that is complete in ``names``, spelled as in ``names``; None if none is."""
    spelling = {name.lower(): name for name in reversed(list(names))}
    return next(([spelling[name] for name in triple] for triple in triples if set(triple) <= spelling.keys()), None)
