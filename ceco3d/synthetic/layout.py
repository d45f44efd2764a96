"""A room and the placement of its objects.

The room's frame: walls along x and y, floor at z = 0, center of the floor at the origin; meters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.synthetic.catalog.object_class import Placement, PlacementKind
from ceco3d.synthetic.catalog.palettes import pick_color
from ceco3d.synthetic.shapes.primitives import Shape, block, mosaic
from ceco3d.synthetic.style import PLAIN, Style

TRIES = 45  # proposals per object
CLEARANCE = 1.3  # floor area of a room over the footprint of its objects
ATTEMPTS = 5  # rooms of growing size
QUARTER = np.pi / 2
STANDING: tuple[PlacementKind, ...] = ("floor", "against_wall", "facing")  # kinds that take up floor
# Hosts and objects that are tied to a wall come before those that can go anywhere.
PLACEMENT_ORDER: dict[PlacementKind, int] = {
    "on_wall": 0,
    "attached": 1,
    "against_wall": 2,
    "floor": 3,
    "facing": 4,
    "ceiling": 5,
    "on_top": 6,
}


@dataclass(frozen=True)
class Pose:
    """A rotation about z by ``angle`` radians, followed by a translation in meters."""

    angle: float
    x: float
    y: float
    z: float = 0.0

    def apply(self, shape: Shape) -> Shape:
        """The shape in this pose."""
        return shape.rotate_z(self.angle).move(self.x, self.y, self.z)


@dataclass(frozen=True)
class PlacedObject:
    """An object in the room: its class, its shape in the room's frame and its rotation about z."""

    name: str
    shape: Shape
    angle: float = 0.0

    @property
    def side(self) -> int:
        """The wall 0..3 behind the object: 0 is the wall at high y, the others follow counterclockwise."""
        return round(self.angle / QUARTER) % 4


class Room:
    """A rectangular room of ``size`` (w, d, h) with its ``objects``; where two overlap, the later one covers the other.

    ``boxes`` (B, 2, 3) are the collision boxes of all objects but floor, walls and ceiling.
    """

    def __init__(
        self, size: tuple[float, float, float], ceiling: bool, rng: np.random.Generator, style: Style = PLAIN
    ) -> None:
        self.size, self.rng, self.catalog = np.array(size), rng, style.catalog
        self.objects = build_shell(*size, ceiling, rng, style)
        self.boxes = np.zeros((0, 2, 3))

    def add(self, name: str, force: bool = False) -> bool:
        """Place one more object of the class; False if no free spot was found.

        An object whose hosts are missing or full goes on the floor. ``force``: allow collisions as a last resort.
        """
        shape, placement = self.catalog[name].build(self.rng), self.catalog[name].placement
        outline = shape.without_surface()
        hosts = [item for item in self.objects if item.name in placement.hosts]
        if placement.kind == "attached":  # the first blinds go to the first window, and so on
            hosts = hosts[int(self.is_class(name).sum()) :]
            if not hosts:
                height = 0.0 if placement.position == "around" else 0.9
                placement = Placement("on_wall", z=(height, height))
        kinds = [placement.kind if hosts or not placement.hosts else "floor"] * TRIES
        if placement.kind in ("on_top", "facing"):
            kinds += ["floor"] * (TRIES // 2)
        for kind in kinds:
            pose = self._propose(kind, outline, placement, hosts)
            if pose and (kind == "attached" or self._is_free(pose.apply(outline))):
                self._put(name, shape, pose)
                return True
        if force:
            self._put(name, shape, self._on_floor(outline))
        return force

    def is_class(self, *names: str) -> np.ndarray:
        """(objects,) bool: which of the objects are of one of these classes."""
        return np.isin([item.name for item in self.objects], names)

    def _put(self, name: str, shape: Shape, pose: Pose) -> None:
        shape = pose.apply(shape)
        self.objects.append(PlacedObject(name, shape, pose.angle))
        self.boxes = np.concatenate([self.boxes, shape.boxes])

    def _is_free(self, shape: Shape) -> bool:
        """Whether the shape is inside the room and collides with no object."""
        low, high = shape.bounds
        half = self.size[:2] / 2 + 0.01
        if (high[:2] > half).any() or (low[:2] < -half).any() or high[2] > self.size[2] + 0.01:
            return False
        a, b = shape.boxes[:, None], self.boxes
        return not (np.minimum(a[:, :, 1], b[:, 1]) - np.maximum(a[:, :, 0], b[:, 0]) > 0.004).all(-1).any()

    def _propose(
        self, kind: PlacementKind, shape: Shape, placement: Placement, hosts: list[PlacedObject]
    ) -> Pose | None:
        """A random pose of this kind, collisions not yet checked; None where the object does not fit."""
        if kind == "on_wall":
            return self._on_wall(shape, placement.z)
        if kind == "against_wall":
            return self._on_wall(shape, (0.0, 0.0), gap=self.rng.uniform(0.0, 0.05))
        if kind == "floor":
            return self._on_floor(shape)
        if kind == "ceiling":
            return self._on_ceiling(shape)
        if kind == "facing":
            return self._facing(shape, hosts[self.rng.integers(len(hosts))])
        if kind == "on_top":
            return self._on_top(shape, hosts[self.rng.integers(len(hosts))])
        return self._attached(shape, placement, hosts[0])

    def _against(self, shape: Shape, side: int, along: float, gap: float, z: float) -> Pose:
        """Back toward the wall ``side``, ``along`` it from its middle, ``gap`` away from it."""
        depth = self.size[1 - side % 2] / 2 - shape.bounds[1, 1] - gap
        c, s = np.cos(side * QUARTER), np.sin(side * QUARTER)
        return Pose(side * QUARTER, c * along - s * depth, s * along + c * depth, z)

    def _on_wall(self, shape: Shape, heights: tuple[float, float], gap: float = 0.0) -> Pose:
        side = int(self.rng.integers(4))
        reach = max(self.size[side % 2] / 2 - shape.bounds[1, 0], 0.0)
        z = min(self.rng.uniform(*heights), self.size[2] - shape.bounds[1, 2] - 0.02)
        return self._against(shape, side, self.rng.uniform(-reach, reach), gap, max(z, 0.0))

    def _on_floor(self, shape: Shape) -> Pose:
        angle = self.rng.integers(4) * QUARTER + self.rng.normal(0, 0.12)
        reach = np.maximum(self.size[:2] / 2 - shape.rotate_z(angle).bounds[1, :2] - 0.02, 0.0)
        return Pose(angle, *self.rng.uniform(-reach, reach))

    def _on_ceiling(self, shape: Shape) -> Pose:
        pose = self._on_floor(shape)
        return Pose(pose.angle, pose.x, pose.y, self.size[2] - shape.bounds[1, 2])

    def _facing(self, shape: Shape, host: PlacedObject) -> Pose:
        """Facing one side of a table, or the front of a desk; it may reach under the board."""
        low, high = host.shape.bounds
        free = self.catalog[host.name].placement.kind == "floor"
        side = int(self.rng.integers(4)) if free else host.side + 2
        half = (high - low)[:2] / 2
        out = half[1 - side % 2] + shape.bounds[1, 1] + self.rng.uniform(-0.25, 0.3)
        along = self.rng.uniform(-0.7, 0.7) * half[side % 2]
        c, s = np.cos(side * QUARTER), np.sin(side * QUARTER)
        x, y = (low + high)[:2] / 2
        return Pose(side * QUARTER + self.rng.normal(0, 0.2), x + c * along - s * out, y + s * along + c * out)

    def _on_top(self, shape: Shape, host: PlacedObject) -> Pose | None:
        if not len(host.shape.supports):
            return None
        low, high = host.shape.supports[self.rng.integers(len(host.shape.supports))]
        angle = host.angle + self.rng.normal(0, 0.15)
        bounds = shape.rotate_z(angle).bounds
        reach = (high - low)[:2] / 2 - bounds[1, :2]
        if bounds[1, 2] > high[2] - low[2] or (reach < -0.06).any():
            return None
        x, y = (low + high)[:2] / 2 + self.rng.uniform(-1, 1, 2) * np.maximum(reach, 0.0)
        return Pose(angle, x, y, low[2])

    def _attached(self, shape: Shape, placement: Placement, host: PlacedObject) -> Pose:
        """On the wall of its host and centered on it."""
        low, high = host.shape.rotate_z(-host.angle).bounds
        below, in_front = placement.position == "below", placement.position == "in_front"
        z = max(low[2] - shape.bounds[1, 2], 0.0) if below else low[2]
        return self._against(shape, host.side, (low + high)[0] / 2, (high - low)[1] if in_front else 0.0, z)


def build_shell(
    w: float, d: float, h: float, ceiling: bool, rng: np.random.Generator, style: Style = PLAIN
) -> list[PlacedObject]:
    """Floor, four walls and possibly part of a ceiling, facing inward."""
    tiles = int(rng.choice([1, 6, 14]))
    ground = pick_color(style.ground, rng) + rng.normal(
        0, 6 if tiles > 1 else 0, (tiles, int(rng.choice([1, tiles])), 3)
    )
    items = [PlacedObject("floor", mosaic(w, d, 0, -d / 2, np.clip(ground, 5, 250)).lay_back())]
    paint = pick_color(style.paint, rng)
    for side in range(4):
        length, depth = (w, d) if side % 2 == 0 else (d, w)
        color = np.clip(paint + rng.normal(0, 4, 3), 5, 250)
        wall = mosaic(length, h, depth / 2, 0, np.broadcast_to(color, (16, 1, 3)))
        items.append(PlacedObject("wall", wall.rotate_z(side * QUARTER), side * QUARTER))
    if ceiling:
        # Scans rarely show more than a part of it.
        size = np.array([w, d]) * rng.uniform(*style.ceiling_share, 2)
        x, y = rng.uniform(-1, 1, 2) * (np.array([w, d]) - size) / 2
        slab = block(size[0], size[1], 0.01, pick_color("ceiling", rng), x, y, h)
        items.append(PlacedObject("ceiling", slab))
    return items


def furnish_room(names: list[str], floor_area: float, rng: np.random.Generator, style: Style = PLAIN) -> Room:
    """A room with one object for every class name in ``names``; ``floor_area`` (m2) grows if they need more."""
    order = sorted(
        names,
        key=lambda name: (PLACEMENT_ORDER[style.catalog[name].placement.kind], -np.prod(style.catalog[name].size[:2])),
    )
    standing = [style.catalog[name].size for name in names if style.catalog[name].placement.kind in STANDING]
    floor_area = max(floor_area, 1.5 + CLEARANCE * sum(w * d for w, d, _ in standing))
    aspect, height, ceiling = rng.uniform(0.7, 1.4), rng.uniform(*style.height), rng.random() < style.ceiling
    for attempt in range(ATTEMPTS):
        size = (np.sqrt(floor_area * aspect), np.sqrt(floor_area / aspect), height)
        room = Room(size, ceiling, rng, style)
        if all(room.add(name, force=attempt == ATTEMPTS - 1) for name in order):
            break
        floor_area *= 1.2
    return room
