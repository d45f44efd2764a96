"""Builders of boxes, vessels, appliances, poles, heaps, plants and other solid bodies; see ``builder``."""

from __future__ import annotations

import numpy as np

from ceco3d.synthetic.shapes.builder import DARK, Instance, ShapeBuilder
from ceco3d.synthetic.shapes.primitives import (
    Shape,
    ball,
    block,
    cylinder,
    join,
    mosaic,
    revolve,
    ring,
    rod,
    rotate_z,
    sheet,
    tube,
)


def plain_box(top: bool = False, lid: float = 0.0) -> ShapeBuilder:
    """A plain box; ``lid``: thickness of an overhanging cover in the accent color."""

    def build(o: Instance) -> Shape:
        body = block(o.w, o.d, o.h - lid, o.main, top=0.5 if top and not lid else 0.0)
        return join(body, block(o.w + 0.02, o.d + 0.02, lid, o.accent, z=o.h - lid, top=0.5)) if lid else body

    return build


def soft_body(square: float = 0.4) -> ShapeBuilder:
    """A bulging body: a pillow or a ball; ``square`` 0 is a box, 1 an ellipsoid."""
    return lambda o: ball((o.w, o.d, o.h), o.main, square=square)


def heap(pieces: int = 4) -> ShapeBuilder:
    """Several soft lumps in a pile."""

    def build(o: Instance) -> Shape:
        lumps = []
        for i in range(pieces):
            w, d, h = (np.array([o.w, o.d, o.h]) * o.rng.uniform(0.5, 0.8, 3)) if i else (o.w, o.d, 0.6 * o.h)
            x, y = o.rng.uniform(-0.2, 0.2, 2) * (o.w, o.d) if i else (0, 0)
            color = (o.main, o.accent)[i % 2] * o.rng.uniform(0.8, 1.1)
            lumps.append(ball((w, d, h), color, x, y, 0.0 if i == 0 else o.rng.uniform(0.1, 0.4) * o.h, square=0.5))
        return join(*lumps)

    return build


def vessel(*profile: tuple[float, float], open_: bool = True, rim: float = 0.0, square: bool = False) -> ShapeBuilder:
    """A round or ``square`` hollow body. profile: (radius, height) as shares of w/2 and h, from bottom to top."""

    def build(o: Instance) -> Shape:
        outer = [(0.0, 0.0), *profile]
        inner = [(0.88 * r, z) for r, z in reversed(profile)] + [(0.0, 0.06)] if open_ else [(0.0, profile[-1][1])]
        parts = [revolve([*outer, *inner], o.main, sides=4 if square else 14)]
        if rim:
            edge = [(1.0, 1.0), (1 + rim, 1.0), (1 + rim, 1 + rim), (1 - rim, 1 + rim)]
            parts.append(revolve(edge, o.accent, sides=4 if square else 14))
        body = join(*parts)
        if square:  # revolved with 4 sides, its half width is 1 / sqrt(2)
            quads = rotate_z(body.quads, np.pi / 4) * (2**0.5, 2**0.5, 1)
            body = Shape(quads, body.colors, np.array([[[-1, -1, 0], [1, 1, 1]]], float), body.supports)
        return body.scale(o.w / 2, o.d / 2, o.h).with_single_box()

    return build


def bottle(neck: float = 0.35, label: bool = True) -> ShapeBuilder:
    """A bottle with a cap; ``neck``: its radius as a share of the body's."""

    def build(o: Instance) -> Shape:
        r = o.w / 2
        body = revolve(
            [(0, 0), (r, 0), (r, 0.62 * o.h), (neck * r, 0.8 * o.h), (neck * r, 0.92 * o.h), (0, 0.92 * o.h)], o.main
        )
        parts = [body, cylinder(neck * r * 1.1, 0.9 * o.h, o.h, o.accent)]
        if label:
            parts.append(cylinder(1.03 * r, 0.2 * o.h, 0.5 * o.h, o.accent))
        return join(*parts).with_single_box()

    return build


def appliance(front: str = "door", knobs: int = 0, window: bool = False, top: bool = True) -> ShapeBuilder:
    """A machine in a case. front: door | round | split | slots | none; ``knobs``: how many along the upper edge."""

    def build(o: Instance) -> Shape:
        y = -o.d / 2
        parts = [block(o.w, o.d, o.h, o.main, top=0.5 if top else 0.0)]
        strip = 0.16 * o.h
        if front == "round":
            glass = cylinder(0.32 * o.w, 0, 0.03, o.accent).lay_back().move(0, y - 0.02, 0.45 * o.h)
            parts += [glass, cylinder(0.24 * o.w, 0, 0.04, DARK).lay_back().move(0, y - 0.03, 0.45 * o.h)]
        elif front == "door":
            parts.append(block(0.94 * o.w, 0.02, o.h - strip - 0.02, o.main * 0.95, y=y - 0.01, z=0.01))
            parts.append(block(0.7 * o.w, 0.03, 0.03, o.accent, y=y - 0.03, z=o.h - strip - 0.06))
        elif front == "split":
            split = o.rng.uniform(0.55, 0.68) * o.h
            for z, h in ((0.03, split - 0.05), (split, o.h - split - 0.02)):
                parts.append(block(0.98 * o.w, 0.04, h, o.main, y=y - 0.02, z=z))
                parts.append(block(0.03, 0.05, 0.4 * h, o.accent, -0.4 * o.w, y - 0.05, z + 0.3 * h))
        elif front == "slots":
            parts += [block(0.8 * o.w, 0.02, 0.02, o.accent, y=y - 0.01, z=z * o.h) for z in (0.3, 0.5, 0.7)]
        if window:
            parts.append(block(0.6 * o.w, 0.02, 0.5 * (o.h - strip), DARK, -0.05 * o.w, y - 0.02, 0.2 * o.h))
        xs = np.linspace(-0.35, 0.35, knobs) * o.w
        parts += [block(0.03, 0.03, 0.03, o.accent, x, y - 0.015, o.h - 0.6 * strip) for x in xs]
        return join(*parts)

    return build


def pole(base: str = "disc", shade: bool = False, hooks: int = 0, blades: int = 0) -> ShapeBuilder:
    """A post on a foot. base: disc | tripod | none; on top a lamp ``shade``, ``hooks`` or the ``blades`` of a fan."""

    def build(o: Instance) -> Shape:
        r, parts = o.w / 2, [cylinder(0.015, 0.0, o.h * 0.95, o.accent)]
        if base == "disc":
            parts.append(cylinder(0.6 * r, 0.0, 0.03, o.accent))
        elif base == "tripod":
            turns = np.arange(3) * 2.1
            parts += [rod((0, 0, 0.25 * o.h), (r * np.cos(t), r * np.sin(t), 0.01), 0.012, o.accent) for t in turns]
        if shade:
            height = min(0.35, 0.4 * o.h)
            parts.append(
                revolve([(r, o.h - height), (0.65 * r, o.h), (0.6 * r, o.h), (0.95 * r, o.h - height)], o.main)
            )
        turns = np.arange(hooks) * (2 * np.pi / max(hooks, 1))
        parts += [rod((0, 0, 0.85 * o.h), (r * np.cos(t), r * np.sin(t), 0.97 * o.h), 0.015, o.main) for t in turns]
        if blades:
            face = ring(r, 0.02, o.accent).lay_back().move(0, -0.05, o.h - r)
            turns = np.arange(blades) * (2 * np.pi / blades)
            hub = np.array([0, -0.05, o.h - r])
            parts += [face, *(rod(hub, hub + r * np.array([np.cos(t), 0, np.sin(t)]), 0.03, o.main) for t in turns)]
        return join(*parts)

    return build


def bent_tubes(*paths: tuple[tuple[float, float, float], ...], r: float = 0.018) -> ShapeBuilder:
    """Bent tubes of radius ``r`` meters along paths; points are shares of (w, d, h)."""
    return lambda o: join(*(tube(np.array(path) * (o.w, o.d, o.h), r, o.main) for path in paths))


def foliage(pot: float = 0.3, leaves: int = 26) -> ShapeBuilder:
    """Leaves around a stem; ``pot``: share of the height that is a pot (0: none)."""

    def build(o: Instance) -> Shape:
        parts = [revolve([(0, 0), (0.24 * o.w, 0), (0.34 * o.w, pot * o.h), (0, pot * o.h)], o.accent)] if pot else []
        low = pot * o.h
        parts.append(rod((0, 0, 0.9 * low), (0.02, 0.01, 0.8 * o.h), 0.015, np.array([95.0, 75, 45])))
        quads = []
        for t in o.rng.uniform(0, 2 * np.pi, leaves):
            z = o.rng.uniform(low + 0.15 * (o.h - low), 0.9 * o.h)
            reach, wide = o.rng.uniform(0.3, 0.5) * o.w, 0.12 * o.w
            out, side = np.array([np.cos(t), np.sin(t), 0]), np.array([-np.sin(t), np.cos(t), 0])
            tip = out * reach + (0, 0, z + o.rng.uniform(-0.1, 0.12) * o.h)
            root, middle = np.array([0, 0, z]), out * 0.5 * reach + (0, 0, z + 0.05 * o.h)
            quads.append(
                sheet(
                    np.array([[root, middle - wide * side], [middle + wide * side, tip]]),
                    o.main * o.rng.uniform(0.6, 1.2),
                )
            )
        blades = join(*quads)
        inside = np.clip(blades.quads, (-o.w / 2, -o.d / 2, low), (o.w / 2, o.d / 2, o.h))
        whole = join(*parts, Shape(inside, blades.colors, blades.boxes[:0], blades.supports))
        low, high = inside.min((0, 1)), inside.max((0, 1))
        return Shape(whole.quads, whole.colors, np.array([[[*low[:2], 0], high]]), whole.supports)

    return build


def piano(upright: bool = True) -> ShapeBuilder:
    """An upright piano, or a keyboard on crossed legs."""

    def build(o: Instance) -> Shape:
        keys = np.tile(np.array([[235.0, 235, 230], [60, 60, 60]]), (1, 14, 1)).reshape(2, 14, 3)
        z = 0.7 if upright else o.h - 0.1
        board = (
            mosaic(o.w * 0.9, 0.14, 0, -0.07, keys)
            .lay_back()
            .move(0, -o.d / 2 + 0.09, z + 0.02 if upright else o.h + 0.005)
        )
        if upright:
            return join(
                block(o.w, 0.55 * o.d, o.h, o.main, y=0.22 * o.d, top=0.6),
                block(o.w, o.d * 0.45, 0.12, o.main, y=-0.27 * o.d, z=z - 0.11),
                block(o.w * 0.9, 0.02, 0.6, o.main * 0.8, y=-0.05 * o.d),
                board,
                *(block(0.06, 0.06, z, o.main, s * (o.w / 2 - 0.04), -o.d / 2 + 0.05) for s in (-1, 1)),
            )
        legs = [rod((s * o.w * 0.3, 0, 0.02), (-s * o.w * 0.3, 0, z), 0.02, DARK) for s in (-1, 1)]
        return join(block(o.w, o.d, 0.1, o.main, z=z), board, *legs)

    return build


def stairs(steps: int = 5) -> ShapeBuilder:
    """Steps that rise toward the back."""

    def build(o: Instance) -> Shape:
        depth, rise = o.d / steps, o.h / steps
        return join(*(block(o.w, depth, (i + 1) * rise, o.main, y=-o.d / 2 + (i + 0.5) * depth) for i in range(steps)))

    return build
