"""Columns of words in text tables, such as the names of classes: ``read_text`` keeps numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.tables import check_names
from ceco3d.data.pointclouds.text_dialect import find_dialect, open_table, readable
from ceco3d.data.pointclouds.text_rows import is_skipped

SUFFIXES = (".xyz", ".txt", ".pts", ".csv", ".asc")


def read_words(path: Path, columns: Sequence[str] | None = None) -> Mapping[str, np.ndarray]:
    """The named columns of words of the text table at ``path``, (N,) text each; of files of other formats none.

    columns  names of the columns of a table without names
    """
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return {}
    dialect = find_dialect(path, named=columns is not None)
    names = None if dialect is None else columns or dialect.names
    if dialect is None or not names or not dialect.text:
        return {}
    named = check_names(names, dialect.width)
    words: dict[int, list[str]] = {i: [] for i in dialect.text if i in named}
    with open_table(path) as file:
        for line in map(readable, islice(file, dialect.skip, None)):
            if is_skipped(line, dialect):
                continue
            cells = dialect.cells(line)
            for i, column in words.items():
                column.append(cells[i])
    return {named[i]: np.array(column, str) for i, column in words.items()}
