"""Rooms for studies of imbalance: long-tailed in training, balanced in validation, alike in everything else.

The protocol of long-tailed classification (Cao et al., NeurIPS 2019): the number of training objects of a class falls
exponentially over the classes, from the most frequent to the rarest, which has ``imbalance`` times fewer; every class
counts alike in validation. Numbers of rooms and objects are the same for every imbalance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ceco3d.data.labels import GROUPS, class_rows
from ceco3d.synthetic.allocation import (
    LARGEST,
    OBJECT_SHARE,
    VERTICES_PER_M2,
    ScenePlan,
    draw_room_types,
    observed_area,
)
from ceco3d.synthetic.catalog.classes import CATALOG, room_affinity, surface_area
from ceco3d.utils.errors import UserError

Imbalance = float | Literal["scannet"]
ELSEWHERE = 0.1  # affinity to a type of room where the class is rare: every class must occur in many rooms
WITHOUT_HOST = 0.1  # weight of a room without anything that the object could stand on or belong to
CROWDED = 1.15  # observed surface of all objects over what the rooms have space for, at most


@dataclass(frozen=True)
class LongTail:
    """What is in the rooms.

    imbalance  training objects of the most frequent class over those of the rarest; "scannet": as ScanNet's instances
    objects    training objects of all classes together
    each       validation objects of every class
    classes    of each of head, common and tail that occur, evenly over the order of frequency, or as many as there are;
               those of ``ROOM_SHELL`` are in every room besides
    area       surface that a scan observes of an object, m2, from and to: other classes do not occur
    """

    imbalance: Imbalance
    objects: int
    each: int
    classes: int = 200
    area: tuple[float, float] = (0.0, LARGEST)

    def __post_init__(self) -> None:
        if not (self.imbalance == "scannet" or (isinstance(self.imbalance, int | float) and self.imbalance >= 1)):
            raise UserError(f"dataset.imbalance={self.imbalance}: give a number of at least 1, or scannet")

    @property
    def names(self) -> list[str]:
        """The classes that occur: head, common, tail, and in each group the most frequent in ScanNet first."""
        rows = [row for row in class_rows("scannet200") if row["name"] in CATALOG]
        rows.sort(key=lambda row: -int(row["instances"]))
        found = []
        for group in GROUPS:
            names = [row["name"] for row in rows if row["group"] == group and self._is_chosen(row["name"])]
            kept = np.linspace(0, len(names) - 1, min(self.classes, len(names))).round().astype(int)
            found += [names[index] for index in kept]
        return found

    def _is_chosen(self, name: str) -> bool:
        return self.area[0] <= observed_area(name) <= self.area[1]

    def training(self) -> dict[str, int]:
        """Training objects of each class: what the law says, rounded, at least one; together ``objects``."""
        names = self.names
        if self.imbalance == "scannet":
            instances = {row["name"]: int(row["instances"]) for row in class_rows("scannet200")}
            share = np.array([instances[name] for name in names], float)
        else:
            share = float(self.imbalance) ** (-np.arange(len(names)) / max(len(names) - 1, 1))
        return dict(zip(names, _whole_numbers(share, self.objects), strict=True))

    def validation(self) -> dict[str, int]:
        """Validation objects of each class."""
        return dict.fromkeys(self.names, self.each)

    def test(self, rooms: int, validation_rooms: int) -> dict[str, int]:
        """Objects of each class in the test rooms, as full as those of validation; some classes may be missing."""
        names = self.names
        total = max(1, round(self.each * len(names) * rooms / validation_rooms))
        return {name: total * (k + 1) // len(names) - total * k // len(names) for k, name in enumerate(names)}


def _whole_numbers(share: np.ndarray, total: int) -> list[int]:
    """Whole numbers of at least 1, in proportion to ``share`` as nearly as can be, with the sum ``total``."""
    if total < len(share):
        raise UserError(f"rooms200_lt: {total} objects for {len(share)} classes; change dataset.sizes")
    low, high = 0.0, total / share.min()
    for _ in range(100):  # the classes below one object take from the others
        scale = (low + high) / 2
        low, high = (scale, high) if np.maximum(scale * share, 1).sum() < total else (low, scale)
    wanted = np.maximum(low * share, 1)
    numbers = np.floor(wanted + 1e-9).astype(int)
    missing = total - int(numbers.sum())
    numbers[np.argsort(numbers - wanted, kind="stable")[:missing]] += 1
    return numbers.tolist()


def share_out(counts: Mapping[str, int], rooms: int, vertices: int, rng: np.random.Generator) -> list[ScenePlan]:
    """Plan ``rooms`` rooms that together hold exactly ``counts`` objects of each class.

    vertices  of one scan at the spacing of a plain one, about

    Rooms fill evenly, and objects of one class go to many rooms. UserError if the objects need more space.
    """
    capacity = OBJECT_SHARE * vertices / VERTICES_PER_M2
    needed = sum(observed_area(name) * count for name, count in counts.items())
    if needed > CROWDED * rooms * capacity:
        raise UserError(
            f"rooms200_lt: {rooms} rooms have space for {rooms * capacity:.0f} m2 of objects, not for {needed:.0f}; "
            "change dataset.sizes"
        )
    plans, load = [ScenePlan(room) for room in draw_room_types(rooms, rng)], np.zeros(rooms)
    for name in sorted(counts, key=surface_area, reverse=True):
        fit, own = _fit(name, plans), np.zeros(rooms)
        for _ in range(counts[name]):
            space = np.maximum(1e-4, 1 - load / (CROWDED * capacity))
            weight = fit * space**2 / (1 + own) ** 2
            chosen = int(rng.choice(rooms, p=weight / weight.sum()))
            plans[chosen].add(name)
            load[chosen], own[chosen] = plans[chosen].load, own[chosen] + 1
    return plans


def _fit(name: str, plans: Sequence[ScenePlan]) -> np.ndarray:
    """(rooms,) how well a class fits into each room: its type, and something to stand on."""
    placement = CATALOG[name].placement
    fit = np.array([max(room_affinity(name, plan.room_type), ELSEWHERE) for plan in plans])
    if placement.kind in ("on_top", "facing", "attached"):
        fit *= [1.0 if set(placement.hosts) & set(plan.objects) else WITHOUT_HOST for plan in plans]
    return fit
