"""The label spaces that come with the package: one class file each in ``classes/``."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ceco3d.data.labels.class_file import read_classes
from ceco3d.data.labels.label_space import LabelSpace, from_plain
from ceco3d.utils.errors import UserError

FOLDER = Path(__file__).with_name("classes")
# ScanNet's processed scenes hold the labels of both of its label spaces side by side, as in Pointcept.
ARRAYS = {"scannet20": "segment20", "scannet200": "segment200"}


@lru_cache
def label_space(name: str) -> LabelSpace:
    """The label space of that name, such as ``scannet200``; UserError if there is none."""
    shipped = {path.stem: path for path in sorted(FOLDER.glob("*.csv"))}
    if name not in shipped:
        raise UserError(f"unknown label space {name!r}; choose one of {', '.join(shipped)}")
    return replace(read_classes(shipped[name]), array=ARRAYS.get(name, "segment"))


@lru_cache
def class_rows(name: str) -> tuple[dict[str, str], ...]:
    """The rows of the class file of a label space, by training index, with all columns that it has."""
    with (FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


def stored_space(space: LabelSpace) -> Any:
    """What a checkpoint or file holds of a label space: the name if it comes with the package, else all of it."""
    shipped = (FOLDER / f"{space.name}.csv").is_file() and label_space(space.name).to_plain() == space.to_plain()
    return space.name if shipped else space.to_plain()


def restored_space(stored: Any) -> LabelSpace:
    """The label space that ``stored_space`` wrote; ValueError or UserError if it did not."""
    return label_space(stored) if isinstance(stored, str) else from_plain(stored)
