"""ScanNet's label table: from the names that annotators typed to class ids."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ceco3d.data.labels import label_space
from ceco3d.utils.errors import UserError
from ceco3d.utils.text_files import read_text
from ceco3d.utils.untrusted import one_line

LABEL_TABLE = "scannetv2-labels.combined.tsv"
COLUMNS = ("raw_category", "id", "nyu40id")
MAX_ID = 10**6  # of classes
MAX_COLUMNS = 8  # listed in an error


@dataclass(frozen=True)
class LabelTable:
    """Raw ScanNet id and nyu40 id by raw category name (exact text).

    conflicts  names of several rows that disagree; their first row counts
    """

    raw_id: dict[str, int]
    nyu40: dict[str, int]
    conflicts: tuple[str, ...] = ()

    def ids(self, name: str) -> tuple[int, int] | None:
        """(raw id, nyu40 id) of an object name; None if the table lacks it."""
        return (self.raw_id[name], self.nyu40[name]) if name in self.raw_id else None


def read_label_table(path: Path) -> LabelTable:
    """Read ``scannetv2-labels.combined.tsv``. The first of several rows with one name counts, as in ScanNet's scripts.

    nyu40 ids belong to the name, not to the raw id: ``pipe`` and ``pipes`` share raw id 107 but not the nyu40 id.
    UserError if the file is missing, lacks a column or has ids that are not integers.
    """
    try:
        header, *rows = _rows(read_text(path)) or [[]]
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): download this file from ScanNet") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); download it again") from None
    if not rows:
        raise UserError(f"{path} has no rows; download it again")
    header = [cell.strip() for cell in header]
    for column in COLUMNS:
        if column not in header:
            found = ", ".join(one_line(cell, 30) for cell in header[:MAX_COLUMNS])
            raise UserError(
                f"{path} has no column {column!r}, only {found}: it is not ScanNet's label table; download it again"
            )
    ids: dict[str, tuple[int, int]] = {}
    conflicts = {}
    for row in rows:
        cells = dict(zip(header, row, strict=False))
        name = cells.get("raw_category", "")
        try:
            both = _label_id(cells.get("id")), _label_id(cells.get("nyu40id"))
        except ValueError as error:
            raise UserError(f"{path} is damaged (row {one_line(name, 40)}: {error}); download it again") from None
        if ids.setdefault(name, both) != both:
            conflicts[name] = True
    raw_id, nyu40 = ({name: both[part] for name, both in ids.items()} for part in (0, 1))
    return LabelTable(raw_id, nyu40, tuple(conflicts))


def has_class(ids: tuple[int, int], space: str) -> bool:
    """Whether (raw id, nyu40 id) is a class of a label space."""
    return ids[0 if space == "scannet200" else 1] in label_space(space).ids


def _rows(text: str) -> list[list[str]]:
    """The cells of every line that is not empty.

    Some copies end their lines in \\r\\r\\n, which the csv module reads if newlines are not translated. A quote can
    enclose a cell (Excel) or be part of a name (12" monitor): read as a part where it would join cells or lines.
    """
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows = _cells(text, csv.QUOTE_MINIMAL)
    if not rows or any("\n" in cell or "\t" in cell for row in rows for cell in row):
        rows = _cells(text, csv.QUOTE_NONE)
    return rows


def _cells(text: str, quoting: int) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=quoting)  # type: ignore[arg-type]
    return [row for row in reader if row]


def _label_id(text: str | None) -> int:
    """The id as a number; ValueError if it is none or out of range."""
    try:
        number = int(text or "")
    except ValueError:
        shown = one_line(text, 30) if text else ""
        raise ValueError(f"{shown!r} is not a whole number") from None
    if abs(number) > MAX_ID:
        raise ValueError(f"a class of id {text:.30}")
    return number
