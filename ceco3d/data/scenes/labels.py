"""Label spaces: classes, their benchmark ids, colors and frequency groups.

A class is written in one of three ways, which are never mixed:
raw name        text in ``aggregation.json``
raw id          ScanNet200 id 1..1191, or nyu40 id for ScanNet20; used in submissions
training index  0..K-1 in ascending order of raw ids, -1 = ignore; used by networks and losses
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ceco3d.utils.errors import UserError

IGNORE = -1
GROUPS = ("head", "common", "tail")
# Class ids, names, colors and groups of the ScanNet200 benchmark (constants of the MIT-licensed ScanNet repository).
SCANNET200_CSV = Path(__file__).with_name("scannet200.csv")

# Classes that belong to the building, as opposed to objects in it.
STRUCTURE = (
    *(
        "wall",
        "floor",
        "ceiling",
        "door",
        "doorframe",
        "window",
        "windowsill",
        "ledge",
        "column",
        "pillar",
        "structure",
    ),
    *("stairs", "stair rail", "rail", "closet", "closet door", "closet wall", "divider", "shower", "shower door"),
    *("shower wall", "shower floor", "bathroom stall", "bathroom stall door"),
)

# nyu40 id, name and color of the 20 classes of the original ScanNet benchmark (same source).
_SCANNET20 = (
    (1, "wall", (174, 199, 232)),
    (2, "floor", (152, 223, 138)),
    (3, "cabinet", (31, 119, 180)),
    (4, "bed", (255, 187, 120)),
    (5, "chair", (188, 189, 34)),
    (6, "sofa", (140, 86, 75)),
    (7, "table", (255, 152, 150)),
    (8, "door", (214, 39, 40)),
    (9, "window", (197, 176, 213)),
    (10, "bookshelf", (148, 103, 189)),
    (11, "picture", (196, 156, 148)),
    (12, "counter", (23, 190, 207)),
    (14, "desk", (247, 182, 210)),
    (16, "curtain", (219, 219, 141)),
    (24, "refrigerator", (255, 127, 14)),
    (28, "shower curtain", (158, 218, 229)),
    (33, "toilet", (44, 160, 44)),
    (34, "sink", (112, 128, 144)),
    (36, "bathtub", (227, 119, 194)),
    (39, "otherfurniture", (82, 84, 163)),
)


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a benchmark, by training index.

    name   "scannet200" or "scannet20"
    ids    K raw ids, strictly ascending
    names  K class names
    colors (K, 3) uint8
    groups training indices of "head", "common" and "tail"; empty for ScanNet20
    """

    name: str
    ids: tuple[int, ...]
    names: tuple[str, ...]
    colors: np.ndarray
    groups: dict[str, tuple[int, ...]]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def structure(self) -> tuple[int, ...]:
        """Training indices of the classes in STRUCTURE."""
        return tuple(index for index, name in enumerate(self.names) if name in STRUCTURE)

    def index_of(self, raw_ids: np.ndarray) -> np.ndarray:
        """The training index (int16) of each raw id; -1 for ids outside the label space."""
        table = np.full(max(self.ids) + 1, IGNORE, np.int16)
        table[list(self.ids)] = np.arange(len(self), dtype=np.int16)
        raw_ids = np.asarray(raw_ids, np.int64)
        known = (raw_ids >= 0) & (raw_ids < len(table))
        return np.where(known, table[np.where(known, raw_ids, 0)], IGNORE).astype(np.int16)


@lru_cache
def scannet200_rows() -> tuple[dict[str, str], ...]:
    """The 200 rows of ``scannet200.csv``, by training index."""
    with SCANNET200_CSV.open(newline="") as file:
        return tuple(csv.DictReader(file))


@lru_cache
def label_space(name: str) -> LabelSpace:
    """The label space ``scannet200`` or ``scannet20``; UserError for any other name."""
    if name == "scannet200":
        rows = scannet200_rows()
        return LabelSpace(
            name=name,
            ids=tuple(int(row["id"]) for row in rows),
            names=tuple(row["name"] for row in rows),
            colors=np.array([[row["r"], row["g"], row["b"]] for row in rows], np.uint8),
            groups={group: tuple(i for i, row in enumerate(rows) if row["split"] == group) for group in GROUPS},
        )
    if name == "scannet20":
        ids, names, colors = zip(*_SCANNET20, strict=True)
        return LabelSpace(name=name, ids=ids, names=names, colors=np.array(colors, np.uint8), groups={})
    raise UserError(f"unknown label space {name!r}; choose scannet200 or scannet20")
