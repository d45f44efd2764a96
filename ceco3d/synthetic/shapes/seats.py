"""Builders of chairs with curved backs, swivel chairs and cantilevers; see ``builder``."""

from __future__ import annotations

import numpy as np

from ceco3d.synthetic.shapes.builder import DARK, METAL, Instance, ShapeBuilder
from ceco3d.synthetic.shapes.furniture import four_legs
from ceco3d.synthetic.shapes.primitives import Color, Shape, ball, block, cylinder, join, rod, sheet, tube

FIVE = np.arange(5) * (2 * np.pi / 5)


def lean(shape: Shape, slope: float, z0: float) -> Shape:
    """The shape, sheared backward above ``z0`` by ``slope`` meters per meter."""
    quads, boxes = shape.quads.copy(), shape.boxes.copy()
    quads[..., 1] += slope * np.maximum(quads[..., 2] - z0, 0)
    boxes[..., 1, 1] += slope * np.maximum(boxes[..., 1, 2] - z0, 0)
    return Shape(quads, shape.colors, boxes, shape.supports)


def curved_back(w: float, h: float, bow: float, color: Color, y: float, z: float, round_: float = 0.0) -> Shape:
    """A back of width w and height h whose sides come forward by ``bow``; ``round_``: how much its upper edge bends."""
    u, v = np.linspace(-1, 1, 9)[None], np.linspace(0, 1, 5)[:, None]
    top = 1 - round_ * u**2
    x, forward, up = np.broadcast_arrays(u * w / 2, bow * u**2 * np.ones_like(v), v * h * top)
    front = sheet(np.stack([x, y - forward, z + up], -1), color)
    back = sheet(np.stack([x, y - forward + 0.035, z + up], -1), color)
    return join(front, back).with_single_box()


def swivel_chair(arms: bool = True, tall: bool = False) -> ShapeBuilder:
    """A seat on a gas spring and five castors, with a curved back on a bracket."""

    def build(o: Instance) -> Shape:
        seat, thick = o.rng.uniform(0.42, 0.52), o.rng.uniform(0.05, 0.1)
        reach, base = o.rng.uniform(0.26, 0.34), DARK if o.rng.random() < 0.7 else METAL
        turn = FIVE + o.rng.uniform(0, 1.2)
        parts = [ball((o.w * 0.92, o.d * 0.9, 2 * thick), o.main, y=-0.02, z=seat - 2 * thick, square=0.4)]
        parts.append(cylinder(0.035, 0.1, seat - thick, base))
        parts += [rod((0, 0, 0.12), (reach * np.cos(t), reach * np.sin(t), 0.07), 0.025, base) for t in turn]
        parts += [ball((0.055, 0.055, 0.06), DARK, reach * np.cos(t), reach * np.sin(t)) for t in turn]
        gap = o.rng.uniform(0.03, 0.16)
        high = (o.rng.uniform(0.6, 0.75) if tall else o.rng.uniform(0.36, 0.52)) * o.h / 0.9
        y = o.d / 2 - 0.06
        if o.rng.random() < 0.5:
            back = curved_back(
                o.w * 0.88, high, o.rng.uniform(0.02, 0.09), o.main, y, seat + gap, o.rng.uniform(0, 0.25)
            )
        else:
            back = ball((o.w * 0.86, 0.1, high), o.main, y=y, z=seat + gap, square=0.4)
        parts.append(back)
        parts.append(block(0.07, 0.03, gap + 0.2, base, y=y + 0.04, z=seat - 0.08))
        if arms:
            parts += _arms(o, seat, base)
        return lean(join(*parts), o.rng.uniform(0.05, 0.3), seat)

    return build


def _arms(o: Instance, seat: float, color: Color) -> list[Shape]:
    """Arm rests on one post each, or as loops."""
    height, depth = seat + o.rng.uniform(0.17, 0.25), 0.26
    x = o.w / 2 - 0.01
    if o.rng.random() < 0.5:
        pads = [block(0.06, depth, 0.035, DARK, s * x, -0.02, height) for s in (-1, 1)]
        return pads + [block(0.035, 0.05, height - seat + 0.06, color, s * x, 0, seat - 0.05) for s in (-1, 1)]
    front, back = -depth / 2, depth / 2
    loops = [
        ((s * x, front, seat - 0.04), (s * x, front, height), (s * x, back, height), (s * x, back, seat))
        for s in (-1, 1)
    ]
    return [tube(loop, 0.022, color) for loop in loops]


def shell_chair(legs: str = "four") -> ShapeBuilder:
    """A molded shell on four legs or a sled: seat and back of one thin curved piece."""

    def build(o: Instance) -> Shape:
        seat = o.rng.uniform(0.42, 0.48)
        u, v = np.linspace(-1, 1, 7)[None], np.linspace(0, 1, 5)[:, None]
        x, y, dip = np.broadcast_arrays(u * o.w * 0.46, (v - 0.5) * o.d * 0.9, -0.03 * (1 - u**2) * np.ones_like(v))
        pan = sheet(np.stack([x, y, seat + dip], -1), o.main).with_single_box()
        gap = o.rng.choice([0.0, 0.12])
        back = curved_back(
            o.w * 0.88, o.h - seat - gap, 0.05, o.main, o.d / 2 - 0.06, seat + gap, o.rng.uniform(0, 0.2)
        )
        posts = [block(0.025, 0.025, gap + 0.1, o.accent, s * o.w * 0.36, o.d / 2 - 0.04, seat - 0.02) for s in (-1, 1)]
        return lean(join(pan, back, *posts, _frame(o, seat - 0.03, legs)), o.rng.uniform(0.05, 0.25), seat)

    return build


def _frame(o: Instance, h: float, legs: str) -> Shape:
    if legs == "four":
        return four_legs(o, h, o.rng.uniform(0.025, 0.045), o.accent)
    x, y = o.w / 2 - 0.02, o.d / 2 - 0.03
    return join(
        *(
            tube(((s * x, -y, h), (s * x, -y, 0.015), (s * x, y, 0.015), (s * x, y, h)), 0.014, o.accent)
            for s in (-1, 1)
        )
    )


def cantilever_chair() -> ShapeBuilder:
    """A padded seat and back on a bent tube without rear legs."""

    def build(o: Instance) -> Shape:
        seat, x, y = 0.46, o.w / 2 - 0.02, o.d / 2 - 0.03
        parts = [ball((o.w * 0.9, o.d * 0.85, 0.1), o.main, z=seat - 0.06, square=0.35)]
        parts.append(ball((o.w * 0.88, 0.07, o.h - seat - 0.12), o.main, y=y, z=seat + 0.12, square=0.35))
        for s in (-1, 1):
            path = ((s * x, y, 0.02), (s * x, -y, 0.02), (s * x, -y, seat), (s * x, y, seat), (s * x, y, o.h - 0.1))
            parts.append(tube(path, 0.015, METAL))
            if o.accent.sum() % 2 < 1:
                arm = ((s * x, -y, seat), (s * x, -y, seat + 0.2), (s * x, y, seat + 0.2))
                parts.append(tube(arm, 0.018, DARK))
        return lean(join(*parts), o.rng.uniform(0.05, 0.25), seat)

    return build
