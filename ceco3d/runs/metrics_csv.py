"""The one reader of ``metrics.csv``, the log of a run: one row per logged step or validation, one column per value.

The column ``phase`` says which of the two a row is: "train" or "val". Logs of older versions lack it, and ``seconds``.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ceco3d.runs.checked import ROUNDING

# What the training loop logs beside the terms of the loss, and the prefix of what a validation measures.
LOOP_COLUMNS = {"step", "epoch", "seconds", "lr", "grad_norm", "voxels_per_second", "skipped"}
LOOP_COLUMNS |= {"gpu_gib", "gpu_reserved_gib", "phase"}
VALIDATION = "val_"
PHASE = "phase"

Row = dict[str, float]  # number by column, always with "step"; empty cells and the phase are absent, see ``phase``
WHOLE = ("step", "epoch", "skipped")
SHARES = ("val_miou", "val_head", "val_common", "val_tail", "val_accuracy")
_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)
_LARGEST = 10**15


def phase(names: Iterable[str]) -> str:
    """What a row with values of these ``names`` is about: "train" or "val"."""
    return "val" if any(name.startswith(VALIDATION) for name in names) else "train"


def moment(row: Row) -> float:
    """The step of a row, plus 0.5 for a validation, which comes after the step."""
    return row["step"] + (0.5 if phase(row) == "val" else 0.0)


def read_rows(path: Path) -> list[Row]:
    """Return the rows of ``path`` in order, with whatever columns the file has.

    Raises OSError if the file cannot be read, and ValueError if it is not a table of numbers with a step in each row.
    A row that was cut short keeps the cells it has.
    """
    return [row for row in map(_checked, _cells(path)) if row]


def read_complete_rows(path: Path) -> list[Row]:
    """Like ``read_rows``, but drop the rows that a killed run left unfinished instead of raising ValueError."""
    rows = []
    for cells in _cells(path):
        if None not in cells.values():
            with suppress(ValueError):
                rows.append(_checked(cells))
    return [row for row in rows if row]


def seconds_until(path: Path, start: float) -> float:
    """The largest ``seconds`` of the rows up to the ``moment`` ``start``; 0 if there are none."""
    if not start or not path.is_file():
        return 0.0
    with suppress(OSError, ValueError):
        return max((row.get("seconds", 0.0) for row in read_complete_rows(path) if moment(row) <= start), default=0.0)
    return 0.0


def curves(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Return (n, 2) float64 step and value by column, for the rows in which the value is finite."""
    found = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            if math.isfinite(value):
                found[name].append((float(row["step"]), float(value)))
    return {name: np.array(points) for name, points in found.items()}


def _cells(path: Path) -> Iterator[dict[str | None, str | list[str] | None]]:
    """Yield the text of each row by column; None for missing cells, and under the key None the surplus ones."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _checked(cells: dict[str | None, str | list[str] | None]) -> Row:
    row: Row = {}
    for name, text in cells.items():
        if name is None or isinstance(text, list):
            raise ValueError("a row has more cells than the header")
        if text and name != PHASE:
            row[name] = _number(name, text)
    if row and "step" not in row:
        raise ValueError("a row has no step")
    return row


def _number(name: str, text: str) -> float:
    """Return an int for whole numbers, so that a row written again is the same text."""
    value = int(text) if _WHOLE.fullmatch(text) else float(text)
    if name in WHOLE and not (abs(value) < _LARGEST and value == int(value)):
        raise ValueError(f"{name}={text:.40} in a row is not a whole number that can be")
    if name in SHARES and not (math.isnan(value) or 0 <= value <= 1 + ROUNDING):
        raise ValueError(f"{name}={text:.40} in a row is not within 0..1")
    return value
