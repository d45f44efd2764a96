"""All 200 classes by name, and what the allocation needs to know about them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ceco3d.data.labels import class_rows
from ceco3d.synthetic.catalog.furniture import FURNITURE
from ceco3d.synthetic.catalog.kitchen_bath import KITCHEN_BATH
from ceco3d.synthetic.catalog.movable_objects import MOVABLE_OBJECTS
from ceco3d.synthetic.catalog.object_class import ObjectClass
from ceco3d.synthetic.catalog.structure import STRUCTURE

CATALOG: dict[str, ObjectClass] = {**FURNITURE, **STRUCTURE, **KITCHEN_BATH, **MOVABLE_OBJECTS}
ROOM_SHELL = ("floor", "wall", "ceiling")  # these three classes are built with the room, not from the catalog
ANNOTATED_SCANS = 1513  # of ScanNet: train and val


@lru_cache
def surface_area(name: str) -> float:
    """Surface of a typical instance, m2."""
    return CATALOG[name].build(np.random.default_rng(0)).area


@lru_cache
def instances_per_scan(name: str) -> float:
    """Annotated instances per scan in ScanNet."""
    return {row["name"]: int(row["instances"]) for row in class_rows("scannet200")}[name] / ANNOTATED_SCANS


def room_affinity(name: str, room_type: str) -> float:
    """Relative chance of the class in this type of room: 1 where its entry lists the type, 0.4 for "any"."""
    listed = CATALOG[name].room_types.split()
    return 1.0 if room_type in listed else 0.4 if "any" in listed else 0.004
