"""Which classes go into which scene: ScanNet's long tail, with every class present."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ceco3d.data.labels import class_rows
from ceco3d.synthetic.catalog.classes import CATALOG, instances_per_scan, room_affinity, surface_area
from ceco3d.synthetic.catalog.room_types import ROOM_TYPES

VERTICES_PER_M2 = 2400  # of observed surface, at the spacing of the scanner
OBSERVED_SHARE = 0.6  # of an object's surface; backs, undersides and insides stay hidden
LARGEST = 2.5  # m2; a crowded scan shows only a part of larger objects
OBJECT_SHARE = 0.36  # of a scene's vertices; walls then get a third, as in scene0470_00 of ScanNet
FULL = 1.0  # load over capacity of a full room
REQUIRED = 0.7  # load over capacity that a split spends on showing every class


@dataclass
class ScenePlan:
    """A scene to build.

    room_type  key of ``ROOM_TYPES``
    objects    class name of every object
    load       surface of the objects that a scan observes, m2
    """

    room_type: str
    objects: list[str] = field(default_factory=list)
    load: float = 0.0

    def add(self, name: str) -> None:
        self.objects.append(name)
        self.load += observed_area(name)


def observed_area(name: str) -> float:
    """Surface of a typical instance that a scan observes, m2."""
    return min(surface_area(name) * OBSERVED_SHARE, LARGEST)


def allocate(scenes: int, vertices: int, at_least: int, unseen: bool, rng: np.random.Generator) -> list[ScenePlan]:
    """Plan the ``scenes`` rooms of one split.

    Class counts are proportional to ScanNet's instance counts and fill the rooms.

    vertices  of one scan, about
    at_least  objects of every class; below 2, only as far as there is space
    unseen    also use the classes without ground truth in ScanNet200's validation split
    """
    names = [
        row["name"] for row in class_rows("scannet200") if row["name"] in CATALOG and (unseen or row["val"] == "1")
    ]
    capacity = OBJECT_SHARE * vertices / VERTICES_PER_M2
    plans = [ScenePlan(room) for room in draw_room_types(scenes, rng)]
    counts = _counts(names, scenes, capacity, at_least, rng)
    for plan in plans:
        for name in ROOM_TYPES[plan.room_type].core:
            if counts.get(name, 0) > 0:
                plan.add(name)
                counts[name] -= 1
    for name in sorted(names, key=surface_area, reverse=True):
        for _ in range(counts[name]):
            weights = np.array([_fit(name, plan, capacity) for plan in plans])
            plans[rng.choice(scenes, p=weights / weights.sum())].add(name)
    return plans


def draw_room_types(scenes: int, rng: np.random.Generator) -> list[str]:
    """The type of each room, in random order: each gets the whole part of its share, the rest is drawn by share."""
    share = np.array([room.share for room in ROOM_TYPES.values()])
    quota = np.floor(share / share.sum() * scenes).astype(int)
    missing = scenes - quota.sum()
    rest = rng.choice(len(share), size=missing, p=share / share.sum(), replace=missing > len(share))
    names = list(ROOM_TYPES)
    return list(rng.permutation([names[i] for i in np.concatenate([np.repeat(np.arange(len(share)), quota), rest])]))


def _counts(names: list[str], scenes: int, capacity: float, at_least: int, rng: np.random.Generator) -> dict[str, int]:
    """Number of objects of each class in the split; if space is short, frequent and small classes come first."""
    areas = np.array([observed_area(name) for name in names])
    expected = np.array([instances_per_scan(name) for name in names]) * scenes
    space = scenes * capacity
    floor = np.full(len(names), at_least)
    if at_least < 2:
        order = np.argsort(areas / np.sqrt(expected))
        floor[order] = np.where(np.cumsum(areas[order]) * at_least < REQUIRED * space, at_least, 0)
    low, high = 0.0, 1.0
    for _ in range(20):
        density = (low + high) / 2
        total = (np.maximum(expected * density, floor) * areas).sum()
        low, high = (density, high) if total < FULL * space else (low, density)
    wanted = expected * density
    drawn = np.floor(wanted + rng.random(len(names))).astype(int)
    return dict(zip(names, np.maximum(drawn, floor).tolist(), strict=True))


def _fit(name: str, plan: ScenePlan, capacity: float) -> float:
    """Weight of one more ``name`` in the plan: type of room, space left, a host for it."""
    placement = CATALOG[name].placement
    weight = room_affinity(name, plan.room_type) * max(1e-4, 1 - plan.load / (capacity * FULL)) ** 2
    if placement.kind in ("on_top", "facing", "attached") and not set(placement.hosts) & set(plan.objects):
        weight *= 0.01
    return weight / (1 + plan.objects.count(name)) if placement.kind in ("on_wall", "against_wall") else weight
