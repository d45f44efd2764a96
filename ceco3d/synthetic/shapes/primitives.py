"""Shapes made of colored quads: primitives, and how to transform and join them.

Units are meters. A shape stands on z = 0, its footprint centered at the origin, its front toward -y. Corners of a quad
run counterclockwise seen from outside; a triangle is a quad with two equal corners.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Color = np.ndarray  # (3,) float, 0..255
Point = Sequence[float] | np.ndarray
Points = Sequence[Point] | np.ndarray

_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
_FACES = np.array([[0, 2, 6, 4], [1, 5, 7, 3], [0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6]])


@dataclass(frozen=True)
class Shape:
    """The surface of an object, and the boxes that the layout works with.

    quads     (M, 4, 3) corners, meters
    colors    (M, 3) 0..255
    boxes     (B, 2, 3) low and high corner of the bounding box of every part, for collision tests
    supports  (T, 2, 3) low and high corner of the free space above every surface that can carry objects
    """

    quads: np.ndarray
    colors: np.ndarray
    boxes: np.ndarray
    supports: np.ndarray

    def move(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Shape:
        """The shape, translated."""
        by = np.array([x, y, z], float)
        return Shape(self.quads + by, self.colors, self.boxes + by, self.supports + by)

    def scale(self, x: float, y: float, z: float) -> Shape:
        """The shape, scaled about the origin by positive factors."""
        by = np.array([x, y, z], float)
        return Shape(self.quads * by, self.colors, self.boxes * by, self.supports * by)

    def rotate_z(self, angle: float) -> Shape:
        """The shape, rotated about z by ``angle`` radians; boxes become the bounds of the rotated boxes."""
        return Shape(
            rotate_z(self.quads, angle),
            self.colors,
            _rotate_boxes(self.boxes, angle),
            _rotate_boxes(self.supports, angle),
        )

    def lay_back(self) -> Shape:
        """The shape, laid on its back: the top faces +y and the front faces up."""
        swap, sign = [0, 2, 1], np.array([1.0, 1.0, -1.0])
        boxes = self.boxes[..., swap] * sign
        return Shape(self.quads[..., swap] * sign, self.colors, np.sort(boxes, axis=1), self.supports[:0])

    def with_single_box(self) -> Shape:
        """The shape with its bounds as the only collision box."""
        return Shape(self.quads, self.colors, self.bounds[None], self.supports)

    def without_surface(self) -> Shape:
        """The boxes alone, which is all that a search for a free spot needs."""
        return Shape(self.quads[:0], self.colors[:0], self.boxes, self.supports)

    @property
    def bounds(self) -> np.ndarray:
        """(2, 3) low and high corner of the whole shape."""
        return np.array([self.boxes[:, 0].min(0), self.boxes[:, 1].max(0)])

    @property
    def area(self) -> float:
        """Surface in m2."""
        a, b, c, d = np.moveaxis(self.quads, 1, 0)
        return float(np.linalg.norm(np.cross(c - a, d - b), axis=1).sum() / 2)


def rotate_z(points: np.ndarray, angle: float) -> np.ndarray:
    """Rotate (..., 3) points about z by ``angle`` radians; written out, since a matrix product would start threads."""
    c, s = math.cos(angle), math.sin(angle)
    rotated = np.array(points, float)
    rotated[..., 0] = c * points[..., 0] - s * points[..., 1]
    rotated[..., 1] = s * points[..., 0] + c * points[..., 1]
    return rotated


def _rotate_boxes(boxes: np.ndarray, angle: float) -> np.ndarray:
    center = rotate_z((boxes[:, 0] + boxes[:, 1]) / 2, angle)
    half = (boxes[:, 1] - boxes[:, 0]) / 2
    reach, c, s = half.copy(), abs(math.cos(angle)), abs(math.sin(angle))
    reach[:, 0] = c * half[:, 0] + s * half[:, 1]
    reach[:, 1] = s * half[:, 0] + c * half[:, 1]
    rotated = np.empty_like(boxes)
    rotated[:, 0], rotated[:, 1] = center - reach, center + reach
    return rotated


def _part(quads: np.ndarray, color: Color, supports: np.ndarray | None = None) -> Shape:
    quads = np.asarray(quads, float).reshape(-1, 4, 3)
    colors = np.broadcast_to(np.asarray(color, float), (len(quads), 3))
    box = np.stack([quads.min((0, 1)), quads.max((0, 1))])[None]
    return Shape(quads, colors, box, np.zeros((0, 2, 3)) if supports is None else supports)


def join(*shapes: Shape) -> Shape:
    """All shapes as one."""
    return Shape(
        *(np.concatenate([getattr(s, name) for s in shapes]) for name in ("quads", "colors", "boxes", "supports"))
    )


def box(low: Point, high: Point, color: Color, top: float = 0.0) -> Shape:
    """An axis-aligned box; ``top``: free height above it, meters; above 0 it carries other objects."""
    first, last = np.asarray(low, float), np.asarray(high, float)
    corners = first + _CORNERS * (last - first)
    space = np.array([[[first[0], first[1], last[2]], [last[0], last[1], last[2] + top]]]) if top else None
    return _part(corners[_FACES], color, space)


def block(
    w: float, d: float, h: float, color: Color, x: float = 0.0, y: float = 0.0, z: float = 0.0, top: float = 0.0
) -> Shape:
    """A box by its size, its center (x, y) and its underside z; ``top`` as in ``box``."""
    return box((x - w / 2, y - d / 2, z), (x + w / 2, y + d / 2, z + h), color, top)


def revolve(profile: Points, color: Color, x: float = 0.0, y: float = 0.0, sides: int = 14) -> Shape:
    """A profile of (radius, z), revolved about the vertical through (x, y). Ascending profiles face outward."""
    r, z = np.asarray(profile, float).T
    angle = np.arange(sides + 1) * (2 * np.pi / sides)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (sides + 1, 2)
    points = np.empty((len(r), sides + 1, 3))
    points[..., :2] = r[:, None, None] * ring + np.array([x, y])
    points[..., 2] = z[:, None]
    return _part(_grid_quads(points), color)


def cylinder(r: float, z0: float, z1: float, color: Color, x: float = 0.0, y: float = 0.0, taper: float = 1.0) -> Shape:
    """A closed upright cylinder or cone; ``taper``: upper radius over lower radius."""
    return revolve([(0, z0), (r, z0), (r * taper, z1), (0, z1)], color, x, y, sides=12)


def ball(size: Point, color: Color, x: float = 0.0, y: float = 0.0, z: float = 0.0, square: float = 1.0) -> Shape:
    """A superellipsoid of full ``size``, underside at z; ``square`` 1 is an ellipsoid, 0 a box."""
    v = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
    u = np.linspace(0, 2 * np.pi, 17)[None]

    def bulge(t: np.ndarray) -> np.ndarray:
        bulged: np.ndarray = np.sign(t) * np.abs(t) ** square
        return bulged

    unit = np.stack(
        np.broadcast_arrays(bulge(np.cos(v)) * bulge(np.cos(u)), bulge(np.cos(v)) * bulge(np.sin(u)), bulge(np.sin(v))),
        axis=-1,
    )
    return _part(_grid_quads(unit * (np.asarray(size, float) / 2) + np.array([x, y, z + size[2] / 2])), color)


def rod(a: Point, b: Point, r: float, color: Color, sides: int = 6) -> Shape:
    """A straight round bar of radius ``r`` from ``a`` to ``b``."""
    start, end = np.asarray(a, float), np.asarray(b, float)
    along = (end - start) / np.linalg.norm(end - start)
    side = np.cross(along, [0.0, 0.0, 1.0] if abs(along[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    up = np.cross(along, side)
    angle = np.arange(sides + 1)[:, None] * (2 * np.pi / sides)
    ring = r * (np.cos(angle) * side + np.sin(angle) * up)
    rings = np.stack([np.broadcast_to(start, ring.shape), start + ring, end + ring, np.broadcast_to(end, ring.shape)])
    return _part(_grid_quads(rings), color)


def tube(path: Points, r: float, color: Color) -> Shape:
    """Round bars of radius ``r`` along a polyline."""
    return join(*(rod(a, b, r, color) for a, b in pairwise(path)))


def ring(radius: float, thick: float, color: Color, z: float = 0.0) -> Shape:
    """A torus lying at height z."""
    t = np.linspace(0, 2 * np.pi, 9)
    return revolve(np.stack([radius + thick * np.cos(t), z + thick * np.sin(t)], axis=-1), color, sides=20)


def sheet(points: np.ndarray, colors: Color) -> Shape:
    """A two-sided surface through an (n, m, 3) grid of points; one color, or one per cell."""
    quads = _grid_quads(np.asarray(points, float))
    colors = np.broadcast_to(np.asarray(colors, float).reshape(-1, 3), (len(quads), 3))
    return _part(np.concatenate([quads, quads[:, ::-1]]), np.concatenate([colors, colors]))


def mosaic(w: float, h: float, y: float, z: float, colors: np.ndarray, x: float = 0.0) -> Shape:
    """An upright panel facing -y with a grid of colors (rows, columns, 3), the first row at the bottom."""
    rows, columns = colors.shape[:2]
    xs, zs = np.linspace(x - w / 2, x + w / 2, columns + 1), np.linspace(z, z + h, rows + 1)
    points = np.stack(np.broadcast_arrays(xs[None], np.float64(y), zs[:, None]), axis=-1)
    return _part(_grid_quads(points), colors.reshape(-1, 3))


def _grid_quads(points: np.ndarray) -> np.ndarray:
    """(n, m, 3) grid of points to ((n-1)(m-1), 4, 3) quads that face along (second axis) x (first axis)."""
    return np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], axis=2).reshape(-1, 4, 3)
