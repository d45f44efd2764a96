"""Tables on columns with stars of feet; see ``builder``."""

from __future__ import annotations

import numpy as np

from ceco3d.synthetic.shapes.builder import Instance, ShapeBuilder
from ceco3d.synthetic.shapes.primitives import Shape, block, cylinder, join, rod


def star_table(round_: bool = False) -> ShapeBuilder:
    """A board on a column with four feet; large boards have two columns."""

    def build(o: Instance) -> Shape:
        thick = o.rng.uniform(0.025, 0.05)
        top = o.h - thick
        if round_:
            r = max(o.w, o.d) / 2 * 0.8
            board = cylinder(r, top, o.h, o.main)
            space = block(1.3 * r, 1.3 * r, 0.01, o.main, z=o.h - 0.01, top=1.0).supports
            board = Shape(board.quads, board.colors, board.boxes, space)
            spots, reach = [0.0], 0.7 * r
        else:
            board = block(o.w, o.d, thick, o.main, z=top, top=1.0)
            spots, reach = ([-0.3 * o.w, 0.3 * o.w] if o.w > 1.4 else [0.0]), 0.4 * o.d
        feet = np.arange(4) * np.pi / 2 + np.pi / 4
        legs: list[Shape] = []
        for x in spots:
            legs.append(cylinder(0.04, 0.03, top, o.accent, x))
            legs += [rod((x, 0, 0.06), (x + reach * np.cos(t), reach * np.sin(t), 0.03), 0.03, o.accent) for t in feet]
        return join(board, *legs)

    return build
