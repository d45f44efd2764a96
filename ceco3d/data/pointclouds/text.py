"""Text files with one point per line: .xyz, .txt, .pts, .csv, .asc."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.column_names import COORD_NAMES, find_columns
from ceco3d.data.pointclouds.scan import Scan, make_scan, scan_of_columns
from ceco3d.data.pointclouds.tables import check_names, ignored_columns, scan_of_table
from ceco3d.data.pointclouds.text_cells import quoted
from ceco3d.data.pointclouds.text_dialect import find_dialect
from ceco3d.data.pointclouds.text_header import COLUMNS
from ceco3d.data.pointclouds.text_rows import read_rows
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line


def read_text(path: Path, columns: Sequence[str] | None = None) -> Scan:
    """Read columns separated by blanks, tabs, commas, semicolons or bars, in any usual encoding.

    Lines that start with # or // are comments. ``columns``, or a line of names before the points, name the columns;
    otherwise their content decides, see ``scan_of_table``. A line with a single number before points is their count.
    Columns of text are not kept. UserError names the first line that does not fit.
    """
    dialect = find_dialect(path, named=columns is not None)
    if dialect is None:
        return make_scan(np.empty((0, 3)), None, None)
    if columns is not None:
        check_names(columns, dialect.width)
    names = columns or dialect.names
    table, notes = read_rows(path, dialect, {*dialect.text, *ignored_columns(names)})
    notes = [*dialect.notes, *notes]
    if names:
        return replace(_named_scan(table, names, dialect.text, notes), columns=tuple(columns or ()))
    if dialect.text:
        _refuse_marked_numbers(dialect.text)
        notes.append(_text_note([f"column {i + 1}" for i in dialect.text], list(dialect.text.values())))
    is_pts = path.suffix.lower() == ".pts" and dialect.count is not None
    scan = scan_of_table(table, text=dialect.text, intensity_first=is_pts)
    return replace(scan, notes=[*notes, *scan.notes])


def _named_scan(table: np.ndarray, names: Sequence[str], text: Mapping[int, str], notes: list[str]) -> Scan:
    columns, ignored = check_names(names, table.shape[1]), ignored_columns(names)
    lost = {columns[i]: example for i, example in text.items() if i not in ignored}
    for name in find_columns([columns[i] for i in columns if i not in ignored], COORD_NAMES) or ():
        if name in lost:
            raise UserError(f"column {name} holds text, such as {quoted(lost[name])}")
    if lost:
        notes.append(_text_note([f"column {name}" for name in lost], list(lost.values())))
    kept = {name: table[:, i] for i, name in columns.items() if i not in text and i not in ignored}
    return scan_of_columns(kept, notes=notes)


def _refuse_marked_numbers(text: Mapping[int, str]) -> None:
    """UserError if a column of text begins like a number ("1.5m"): without names it may be a coordinate."""
    for column, example in text.items():
        if re.match(r"[+-]?[.,]?[0-9]", example):
            raise UserError(
                f"column {column + 1} begins with a number but is text, such as {quoted(example)}: name all columns "
                f"with {COLUMNS}"
            )


def _text_note(columns: Sequence[str], examples: Sequence[str]) -> str:
    """A note that columns of text are not kept."""
    described = [f"{name} (such as {quoted(example)})" for name, example in zip(columns, examples, strict=True)]
    return f"not kept, because it is text: {one_line(', '.join(described), 200)}"
