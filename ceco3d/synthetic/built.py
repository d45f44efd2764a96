"""Shape programs written as text: small things put together from a few primitives."""

from __future__ import annotations

import numpy as np

from ceco3d.synthetic.programs import DARK, METAL, Draw, Program
from ceco3d.synthetic.shapes import (
    Shape,
    ball,
    block,
    cylinder,
    join,
    ring,
)

WHITE = np.array([232.0, 232, 228])
SKIN = np.array([205.0, 160, 130])


def built(text: str, top: float = 0.0) -> Program:
    """Parts "kind w d h [@ x y z] [color]", separated by ";", in shares of the size; @ is the centre of the underside.

    kind: box | ball | can (upright cylinder) | disc (cylinder facing -y) | wheel (upright ring of diameter w).
    color: main (default) | accent | dark | metal | white | skin. ``top`` > 0: the first part carries things.
    """
    parts = [_parse(part) for part in text.split(";")]

    def draw(o: Draw) -> Shape:
        whole, made = np.array([o.w, o.d, o.h]), []
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
                made.append(cylinder(0.5, -d / 2, d / 2, paint).scale(w, h, 1).tip().move(x, y, z + h / 2))
            elif kind == "wheel":
                made.append(ring(w / 2 - 0.02, 0.02, paint).tip().move(x, y, z + w / 2))
        return join(*made)

    return draw


def _parse(part: str) -> tuple[str, np.ndarray, np.ndarray, str]:
    """The kind, size, position and colour key of one part of ``built``."""
    kind, *words = part.replace("@", " ").split()
    color = "main" if words[-1].lstrip("-")[0] in ".0123456789" else words.pop()
    numbers = np.array([float(word) for word in words] + [0.0] * (6 - len(words)))
    return kind, numbers[:3], numbers[3:], color
