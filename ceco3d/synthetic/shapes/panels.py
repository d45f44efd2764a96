"""Builders of flat objects: pictures, screens, doors, windows, slats, cloth and partitions; see ``builder``."""

from __future__ import annotations

import numpy as np

from ceco3d.synthetic.shapes.builder import DARK, METAL, Instance, ShapeBuilder
from ceco3d.synthetic.shapes.primitives import (
    Shape,
    ball,
    block,
    join,
    mosaic,
    sheet,
)


def panel(content: tuple[int, int] = (1, 1), frame: float = 0.03, spread: float = 0.0) -> ShapeBuilder:
    """An upright panel facing -y: ``content`` rows x columns of patches in shades of the accent color, in a frame.

    frame   width in meters
    spread  standard deviation of the patches' colors
    """

    def build(o: Instance) -> Shape:
        patches = np.clip(o.accent + o.rng.normal(0, spread, (*content, 3)), 5, 250)
        front, back = (
            mosaic(o.w - 2 * frame, o.h - 2 * frame, 0, frame, patches).move(y=-o.d / 2),
            block(o.w, 0.001, o.h, o.main, y=o.d / 2),
        )
        if not frame:
            return join(front, back).with_single_box()
        bars = [block(frame, o.d, o.h, o.main, s * (o.w - frame) / 2) for s in (-1, 1)]
        bars += [block(o.w, o.d, frame, o.main, z=z) for z in (0, o.h - frame)]
        return join(front, back, *bars).with_single_box()

    return build


def flat_panel(content: tuple[int, int] = (1, 1), spread: float = 0.0) -> ShapeBuilder:
    """A panel that lies flat, with patches in shades of the accent color."""

    def build(o: Instance) -> Shape:
        patches = np.clip(o.accent + o.rng.normal(0, spread, (*content, 3)), 5, 250)
        face = mosaic(o.w, o.d, 0, -o.d / 2, patches).lay_back().move(z=o.h)
        return join(face, *(block(o.w, 0.005, o.h, o.main, y=s * o.d / 2) for s in (-1, 1))).with_single_box()

    return build


def slats(count: int = 12, vertical: bool = False, thick: float = 0.01) -> ShapeBuilder:
    """Parallel bars in front of a back plate of thickness ``thick``: blinds, vents, radiators, racks."""

    def build(o: Instance) -> Shape:
        at = (np.arange(count) + 0.5) / count
        if vertical:
            width = 0.7 * o.w / count
            bars = [block(width, o.d, o.h, o.main * (0.9 + 0.1 * (i % 2)), (t - 0.5) * o.w) for i, t in enumerate(at)]
        else:
            height = 0.7 * o.h / count
            bars = [
                block(o.w, o.d, height, o.main * (0.88 + 0.12 * (i % 2)), z=t * o.h - height / 2)
                for i, t in enumerate(at)
            ]
        return join(*bars, block(o.w, thick, o.h, o.accent, y=o.d / 2 - thick / 2)).with_single_box()

    return build


def wall_opening(leaf: float = 0.0, muntins: tuple[int, int] = (0, 0), knob: bool = False) -> ShapeBuilder:
    """A frame around an opening: ``leaf``: thickness of a door; ``muntins``: columns x rows of window panes."""

    def build(o: Instance) -> Shape:
        t = 0.07
        parts = [block(t, o.d, o.h, o.accent, s * (o.w - t) / 2) for s in (-1, 1)]
        parts.append(block(o.w, o.d, t, o.accent, z=o.h - t))
        if muntins != (0, 0):
            columns, rows = muntins
            parts.append(block(o.w, o.d, t, o.accent))
            parts.append(
                mosaic(o.w - 2 * t, o.h - 2 * t, 0.3 * o.d, t, np.maximum(o.main + o.rng.normal(0, 14, (4, 4, 3)), 0))
            )
            xs = np.linspace(-o.w / 2, o.w / 2, columns + 1)[1:-1]
            zs = np.linspace(0, o.h, rows + 1)[1:-1]
            parts += [block(0.04, 0.04, o.h - t, o.accent, x) for x in xs]
            parts += [block(o.w - t, 0.04, 0.04, o.accent, z=z) for z in zs]
        if leaf:
            parts.append(block(o.w - 2 * t, leaf, o.h - t, o.main))
            inset = o.main * 0.92
            parts += [block(0.6 * o.w, 0.01, 0.32 * o.h, inset, y=-leaf / 2 - 0.005, z=z * o.h) for z in (0.1, 0.54)]
        if knob:
            parts.append(ball((0.07, 0.09, 0.07), METAL, 0.36 * o.w, -leaf / 2 - 0.04, 0.95))
        return join(*parts)

    return build


def door_leaf(glass: bool = False, panels: bool = False) -> ShapeBuilder:
    """A door flush with its wall: leaf, narrow frame, handle and perhaps a pane of glass or ``panels``."""

    def build(o: Instance) -> Shape:
        t, thick = 0.05, 0.5 * o.d
        parts = [block(o.w - 2 * t, thick, o.h - t, o.main, y=o.d / 2 - thick / 2)]
        parts += [block(t, o.d, o.h, o.accent, s * (o.w - t) / 2) for s in (-1, 1)]
        parts.append(block(o.w, o.d, t, o.accent, z=o.h - t))
        front = o.d / 2 - thick
        side = o.rng.choice([-1.0, 1.0]) * (o.w / 2 - t - 0.07)
        parts.append(block(0.11, 0.05, 0.025, METAL, side * 0.9, front - 0.03, 1.0))
        if glass:
            pane = DARK + o.rng.uniform(0, 160, 3)
            w, h = o.rng.uniform(0.12, 0.6) * o.w, o.rng.uniform(0.3, 0.6) * o.h
            parts.append(block(w, 0.01, h, pane, -0.15 * side, front - 0.005, 0.9 * o.h - h))
        if panels:
            shade = o.main * 0.93
            parts += [block(0.6 * o.w, 0.015, 0.32 * o.h, shade, y=front - 0.007, z=z * o.h) for z in (0.1, 0.54)]
        return join(*parts)

    return build


def screen(stand: bool = True, keys: bool = False) -> ShapeBuilder:
    """A flat display; ``keys`` adds the keyboard of a laptop."""

    def build(o: Instance) -> Shape:
        z = 0.25 * o.h if stand else 0.02 if keys else 0.0
        y = o.d / 2 - 0.03
        glow = o.accent * o.rng.uniform(0.2, 1.0) if o.rng.random() < 0.4 else DARK * 0.6
        parts = [block(o.w, 0.03, o.h - z, o.main, y=y, z=z)]
        parts.append(block(0.94 * o.w, 0.01, 0.9 * (o.h - z), glow, y=y - 0.02, z=z + 0.05 * (o.h - z)))
        if stand:
            parts += [block(0.06, 0.04, z + 0.05, o.main, y=y), block(0.4 * o.w, o.d, 0.02, o.main)]
        if keys:
            parts.append(block(o.w, o.d, 0.02, o.main))
            parts.append(block(0.85 * o.w, 0.45 * o.d, 0.005, DARK, y=0.1 * o.d, z=0.02))
        return join(*parts)

    return build


def hanging_cloth(folds: int = 5, depth: float = 0.04) -> ShapeBuilder:
    """Cloth that hangs in vertical folds."""

    def build(o: Instance) -> Shape:
        u = np.linspace(-0.5, 0.5, 8 * folds + 1)
        v = np.linspace(0, 1, 9)[:, None]
        wave = np.sin(2 * np.pi * folds * u + o.rng.uniform(0, 6)) * (0.4 + 0.6 * (1 - v)) * depth
        x, z = np.broadcast_arrays(u[None] * o.w, v * o.h)
        stripes = o.main + (o.accent - o.main) * (np.sin(2 * np.pi * folds * u[:-1] + 1)[None, :, None] > 0.8)
        return sheet(
            np.stack([x, wave, z], -1), np.broadcast_to(stripes, (8, 8 * folds, 3)).reshape(-1, 3)
        ).with_single_box()

    return build


def stall(sides: int = 2, front: bool = False) -> ShapeBuilder:
    """An open booth with thin walls."""

    def build(o: Instance) -> Shape:
        parts = [block(0.03, o.d, o.h - 0.15, o.main, s * (o.w / 2 - 0.015), z=0.15) for s in (-1, 1)[:sides]]
        parts += [block(0.05, 0.05, 0.15, o.accent, s * (o.w / 2 - 0.025), -o.d / 2 + 0.03) for s in (-1, 1)[:sides]]
        if front:
            parts.append(block(o.w * 0.3, 0.03, o.h - 0.15, o.main, -0.35 * o.w, -o.d / 2 + 0.015, 0.15))
        parts.append(block(o.w, 0.03, 0.06, o.accent, y=-o.d / 2 + 0.015, z=o.h - 0.06))
        return join(*parts)

    return build
