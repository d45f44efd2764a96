"""The catalog: all 200 classes of ScanNet200, and the types of rooms they are found in."""

from ceco3d.synthetic.catalog.classes import CATALOG, ROOM_SHELL, instances_per_scan, room_affinity, surface_area
from ceco3d.synthetic.catalog.object_class import ObjectClass, Placement
from ceco3d.synthetic.catalog.palettes import pick_color
from ceco3d.synthetic.catalog.room_types import ROOM_TYPES, RoomType

__all__ = [
    "CATALOG",
    "ROOM_SHELL",
    "ROOM_TYPES",
    "ObjectClass",
    "Placement",
    "RoomType",
    "instances_per_scan",
    "pick_color",
    "room_affinity",
    "surface_area",
]
