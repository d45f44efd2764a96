"""Raw category names of annotators, and the label table that maps them to ids."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from ceco3d.data.labels import class_rows, label_space

COLUMNS = (
    *("id", "raw_category", "category", "count", "nyu40id", "eigen13id", "nyuClass", "nyu40class", "eigen13class"),
    *("ModelNet40", "ModelNet10", "ShapeNetCore55", "synsetoffset", "wnsynsetid", "wnsynsetkey", "mpcat40"),
    "mpcat40index",
)
OTHERPROP = 40  # nyu40 class of everything outside the 20 classes

# Other raw names that annotators use for a class: plurals and synonyms.
PLURALS = {
    *("chair", "table", "door", "window", "book", "picture", "pillow", "towel", "shoe", "bottle", "trash can", "bag"),
    *("cup", "curtain", "kitchen cabinet", "plant", "jacket", "paper", "plate", "pipe", "ball", "object", "backpack"),
}
SYNONYMS = {
    "chair": "stack of chairs",
    "box": "boxes",
    "couch": "couches",
    "shelf": "shelves",
    "lamp": "wall lamp",
    "wardrobe": "wardrobe closet",
    "stair rail": "banister",
}
# Raw categories outside the 200 classes: id, nyu40 id, and the class some of whose objects get this name.
OUTSIDE = {
    "wardrobe cabinet": (1177, 39, "wardrobe"),
    "headboard": (1192, 39, "board"),
    "footrest": (1193, 39, "ottoman"),
    "remove": (1194, 40, "object"),
    "unknown": (1195, 40, "object"),
    "magazine": (1196, 40, "book"),
    "soda can": (1197, 40, "cup"),
    "beanbag chair": (1198, 5, "sofa chair"),
    "kitchen island": (1199, 12, "counter"),
}


def aliases(name: str) -> list[str]:
    """Raw names of the class other than its own."""
    plural = [f"{name}s"] if name in PLURALS else []
    return plural + ([SYNONYMS[name]] if name in SYNONYMS else [])


# Colors of the labeled mesh by nyu40 id: those of the 20 benchmark classes, shades of gray for the others.
NYU40_COLORS = np.repeat(np.arange(41)[:, None] * 5 + 20, 3, axis=1).astype(np.uint8)
_space20 = label_space("scannet20")
NYU40_COLORS[list(_space20.ids)] = _space20.colors
NYU40_COLORS[0] = 0


@lru_cache
def label_table() -> tuple[dict[str, str], ...]:
    """The rows of the label table, in order of their ids."""
    space = label_space("scannet20")
    nyu40 = dict(zip(space.names, space.ids, strict=True))
    entries = []
    for row in class_rows("scannet200"):
        group = nyu40.get(row["scannet20_name"], OTHERPROP)
        for raw in (row["name"], *aliases(row["name"])):
            entries.append((int(row["id"]), raw, row["name"], row["instances"] if raw == row["name"] else "1", group))
    entries += [(number, raw, raw, "1", group) for raw, (number, group, _) in OUTSIDE.items()]
    names = {number: name for name, number in nyu40.items()}
    filled = ("id", "raw_category", "category", "count", "nyu40id")
    return tuple(
        dict.fromkeys(COLUMNS, "")
        | dict(zip(filled, map(str, entry), strict=True))
        | {"nyu40class": names.get(entry[4], "otherprop")}
        for entry in sorted(entries, key=lambda entry: entry[0])
    )


def write_label_table(path: Path) -> None:
    """Write ``scannetv2-labels.combined.tsv``."""
    lines = ["\t".join(COLUMNS)] + ["\t".join(row[column] for column in COLUMNS) for row in label_table()]
    path.write_text("\n".join(lines) + "\n")


def draw_raw_name(name: str, rng: np.random.Generator, certain: bool) -> str:
    """The raw name that an annotator gives to an object of the class; "" if the annotator forgets the object.

    certain  always a name of the class itself, for classes with few objects
    """
    draw = rng.random()
    others = [raw for raw, (_, _, like) in OUTSIDE.items() if like == name]
    if not certain and draw < 0.015:
        return ""
    if not certain and others and draw < 0.15:
        return others[rng.integers(len(others))]
    more = aliases(name)
    return more[rng.integers(len(more))] if more and draw > 0.88 else name
