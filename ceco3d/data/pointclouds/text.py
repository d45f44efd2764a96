"""Text files with one point per line: .xyz, .txt, .pts, .csv, .asc."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.scan import Scan, make_scan, scan_of_columns


def read_text(path: Path) -> Scan:
    """Read columns separated by blanks, commas or semicolons. Lines that start with # or // are comments.

    A first line of names (``x y z r g b``, also as a comment) names the columns; otherwise see ``scan_of_table``. A
    first line with a single number, the point count of a .pts file, is skipped. ValueError for anything else.
    """
    with path.open(encoding="utf-8-sig") as file:
        lines = (line for line in file if line.strip())
        names: list[str] = []
        first = ""
        for line in lines:
            words = _words(line)
            if {"x", "y", "z"} <= {word.lower() for word in words}:
                names = words
            elif not line.lstrip().startswith(("#", "//")) and len(words) > 1:
                first = line
                break
        separator = re.search(r"[,;]", first)
        delimiter = separator.group() if separator else None
        table: np.ndarray = np.empty((0, 3))
        if first:
            table = np.loadtxt(chain([first], lines), comments=["#", "//"], delimiter=delimiter, ndmin=2)
    if names and len(names) == table.shape[1]:
        return scan_of_columns(dict(zip(names, table.T, strict=True)))
    return scan_of_table(table)


def scan_of_table(table: np.ndarray) -> Scan:
    """A scan from a table (N, C) without column names; ValueError with fewer than three columns.

    3 columns  x y z
    6          x y z color, or x y z normal if a value is negative
    7          x y z intensity color
    9 or more  x y z color normal ...
    Tables with 4, 5 or 8 columns give only x y z.
    """
    columns = table.shape[1] if table.ndim == 2 else 0
    if columns < 3:
        raise ValueError(f"a table of shape {table.shape}, not (points, 3 or more)")
    coord, color, normal = table[:, :3], None, None
    if columns == 7:
        color = table[:, 4:7]
    elif columns == 6 and (table[:, 3:6] < 0).any():
        normal = table[:, 3:6]
    elif columns == 6 or columns >= 9:
        color = table[:, 3:6]
        normal = table[:, 6:9] if columns >= 9 else None
    return make_scan(coord, color, normal)


def _words(line: str) -> list[str]:
    return re.split(r"[\s,;]+", line.strip().lstrip("#/").strip())
