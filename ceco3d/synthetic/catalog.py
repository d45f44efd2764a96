"""The 200 classes of the catalogue, and the room types they are found in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ceco3d.data.scenes.labels import scannet200_rows
from ceco3d.synthetic.furniture import FURNITURE
from ceco3d.synthetic.kitchen_bath import KITCHEN_BATH
from ceco3d.synthetic.structure import STRUCTURE
from ceco3d.synthetic.thing import Thing
from ceco3d.synthetic.things import THINGS

CATALOG: dict[str, Thing] = {**FURNITURE, **STRUCTURE, **KITCHEN_BATH, **THINGS}
SHELL = ("floor", "wall", "ceiling")  # drawn by the room itself


@dataclass(frozen=True)
class RoomType:
    """A kind of room: ``sceneType`` text, how common it is, and what every such room gets first."""

    title: str
    share: float
    core: tuple[str, ...]


def _room(title: str, share: float, core: str) -> RoomType:
    return RoomType(title, share, tuple(core.split(", ")))


# Shares follow the order of ScanNet's scene types: bedrooms, offices, living rooms, bathrooms and kitchens lead.
ROOMS = {
    "bedroom": _room("Bedroom / Hotel", 18, "bed, nightstand, lamp, pillow, door, window"),
    "office": _room("Office", 14, "desk, office chair, monitor, door, trash can"),
    "living": _room("Living room / Lounge", 14, "couch, coffee table, tv stand, window"),
    "kitchen": _room("Kitchen", 10, "kitchen counter, kitchen cabinet, refrigerator, sink, table, chair"),
    "bathroom": _room("Bathroom", 10, "toilet, bathroom vanity, sink, mirror, door"),
    "conference": _room("Conference Room", 7, "table, chair, chair, chair, whiteboard, door"),
    "lab": _room("Classroom", 7, "table, chair, chair, desk, window"),
    "lobby": _room("Lobby", 5, "sofa chair, end table, table, door"),
    "hallway": _room("Hallway", 5, "door, door, cabinet"),
    "storage": _room("Storage/Basement/Garage", 5, "shelf, rack, box, box, door"),
    "copyroom": _room("Copy/Mail Room", 3, "copier, table, shelf"),
    "restroom": _room("Bathroom", 5, "toilet, bathroom counter, sink, mirror, door"),
    "laundry": _room("Laundry Room", 4, "washing machine, shelf, door"),
    "closet": _room("Closet", 3, "shelf, dresser, clothes"),
    "gym": _room("Gym", 3, "bench, mat, mirror, dumbbell"),
}


@lru_cache
def surface(name: str) -> float:
    """Surface of a typical instance in square metres."""
    return CATALOG[name].draw(np.random.default_rng(0)).area


@lru_cache
def frequency(name: str) -> float:
    """Annotated instances per scan in ScanNet (1513 annotated scans)."""
    return {row["name"]: int(row["instances"]) for row in scannet200_rows()}[name] / 1513


def affinity(name: str, room: str) -> float:
    """How much more likely the class stands in this type of room than in one it is not listed for."""
    rooms = CATALOG[name].rooms.split()
    return 1.0 if room in rooms else 0.4 if "any" in rooms else 0.004
