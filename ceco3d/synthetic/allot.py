"""Which classes stand in which scene: the long tail of ScanNet, with every class present."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ceco3d.data.scenes.labels import scannet200_rows
from ceco3d.synthetic.catalog import CATALOG, ROOMS, affinity, frequency, surface

VERTICES_PER_M2 = 2400  # of observed surface, at the scanner's spacing
SEEN = 0.6  # share of an object's surface that a scan shows: no backs, undersides and insides
LARGEST = 2.5  # m2 that are counted of one object; of larger ones a crowded scan shows a part
OBJECTS = 0.36  # share of a scene's vertices that objects take; walls then take a third, as in scene0470_00 of ScanNet
CROWDED = 1.0  # load over capacity: large objects are then seen in part, which keeps more of the long tail
SQUEEZED = 0.7  # load over capacity that a split takes to show every class once


@dataclass
class Plan:
    """A room to furnish: its type and its classes, one entry per object; ``load`` is their observed surface in m2."""

    room: str
    things: list[str] = field(default_factory=list)
    load: float = 0.0

    def add(self, name: str) -> None:
        self.things.append(name)
        self.load += observed(name)


def observed(name: str) -> float:
    """Surface of a typical instance that a scan shows, m2."""
    return min(surface(name) * SEEN, LARGEST)


def allot(scenes: int, vertices: int, at_least: int, unseen: bool, rng: np.random.Generator) -> list[Plan]:
    """Plans for a split of ``scenes`` rooms of about ``vertices`` each.

    Class counts are proportional to ScanNet's instance counts, as many as the rooms can hold. Every class comes at
    least ``at_least`` times where there is room for it; always, when ``at_least`` is 2 or more.
    ``unseen``: also use the classes that have no validation ground truth.
    """
    names = [row["name"] for row in scannet200_rows() if row["name"] in CATALOG and (unseen or row["val"] == "1")]
    capacity = OBJECTS * vertices / VERTICES_PER_M2
    plans = [Plan(room) for room in _room_types(scenes, rng)]
    counts = _counts(names, scenes, capacity, at_least, rng)
    for plan in plans:
        for name in ROOMS[plan.room].core:
            if counts.get(name, 0) > 0:
                plan.add(name)
                counts[name] -= 1
    for name in sorted(names, key=surface, reverse=True):
        for _ in range(counts[name]):
            weights = np.array([_fit(name, plan, capacity) for plan in plans])
            plans[rng.choice(scenes, p=weights / weights.sum())].add(name)
    return plans


def _room_types(scenes: int, rng: np.random.Generator) -> list[str]:
    """Room types: the whole part of each one's share, the rest drawn by share."""
    share = np.array([room.share for room in ROOMS.values()])
    quota = np.floor(share / share.sum() * scenes).astype(int)
    missing = scenes - quota.sum()
    rest = rng.choice(len(share), size=missing, p=share / share.sum(), replace=missing > len(share))
    names = list(ROOMS)
    return list(rng.permutation([names[i] for i in np.concatenate([np.repeat(np.arange(len(share)), quota), rest])]))


def _counts(names: list[str], scenes: int, capacity: float, at_least: int, rng: np.random.Generator) -> dict[str, int]:
    """Objects of each class in the whole split: frequent and small classes first where not all find room."""
    areas = np.array([observed(name) for name in names])
    expected = np.array([frequency(name) for name in names]) * scenes
    room = scenes * capacity
    floor = np.full(len(names), at_least)
    if at_least < 2:
        order = np.argsort(areas / np.sqrt(expected))
        floor[order] = np.where(np.cumsum(areas[order]) * at_least < SQUEEZED * room, at_least, 0)
    low, high = 0.0, 1.0
    for _ in range(20):
        density = (low + high) / 2
        total = (np.maximum(expected * density, floor) * areas).sum()
        low, high = (density, high) if total < CROWDED * room else (low, density)
    wanted = expected * density
    drawn = np.floor(wanted + rng.random(len(names))).astype(int)
    return dict(zip(names, np.maximum(drawn, floor).tolist(), strict=True))


def _fit(name: str, plan: Plan, capacity: float) -> float:
    """Weight of putting one more ``name`` into the plan: right room, room left, something to stand on."""
    place = CATALOG[name].place
    weight = affinity(name, plan.room) * max(1e-4, 1 - plan.load / (capacity * CROWDED)) ** 2
    if place.kind in ("top", "seat", "around") and not set(place.on) & set(plan.things):
        weight *= 0.01
    return weight / (1 + plan.things.count(name)) if place.kind in ("wall", "back") else weight
