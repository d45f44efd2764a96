"""A room in its own frame: walls along x and y, floor at z = 0, centre of the floor at the origin; metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.synthetic.catalog import CATALOG
from ceco3d.synthetic.shapes import Shape, block, mosaic
from ceco3d.synthetic.thing import Place, pick

TRIES = 45  # proposals before a spot counts as not to be had
CLEARANCE = 1.3  # floor area of a room over the footprint of what stands in it
_ORDER = {"wall": 0, "around": 1, "back": 2, "floor": 3, "seat": 4, "ceiling": 5, "top": 6}
QUARTER = np.pi / 2


@dataclass(frozen=True)
class Pose:
    """Turned about z by ``angle``, then shifted."""

    angle: float
    x: float
    y: float
    z: float = 0.0

    def apply(self, shape: Shape) -> Shape:
        """The shape in this pose."""
        return shape.turn(self.angle).move(self.x, self.y, self.z)


@dataclass(frozen=True)
class Placed:
    """An object of a class standing in the room."""

    name: str
    shape: Shape
    angle: float = 0.0

    @property
    def side(self) -> int:
        """The wall 0..3 it turns its back to; 0 is that at high y, counter-clockwise."""
        return round(self.angle / QUARTER) % 4


class Room:
    """A rectangular room that is being furnished: ``size`` (w, d, h) and the objects ``placed``, in the order in
    which they cover each other."""

    def __init__(self, size: tuple[float, float, float], ceiling: bool, rng: np.random.Generator):
        self.size, self.rng = np.array(size), rng
        self.placed = shell(*size, ceiling, rng)
        self.boxes = np.zeros((0, 2, 3))

    def add(self, name: str, force: bool = False) -> bool:
        """Put one more object of the class where such things stand; False if there was no free spot.

        Where its support is missing or full it stands on the floor. ``force``: touch others if need be.
        """
        shape, place = CATALOG[name].draw(self.rng), CATALOG[name].place
        outline = shape.outline()
        hosts = [item for item in self.placed if item.name in place.on]
        if place.kind == "around":  # the first blinds go to the first window, and so on
            hosts = hosts[int(self.named(name).sum()) :]
            place = place if hosts else Place("wall", z=(0.9, 0.9) if place.z[0] else (0.0, 0.0))
        kinds = [place.kind if hosts or not place.on else "floor"] * TRIES
        if place.kind in ("top", "seat"):
            kinds += ["floor"] * (TRIES // 2)
        for kind in kinds:
            pose = getattr(self, f"_{kind}")(outline, place, hosts)
            if pose and (kind == "around" or self._is_free(pose.apply(outline))):
                return self._put(name, shape, pose)
        return force and self._put(name, shape, self._floor(outline, place, hosts))

    def named(self, *names: str) -> np.ndarray:
        """(objects,) bool: which of the placed objects are of one of these classes."""
        return np.isin([item.name for item in self.placed], names)

    def _put(self, name: str, shape: Shape, pose: Pose) -> bool:
        shape = pose.apply(shape)
        self.placed.append(Placed(name, shape, pose.angle))
        self.boxes = np.concatenate([self.boxes, shape.boxes])
        return True

    def _is_free(self, shape: Shape) -> bool:
        low, high = shape.bounds
        half = self.size[:2] / 2 + 0.01
        if (high[:2] > half).any() or (low[:2] < -half).any() or high[2] > self.size[2] + 0.01:
            return False
        a, b = shape.boxes[:, None], self.boxes
        return not (np.minimum(a[:, :, 1], b[:, 1]) - np.maximum(a[:, :, 0], b[:, 0]) > 0.004).all(-1).any()

    # One method for each kind of place; each proposes a pose, or None when the object cannot fit there.

    def _against(self, shape: Shape, side: int, along: float, gap: float, z: float) -> Pose:
        """Back to the wall ``side``, ``along`` it from its middle, ``gap`` away from it."""
        depth = self.size[1 - side % 2] / 2 - shape.bounds[1, 1] - gap
        c, s = np.cos(side * QUARTER), np.sin(side * QUARTER)
        return Pose(side * QUARTER, c * along - s * depth, s * along + c * depth, z)

    def _wall(self, shape: Shape, place: Place, hosts: list[Placed], gap: float = 0.0) -> Pose:
        side = int(self.rng.integers(4))
        reach = max(self.size[side % 2] / 2 - shape.bounds[1, 0], 0.0)
        z = min(self.rng.uniform(*place.z), self.size[2] - shape.bounds[1, 2] - 0.02)
        return self._against(shape, side, self.rng.uniform(-reach, reach), gap, max(z, 0.0))

    def _back(self, shape: Shape, place: Place, hosts: list[Placed]) -> Pose:
        return self._wall(shape, Place("wall"), hosts, gap=self.rng.uniform(0.0, 0.05))

    def _floor(self, shape: Shape, place: Place, hosts: list[Placed]) -> Pose:
        angle = self.rng.integers(4) * QUARTER + self.rng.normal(0, 0.12)
        reach = np.maximum(self.size[:2] / 2 - shape.turn(angle).bounds[1, :2] - 0.02, 0.0)
        return Pose(angle, *self.rng.uniform(-reach, reach))

    def _ceiling(self, shape: Shape, place: Place, hosts: list[Placed]) -> Pose:
        pose = self._floor(shape, place, hosts)
        return Pose(pose.angle, pose.x, pose.y, self.size[2] - shape.bounds[1, 2])

    def _seat(self, shape: Shape, place: Place, hosts: list[Placed]) -> Pose:
        """Facing one side of a table, or the front of a desk; it may reach under the board."""
        host = hosts[self.rng.integers(len(hosts))]
        low, high = host.shape.bounds
        free = CATALOG[host.name].place.kind == "floor"
        side = int(self.rng.integers(4)) if free else host.side + 2
        half = (high - low)[:2] / 2
        out = half[1 - side % 2] + shape.bounds[1, 1] + self.rng.uniform(-0.25, 0.3)
        along = self.rng.uniform(-0.7, 0.7) * half[side % 2]
        c, s = np.cos(side * QUARTER), np.sin(side * QUARTER)
        x, y = (low + high)[:2] / 2
        return Pose(side * QUARTER + self.rng.normal(0, 0.2), x + c * along - s * out, y + s * along + c * out)

    def _top(self, shape: Shape, place: Place, hosts: list[Placed]) -> Pose | None:
        host = hosts[self.rng.integers(len(hosts))]
        if not len(host.shape.tops):
            return None
        low, high = host.shape.tops[self.rng.integers(len(host.shape.tops))]
        angle = host.angle + self.rng.normal(0, 0.15)
        bounds = shape.turn(angle).bounds
        reach = (high - low)[:2] / 2 - bounds[1, :2]
        if bounds[1, 2] > high[2] - low[2] or (reach < -0.06).any():
            return None
        x, y = (low + high)[:2] / 2 + self.rng.uniform(-1, 1, 2) * np.maximum(reach, 0.0)
        return Pose(angle, x, y, low[2])

    def _around(self, shape: Shape, place: Place, hosts: list[Placed]) -> Pose:
        """On the wall of its host and centred on it: in front, or below when ``place.z`` is negative."""
        host = hosts[0]
        low, high = host.shape.turn(-host.angle).bounds
        below, front = place.z[0] < 0, place.z[0] > 0
        z = max(low[2] - shape.bounds[1, 2], 0.0) if below else low[2]
        return self._against(shape, host.side, (low + high)[0] / 2, (high - low)[1] if front else 0.0, z)


def shell(w: float, d: float, h: float, ceiling: bool, rng: np.random.Generator) -> list[Placed]:
    """Floor, four walls and perhaps a ceiling, facing inwards."""
    tiles = int(rng.choice([1, 6, 14]))
    ground = pick("ground", rng) + rng.normal(0, 6 if tiles > 1 else 0, (tiles, int(rng.choice([1, tiles])), 3))
    items = [Placed("floor", mosaic(w, d, 0, -d / 2, np.clip(ground, 5, 250)).tip())]
    paint = pick("wallpaint", rng)
    for side in range(4):
        length, depth = (w, d) if side % 2 == 0 else (d, w)
        color = np.clip(paint + rng.normal(0, 4, 3), 5, 250)
        wall = mosaic(length, h, depth / 2, 0, np.broadcast_to(color, (16, 1, 3)))
        items.append(Placed("wall", wall.turn(side * QUARTER), side * QUARTER))
    if ceiling:
        # Scans rarely show more than a part of it.
        size = np.array([w, d]) * rng.uniform(0.35, 0.7, 2)
        x, y = rng.uniform(-1, 1, 2) * (np.array([w, d]) - size) / 2
        slab = block(*size, 0.01, pick("ceiling", rng), x, y, h)
        items.append(Placed("ceiling", slab))
    return items


def furnish(things: list[str], floor_area: float, rng: np.random.Generator) -> Room:
    """A room with one object for every entry of ``things``; larger than ``floor_area`` (m2) if they need it."""
    order = sorted(things, key=lambda name: (_ORDER[CATALOG[name].place.kind], -np.prod(CATALOG[name].size[:2])))
    standing = [CATALOG[name].size for name in things if CATALOG[name].place.kind in ("floor", "back", "seat")]
    floor_area = max(floor_area, 1.5 + CLEARANCE * sum(w * d for w, d, _ in standing))
    aspect, height, ceiling = rng.uniform(0.7, 1.4), rng.uniform(2.3, 2.7), rng.random() < 0.55
    for attempt in range(5):
        size = (np.sqrt(floor_area * aspect), np.sqrt(floor_area / aspect), height)
        room = Room(size, ceiling, rng)
        if all(room.add(name, force=attempt == 4) for name in order):
            break
        floor_area *= 1.2
    return room
