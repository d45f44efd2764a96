"""Text files with one point per line: .xyz, .txt, .pts, .csv, .asc."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.scan import Scan, scan_of_columns
from ceco3d.data.pointclouds.tables import scan_of_table


def read_text(path: Path, columns: Sequence[str] | None = None) -> Scan:
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


def _words(line: str) -> list[str]:
    return re.split(r"[\s,;]+", line.strip().lstrip("#/").strip())
