"""A builder for small objects that are described as text, a few primitives each; see ``builder``."""

from __future__ import annotations

import numpy as np

from ceco3d.synthetic.shapes.builder import DARK, METAL, Instance, ShapeBuilder
from ceco3d.synthetic.shapes.primitives import (
    Shape,
    ball,
    block,
    cylinder,
    join,
    ring,
)

WHITE = np.array([232.0, 232, 228])
SKIN = np.array([205.0, 160, 130])


def assemble(text: str, top: float = 0.0) -> ShapeBuilder:
    """Parts as "kind w d h [@ x y z] [color]", separated by ";".

    kind   box | ball | can (upright cylinder) | disc (cylinder facing -y) | wheel (upright ring of diameter w)
    w d h  size, as shares of the object's
    x y z  center of the underside, as shares of the object's size; the origin by default
    color  main (default) | accent | dark | metal | white | skin
    top    free height above the first part, meters; above 0 it carries other objects
    """
    parts = [_parse(part) for part in text.split(";")]

    def build(o: Instance) -> Shape:
        whole = np.array([o.w, o.d, o.h])
        made: list[Shape] = []
        paints = {"main": o.main, "accent": o.accent, "dark": DARK, "metal": METAL, "white": WHITE, "skin": SKIN}
        for kind, size, at, color in parts:
            (w, d, h), (x, y, z), paint = whole * size, whole * at, paints[color]
            if kind == "box":
                made.append(block(w, d, h, paint, x, y, z, top=0.0 if made else top))
            elif kind == "ball":
                made.append(ball((w, d, h), paint, x, y, z))
            elif kind == "can":
                made.append(cylinder(0.5, 0, h, paint).scale(w, d, 1).move(x, y, z))
            elif kind == "disc":
                made.append(cylinder(0.5, -d / 2, d / 2, paint).scale(w, h, 1).lay_back().move(x, y, z + h / 2))
            elif kind == "wheel":
                made.append(ring(w / 2 - 0.02, 0.02, paint).lay_back().move(x, y, z + w / 2))
        return join(*made)

    return build


def _parse(part: str) -> tuple[str, np.ndarray, np.ndarray, str]:
    """Kind, size, position and color name of one part."""
    kind, *words = part.replace("@", " ").split()
    color = "main" if words[-1].lstrip("-")[0] in ".0123456789" else words.pop()
    numbers = np.array([float(word) for word in words] + [0.0] * (6 - len(words)))
    return kind, numbers[:3], numbers[3:], color
