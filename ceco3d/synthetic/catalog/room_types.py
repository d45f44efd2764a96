"""The types of rooms that are generated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RoomType:
    """A type of room.

    title  ``sceneType`` in ScanNet's metadata
    share  relative frequency
    core   classes that every such room gets first
    """

    title: str
    share: float
    core: tuple[str, ...]


def _room(title: str, share: float, core: str) -> RoomType:
    return RoomType(title, share, tuple(core.split(", ")))


# Shares follow the order of ScanNet's scene types: bedrooms, offices, living rooms, bathrooms and kitchens lead.
ROOM_TYPES = {
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
