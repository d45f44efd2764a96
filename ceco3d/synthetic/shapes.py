"""Surfaces made of coloured quads: primitives, and how they combine into a shape.

Everything is metric. A shape stands on z = 0 with its footprint centred at the origin and its front towards -y.
A triangle is a quad with two equal corners. Quads wind counter-clockwise seen from outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Color = np.ndarray  # (3,) float, 0..255
Point = Sequence[float]

_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
_FACES = np.array([[0, 2, 6, 4], [1, 5, 7, 3], [0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6]])


@dataclass(frozen=True)
class Shape:
    """quads (M, 4, 3); colors (M, 3); boxes (B, 2, 3) low and high corner of every part, for collisions;
    tops (T, 2, 3) free space above every surface that can carry things."""

    quads: np.ndarray
    colors: np.ndarray
    boxes: np.ndarray
    tops: np.ndarray

    def move(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Shape:
        """The shape shifted."""
        by = np.array([x, y, z], float)
        return Shape(self.quads + by, self.colors, self.boxes + by, self.tops + by)

    def scale(self, x: float, y: float, z: float) -> Shape:
        """The shape stretched about the origin; factors are positive."""
        by = np.array([x, y, z], float)
        return Shape(self.quads * by, self.colors, self.boxes * by, self.tops * by)

    def turn(self, angle: float) -> Shape:
        """The shape turned about z by ``angle`` (radians); boxes become the bounds of the turned boxes."""
        return Shape(
            turn(self.quads, angle), self.colors, _turn_boxes(self.boxes, angle), _turn_boxes(self.tops, angle)
        )

    def tip(self) -> Shape:
        """The shape laid on its back: what pointed up points to +y, what faced front faces up."""
        swap, sign = [0, 2, 1], np.array([1.0, 1.0, -1.0])
        boxes = self.boxes[..., swap] * sign
        return Shape(self.quads[..., swap] * sign, self.colors, np.sort(boxes, axis=1), self.tops[:0])

    def solid(self) -> Shape:
        """The shape with its bounds as the only collision box."""
        return Shape(self.quads, self.colors, self.bounds[None], self.tops)

    def outline(self) -> Shape:
        """The shape without its surface: enough, and cheaper, to look for a free place."""
        return Shape(self.quads[:0], self.colors[:0], self.boxes, self.tops)

    @property
    def bounds(self) -> np.ndarray:
        """(2, 3) low and high corner of all parts."""
        return np.array([self.boxes[:, 0].min(0), self.boxes[:, 1].max(0)])

    @property
    def area(self) -> float:
        """Surface in square metres."""
        a, b, c, d = np.moveaxis(self.quads, 1, 0)
        return float(np.linalg.norm(np.cross(c - a, d - b), axis=1).sum() / 2)


def turn(points: np.ndarray, angle: float) -> np.ndarray:
    """(..., 3) points turned about z by ``angle`` radians. Written out: a matrix product would start BLAS threads."""
    c, s = math.cos(angle), math.sin(angle)
    turned = np.array(points, float)
    turned[..., 0] = c * points[..., 0] - s * points[..., 1]
    turned[..., 1] = s * points[..., 0] + c * points[..., 1]
    return turned


def _turn_boxes(boxes: np.ndarray, angle: float) -> np.ndarray:
    center = turn((boxes[:, 0] + boxes[:, 1]) / 2, angle)
    half = (boxes[:, 1] - boxes[:, 0]) / 2
    reach, c, s = half.copy(), abs(math.cos(angle)), abs(math.sin(angle))
    reach[:, 0] = c * half[:, 0] + s * half[:, 1]
    reach[:, 1] = s * half[:, 0] + c * half[:, 1]
    turned = np.empty_like(boxes)
    turned[:, 0], turned[:, 1] = center - reach, center + reach
    return turned


def _part(quads: np.ndarray, color: Color, tops: np.ndarray | None = None) -> Shape:
    quads = np.asarray(quads, float).reshape(-1, 4, 3)
    colors = np.broadcast_to(np.asarray(color, float), (len(quads), 3))
    box = np.stack([quads.min((0, 1)), quads.max((0, 1))])[None]
    return Shape(quads, colors, box, np.zeros((0, 2, 3)) if tops is None else tops)


def join(*shapes: Shape) -> Shape:
    """All shapes as one."""
    return Shape(*(np.concatenate([getattr(s, name) for s in shapes]) for name in ("quads", "colors", "boxes", "tops")))


def box(low: Point, high: Point, color: Color, top: float = 0.0) -> Shape:
    """An axis-aligned box; with ``top`` > 0 its upper side carries things up to that height."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    corners = low + _CORNERS * (high - low)
    space = np.array([[[low[0], low[1], high[2]], [high[0], high[1], high[2] + top]]]) if top else None
    return _part(corners[_FACES], color, space)


def block(w: float, d: float, h: float, color: Color, x: float = 0.0, y: float = 0.0, z: float = 0.0, top: float = 0.0):
    """A box by its size, its centre (x, y) and its underside z."""
    return box((x - w / 2, y - d / 2, z), (x + w / 2, y + d / 2, z + h), color, top)


def revolve(profile: Sequence[Point], color: Color, x: float = 0.0, y: float = 0.0, sides: int = 14) -> Shape:
    """A profile of (radius, z) turned about the vertical through (x, y). Ascending profiles face outwards."""
    r, z = np.asarray(profile, float).T
    angle = np.arange(sides + 1) * (2 * np.pi / sides)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (sides + 1, 2)
    points = np.empty((len(r), sides + 1, 3))
    points[..., :2] = r[:, None, None] * ring + np.array([x, y])
    points[..., 2] = z[:, None]
    return _part(_grid_quads(points), color)


def cylinder(r: float, z0: float, z1: float, color: Color, x: float = 0.0, y: float = 0.0, taper: float = 1.0) -> Shape:
    """A closed upright cylinder or cone; ``taper`` is the ratio of upper to lower radius."""
    return revolve([(0, z0), (r, z0), (r * taper, z1), (0, z1)], color, x, y, sides=12)


def ball(size: Point, color: Color, x: float = 0.0, y: float = 0.0, z: float = 0.0, square: float = 1.0) -> Shape:
    """An ellipsoid of full ``size``, underside at z; ``square`` < 1 swells it towards a box (superellipsoid)."""
    v = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
    u = np.linspace(0, 2 * np.pi, 17)[None]

    def bulge(t: np.ndarray) -> np.ndarray:
        return np.sign(t) * np.abs(t) ** square

    unit = np.stack(
        np.broadcast_arrays(bulge(np.cos(v)) * bulge(np.cos(u)), bulge(np.cos(v)) * bulge(np.sin(u)), bulge(np.sin(v))),
        axis=-1,
    )
    return _part(_grid_quads(unit * (np.asarray(size, float) / 2) + np.array([x, y, z + size[2] / 2])), color)


def rod(a: Point, b: Point, r: float, color: Color, sides: int = 6) -> Shape:
    """A straight round bar from a to b."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    along = (b - a) / np.linalg.norm(b - a)
    side = np.cross(along, [0.0, 0.0, 1.0] if abs(along[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    up = np.cross(along, side)
    angle = np.arange(sides + 1)[:, None] * (2 * np.pi / sides)
    ring = r * (np.cos(angle) * side + np.sin(angle) * up)
    rings = np.stack([np.broadcast_to(a, ring.shape), a + ring, b + ring, np.broadcast_to(b, ring.shape)])
    return _part(_grid_quads(rings), color)


def tube(path: Sequence[Point], r: float, color: Color) -> Shape:
    """Bars along a polyline."""
    return join(*(rod(a, b, r, color) for a, b in pairwise(path)))


def ring(radius: float, thick: float, color: Color, z: float = 0.0) -> Shape:
    """A torus lying at height z."""
    t = np.linspace(0, 2 * np.pi, 9)
    return revolve(np.stack([radius + thick * np.cos(t), z + thick * np.sin(t)], axis=-1), color, sides=20)


def sheet(points: np.ndarray, colors: Color) -> Shape:
    """A two-sided surface through an (n, m, 3) grid of points; one colour, or one for each of its cells."""
    quads = _grid_quads(np.asarray(points, float))
    colors = np.broadcast_to(np.asarray(colors, float).reshape(-1, 3), (len(quads), 3))
    return _part(np.concatenate([quads, quads[:, ::-1]]), np.concatenate([colors, colors]))


def prism(outline: Sequence[Point], y0: float, y1: float, color: Color) -> Shape:
    """A convex (x, z) outline, counter-clockwise seen from the front (-y), extruded from y0 to y1."""
    outline = np.asarray(outline, float)
    front, back = (np.insert(outline, 1, y, axis=1) for y in (y0, y1))
    sides = np.stack([np.roll(front, -1, 0), front, back, np.roll(back, -1, 0)], axis=1)
    fan = np.arange(1, len(outline) - 1)
    caps = [np.stack([p[np.zeros_like(fan)], p[fan], p[fan + 1], p[fan + 1]], axis=1) for p in (front, back)]
    return _part(np.concatenate([sides, caps[0], caps[1][:, ::-1]]), color)


def mosaic(w: float, h: float, y: float, z: float, colors: np.ndarray, x: float = 0.0) -> Shape:
    """A picture: an upright panel facing -y, split into cells; colors (rows, columns, 3), first row at the bottom."""
    rows, columns = colors.shape[:2]
    xs, zs = np.linspace(x - w / 2, x + w / 2, columns + 1), np.linspace(z, z + h, rows + 1)
    points = np.stack(np.broadcast_arrays(xs[None], np.float64(y), zs[:, None]), axis=-1)
    return _part(_grid_quads(points), colors.reshape(-1, 3))


def _grid_quads(points: np.ndarray) -> np.ndarray:
    """(n, m, 3) grid -> ((n-1)(m-1), 4, 3); faces along (second axis) x (first axis)."""
    return np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], axis=2).reshape(-1, 4, 3)
