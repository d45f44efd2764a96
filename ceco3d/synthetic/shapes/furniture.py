"""Builders of furniture: chairs, sofas, tables, cabinets, shelves and beds; see ``builder``."""

from __future__ import annotations

import numpy as np

from ceco3d.synthetic.shapes.builder import DARK, METAL, Instance, ShapeBuilder
from ceco3d.synthetic.shapes.primitives import Color, Shape, ball, block, box, cylinder, join, rod


def four_legs(o: Instance, h: float, thick: float, color: Color, inset: float = 0.03) -> Shape:
    """Four square legs of height ``h`` under a board as wide and deep as the object."""
    x, y = o.w / 2 - thick / 2 - inset, o.d / 2 - thick / 2 - inset
    return join(*(block(thick, thick, h, color, sx * x, sy * y) for sx in (-1, 1) for sy in (-1, 1)))


def chair(legs: str = "four", arms: bool = False, back: str = "board", soft: float = 0.04) -> ShapeBuilder:
    """A seat. legs: four | star | sled | block; back: board | slats | none; ``soft``: thickness of the seat."""

    def build(o: Instance) -> Shape:
        seat = 0.5 * o.h if back != "none" else o.h - soft
        parts = [
            ball((o.w, o.d, 2 * soft), o.main, z=seat - soft, square=0.35)
            if soft > 0.05
            else block(o.w, o.d, soft, o.main, z=seat)
        ]
        if legs == "star":
            parts.append(cylinder(0.03, 0.08, seat, DARK))
            spokes = np.arange(5) * (2 * np.pi / 5) + o.rng.uniform(0, 1)
            parts += [rod((0, 0, 0.09), (0.3 * np.cos(t), 0.3 * np.sin(t), 0.06), 0.025, DARK) for t in spokes]
            parts += [ball((0.06, 0.06, 0.06), DARK, 0.3 * np.cos(t), 0.3 * np.sin(t)) for t in spokes]
        elif legs == "block":
            parts.append(block(o.w, o.d, seat, o.main))
        elif legs == "sled":
            for x in (-o.w / 2 + 0.02, o.w / 2 - 0.02):
                parts += [block(0.03, o.d, 0.03, METAL, x), block(0.03, 0.03, seat, METAL, x, o.d / 2 - 0.02)]
                parts.append(block(0.03, 0.03, seat, METAL, x, -o.d / 2 + 0.02))
        else:
            parts.append(four_legs(o, seat, 0.04, o.accent))
        if back == "board":
            parts.append(box((-o.w / 2, o.d / 2 - 0.05, seat + 0.08), (o.w / 2, o.d / 2, o.h), o.main))
            parts.append(block(0.08, 0.04, 0.12, o.accent, y=o.d / 2 - 0.03, z=seat))
        elif back == "slats":
            posts = np.linspace(-o.w / 2 + 0.02, o.w / 2 - 0.02, 5)
            parts += [block(0.03, 0.03, o.h - seat, o.main, x, o.d / 2 - 0.02, seat) for x in posts]
            parts.append(block(o.w, 0.035, 0.07, o.main, y=o.d / 2 - 0.02, z=o.h - 0.07))
        if arms:
            for x in (-o.w / 2, o.w / 2):
                parts.append(block(0.05, o.d * 0.75, 0.03, o.accent, x, z=seat + 0.2))
                parts.append(block(0.04, 0.04, 0.2, o.accent, x, -o.d * 0.2, seat))
        return join(*parts)

    return build


def sofa(seats: int = 3, arms: float = 0.16, back: float = 0.45, legs: float = 0.0) -> ShapeBuilder:
    """Upholstered seating: width of ``arms``, height of the ``back`` above the seat and of ``legs``; 0: none."""

    def build(o: Instance) -> Shape:
        seat = o.h - back if back else o.h
        inner = o.w - 2 * arms
        parts = [block(o.w, o.d, seat - 0.14 - legs, o.main, z=legs)]
        width = inner / seats
        for i in range(seats):
            x = (i + 0.5) * width - inner / 2
            shade = o.accent * o.rng.uniform(0.94, 1.06)
            parts.append(ball((width, o.d - 0.15, 0.2), shade, x, -0.06, seat - 0.17, square=0.3))
            if back:
                parts.append(ball((width, 0.2, back), shade, x, o.d / 2 - 0.22, seat - 0.03, square=0.35))
        if back:
            parts.append(block(o.w, 0.14, o.h - 0.1 - legs, o.main, y=o.d / 2 - 0.07, z=legs))
        if arms:
            parts += [
                ball((arms, o.d, 0.22 + seat - legs), o.main, s * (o.w - arms) / 2, 0, legs, square=0.25)
                for s in (-1, 1)
            ]
        if legs:
            parts.append(four_legs(o, legs, 0.05, DARK))
        space = block(inner, o.d - 0.25, 0.01, o.accent, y=-0.06, z=seat + 0.02, top=0.6).supports
        shape = join(*parts)
        return Shape(shape.quads, shape.colors, shape.boxes, space)

    return build


def table(legs: str = "four", round_: bool = False, shelf: bool = False, drawers: int = 0) -> ShapeBuilder:
    """A table. legs: four | pedestal | panel; ``drawers`` > 0 puts a chest of drawers under the right side."""

    def build(o: Instance) -> Shape:
        thick = 0.035
        top = o.h - thick
        if round_:
            r = min(o.w, o.d) / 2
            board = cylinder(1.0, top, o.h, o.main).scale(r, r, 1)
            space = block(1.4 * r, 1.4 * r, 0.01, o.main, z=o.h - 0.01, top=1.0).supports
            board = Shape(board.quads, board.colors, board.boxes, space)
        else:
            board = block(o.w, o.d, thick, o.main, z=top, top=1.0)
        parts = [board]
        if legs == "pedestal":
            parts += [cylinder(0.05, 0.03, top, o.accent), cylinder(0.28 * min(o.w, o.d) + 0.05, 0, 0.04, o.accent)]
        elif legs == "panel":
            parts += [block(0.03, o.d * 0.9, top, o.accent, s * (o.w / 2 - 0.03)) for s in (-1, 1)]
            parts.append(block(o.w - 0.06, 0.02, 0.35, o.accent, y=o.d / 2 - 0.1, z=top - 0.35))
        else:
            parts.append(four_legs(o, top, 0.05, o.accent))
        if shelf:
            parts.append(block(o.w * 0.9, o.d * 0.9, 0.03, o.main, z=0.35 * o.h, top=0.5 * o.h))
        if drawers:
            w = 0.4
            parts.append(
                cabinet(drawers, 1)(Instance(w, o.d * 0.85, top - 0.03, o.accent, DARK, o.rng)).move(
                    o.w / 2 - w / 2 - 0.05
                )
            )
        return join(*parts)

    return build


def cabinet(rows: int = 1, columns: int = 1, handle: str = "bar", legs: float = 0.0, slab: float = 0.0) -> ShapeBuilder:
    """A case with rows x columns of doors or drawers. handle: bar | post | none; ``slab``: overhang of a worktop."""

    def build(o: Instance) -> Shape:
        z0, z1 = legs, o.h - (0.04 if slab else 0.0)
        top = 0.0 if o.h > 1.4 else 1.0
        body = block(o.w, o.d - 0.02, z1 - z0, o.main, y=0.01, z=z0, top=0.0 if slab else top)
        parts = [body]
        w, h = o.w / columns, (z1 - z0) / rows
        for i in range(columns):
            for j in range(rows):
                x, z = (i + 0.5) * w - o.w / 2, z0 + j * h
                shade = o.main * (0.93 + 0.06 * ((i + j) % 2))
                parts.append(block(w - 0.025, 0.02, h - 0.025, shade, x, -o.d / 2 + 0.01, z + 0.012))
                if handle == "bar" and w >= h:
                    parts.append(block(0.3 * w, 0.025, 0.02, o.accent, x, -o.d / 2 - 0.01, z + 0.7 * h))
                elif handle != "none":
                    side = w * (0.36 if i % 2 == 0 else -0.36)
                    parts.append(block(0.025, 0.025, 0.25 * h, o.accent, x + side, -o.d / 2 - 0.01, z + 0.4 * h))
        if slab:
            parts.append(block(o.w + slab, o.d + slab, 0.04, o.accent, z=z1, top=1.0))
        if legs:
            parts.append(four_legs(o, legs, 0.04, o.accent))
        return join(*parts)

    return build


def shelving(levels: int = 4, back: bool = True, posts: bool = False, fill: float = 0.0) -> ShapeBuilder:
    """Boards between side panels or ``posts``; ``fill``: share of each board that is covered with books."""

    def build(o: Instance) -> Shape:
        t, gap = 0.025, (o.h - 0.025) / max(levels - 1, 1)
        parts = [
            block(o.w, o.d, t, o.main, z=i * gap, top=min(gap - t, 0.5) if not fill else 0.0) for i in range(levels)
        ]
        if posts:
            parts.append(four_legs(o, o.h, 0.03, o.accent, 0.0))
        else:
            parts += [block(t, o.d, o.h, o.main, s * (o.w - t) / 2) for s in (-1, 1)]
        if back:
            parts.append(block(o.w, 0.015, o.h, o.main * 0.9, y=o.d / 2 - 0.01))
        for i in range(levels - 1):
            width = (o.w - 2 * t) * o.rng.uniform(0.6, 1.0) * fill
            if fill:
                books = book_row(width, o.d * 0.8, min(0.28, gap * 0.8), o.rng)
                parts.append(books.move(-(o.w - 2 * t - width) / 2, 0, i * gap + t))
        return join(*parts)

    return build


def book_row(w: float, d: float, h: float, rng: np.random.Generator) -> Shape:
    """Upright books side by side, in random heights and colors."""
    edges = np.linspace(-w / 2, w / 2, max(2, int(w / 0.04)) + 1)
    colors = rng.uniform(30, 220, (len(edges) - 1, 3))
    heights = h * rng.uniform(0.75, 1.0, len(colors))
    return join(
        *(
            box((a, -d / 2, 0), (b, d / 2, z), c)
            for a, b, z, c in zip(edges[:-1], edges[1:], heights, colors, strict=True)
        )
    )


def bed(headboard: float = 0.4, covers: bool = True) -> ShapeBuilder:
    """A mattress on a frame; ``headboard``: its height above the mattress, at the back."""

    def build(o: Instance) -> Shape:
        frame = 0.45 * o.h if covers else 0.02
        soft = ball((o.w, o.d, o.h - frame + 0.02), o.main, z=frame - 0.02, square=0.2)
        head = 0.12 * o.d  # where the duvet ends
        space = box((-0.45 * o.w, head, o.h - 0.01), (0.45 * o.w, 0.45 * o.d, o.h), o.main, top=0.8).supports
        if covers:
            space = np.concatenate(
                [space, box((-0.45 * o.w, -0.5 * o.d, o.h), (0.45 * o.w, head, o.h + 0.04), o.main, top=0.8).supports]
            )
        parts = [Shape(soft.quads, soft.colors, soft.boxes, space)]
        if covers:
            parts.append(block(o.w, o.d, frame, o.accent))
            duvet = ball(
                (o.w + 0.06, 0.62 * o.d, 0.24),
                o.main * o.rng.uniform(0.55, 0.95, 3),
                y=-0.19 * o.d,
                z=o.h - 0.2,
                square=0.22,
            )
            parts.append(duvet)
        if headboard:
            parts.append(block(o.w, 0.06, o.h + headboard, o.accent, y=o.d / 2 + 0.03))
        return join(*parts)

    return build
