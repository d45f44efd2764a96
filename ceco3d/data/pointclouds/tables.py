"""Tables of numbers, one row per point: what their columns mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from ceco3d.data.pointclouds.column_names import COLOR_NAMES, COORD_NAMES, NORMAL_NAMES, plain_name, unused_name
from ceco3d.data.pointclouds.scan import Scan, make_scan, scan_of_columns
from ceco3d.data.pointclouds.table_content import COLOR, COORD, NORMAL, Reading, read_content
from ceco3d.utils.errors import UserError

IGNORED = ("", "_")  # names of columns that are not read
FEW = 12  # rows of a table that has more columns than that: it holds a point per column


def scan_of_table(
    table: np.ndarray,
    columns: Sequence[str] | None = None,
    text: Collection[int] = (),
    intensity_first: bool = False,
) -> Scan:
    """A scan from a table (N, C).

    columns          names of all columns, "_" for those to ignore; None: decided by content, see ``read_content``
    text             columns that are no numbers
    intensity_first  whether the format has x y z intensity red green blue
    UserError if the names are not those of the columns, if the points are not the rows, or if text is in between.
    """
    check_shape(table, columns is not None)
    if columns is not None:
        names, ignored = check_names(columns, table.shape[1]), ignored_columns(columns)
        scan = scan_of_columns({name: table[:, i] for i, name in names.items() if i not in ignored})
        return replace(scan, columns=tuple(columns))
    kept = [i for i in range(table.shape[1]) if i not in text]
    values = table if len(kept) == table.shape[1] else table[:, kept]
    reading = read_content(values, [i + 1 for i in kept], intensity_first)
    position = {role: i for i, role in enumerate(reading.roles)}
    coord, color, normal = (
        values[:, position[names[0]] : position[names[0]] + 3] if names[0] in position else None
        for names in (COORD, COLOR, NORMAL)
    )
    assert coord is not None  # of every reading
    first = position[COORD[0]]
    if kept[first + 2] - kept[first] > 2:
        raise UserError("columns of text are between the numbers of each point: name all columns with columns=[...]")
    used = {*COORD, *COLOR, *NORMAL}
    attributes = {role: values[:, i] for i, role in enumerate(reading.roles) if role not in used}
    layout = _layout(reading, table.shape[1], text)
    scan = make_scan(coord, color, normal, attributes, layout=layout, notes=reading.notes)
    roles = dict(zip(kept, reading.roles, strict=True))
    return replace(scan, columns=[roles.get(i, f"column_{i + 1}") for i in range(table.shape[1])])


def check_names(names: Sequence[str], width: int) -> dict[int, str]:
    """Column -> name, unique; UserError if there are not ``width`` names, or if two columns claim one meaning."""
    if len(names) != width:
        listed = ",".join(map(str, names))
        raise UserError(f"columns=[{listed}] has {len(names)} names, but the table has {width} columns")
    meanings = {plain_name(name) for triples in (COORD_NAMES, COLOR_NAMES, NORMAL_NAMES) for t in triples for name in t}
    unique: dict[int, str] = {}
    for i, name in enumerate(map(str, names)):
        if name in unique.values() and name not in IGNORED and plain_name(name) in meanings:
            raise UserError(f"two columns are named {name}: name one of them with columns=[...], the other one _")
        unique[i] = name if name in IGNORED else unused_name(name, unique.values())
    return unique


def ignored_columns(names: Sequence[str]) -> set[int]:
    """The columns that ``names`` says to ignore."""
    return {i for i, name in enumerate(names) if name in IGNORED}


def check_shape(table: np.ndarray, named: bool = False) -> None:
    """UserError unless ``table`` holds numbers (points, 3 or more).

    named  whether its columns have names, and are columns for sure
    """
    shape = table.shape
    if table.dtype.kind not in "fiu":
        raise UserError(f"an array of {table.dtype}, not of numbers")
    if len(shape) == 3:
        raise UserError(f"an array of shape {shape}, a batch: save each scan as an array (points, columns) of its own")
    if len(shape) != 2:
        raise UserError(f"an array of shape {shape}, not (points, 3 or more)")
    if 2 <= shape[0] <= FEW < shape[1] and not named:
        raise UserError(f"a table of shape {shape} has its points in columns: transpose it")
    if shape[1] < 3:
        raise UserError(f"a table of shape {shape}, not (points, 3 or more)")


def _layout(reading: Reading, width: int, text: Collection[int]) -> str:
    """ "x y z red green blue (label ignored)": the columns in order."""
    roles = iter(reading.roles)
    used = {*COORD, *COLOR, *NORMAL}
    words = []
    for i in range(width):
        role = "text" if i in text else next(roles)
        words.append(role if role in used else f"({role.replace('_', ' ')} ignored)")
    return " ".join(words)
