"""The numbers of a text table: all at once where every line is plain, else line by line."""

from __future__ import annotations

from array import array
from collections.abc import Collection
from itertools import islice
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.text_cells import COUNT, THOUSANDS, is_comment, quoted, to_number
from ceco3d.data.pointclouds.text_dialect import Dialect, open_table, readable
from ceco3d.data.pointclouds.text_header import COLUMNS, names_in
from ceco3d.utils.errors import UserError

LONG = 10_000  # characters of a line that may have a number of very many digits, see ``to_number``
BLOCK = 1 << 15  # lines
MAX_TRIES = 3  # blocks in a row that are tried as plain numbers, and are not
MAX_NOTES = 3  # counts of points that are named


def read_rows(path: Path, dialect: Dialect, ignored: Collection[int]) -> tuple[np.ndarray, list[str]]:
    """The table (N, width) float64 and notes on counts of points that do not fit, one line each.

    ignored  columns with any text, NaN in the table
    UserError names the first line that does not fit.
    """
    reader = _TableReader(dialect, frozenset(ignored))
    with open_table(path) as file:
        start = dialect.skip
        lines = islice(file, start, None)
        while block := list(islice(lines, BLOCK)):
            reader.read(start + 1, block)
            start += len(block)
    table: np.ndarray = np.frombuffer(reader.values).reshape(-1, dialect.width)
    return table, _count_notes(reader.counts())


class _TableReader:
    """Reads a table block by block into ``values``, row after row: fast where all lines of a block are plain."""

    def __init__(self, dialect: Dialect, ignored: Collection[int]) -> None:
        self.values = array("d")
        self._dialect = dialect
        self._ignored = ignored
        self._simple = not (ignored or dialect.trailing)  # whether every line may be nothing but numbers
        self._tries = MAX_TRIES
        self._header = list(dialect.names)
        self._counts: list[tuple[int, int, int]] = []  # line, promised points, points before it
        if dialect.count is not None:
            self._counts.append((*dialect.count, 0))

    def read(self, start: int, lines: list[str]) -> None:
        """Read ``lines``, of which ``start`` is the number of the first.

        UserError for a line that is neither a row nor to be skipped.
        """
        if self._simple and self._tries and not lines[0].isspace():
            table = self._plain(lines)
            if table is not None:
                self._tries = MAX_TRIES
                self.values.frombytes(table.tobytes())
                return
            self._tries -= 1
        delimiter, width, extend = self._dialect.delimiter, self._dialect.width, self.values.extend
        simple = self._simple and not self._dialect.comma
        for number, line in enumerate(lines, start=start):
            if (
                simple and len(line) <= LONG and line.isascii() and "_" not in line
            ):  # float() takes "1_0" and digits of all scripts
                cells = line.split(delimiter)
                if len(cells) == width:
                    try:
                        extend([*map(float, cells)])
                        continue
                    except ValueError:
                        pass
            extend(self._careful(number, line))

    def _plain(self, lines: list[str]) -> np.ndarray | None:
        """The rows of ``lines`` if all of them are plain numbers; None if any is not. Three times as fast."""
        if max(map(len, lines)) > LONG:
            return None
        if self._dialect.comma:
            lines = [line.replace(",", ".") for line in lines]
        try:
            table: np.ndarray = np.loadtxt(lines, comments=None, delimiter=self._dialect.delimiter, ndmin=2)
        except ValueError:
            return None
        return table if table.shape[1] == self._dialect.width else None

    def counts(self) -> list[tuple[int, int, int]]:
        """Line, promised points and found points of every line with a number of points."""
        ends = [before for _, _, before in (*self._counts[1:], (0, 0, len(self.values) // self._dialect.width))]
        return [(n, promised, end - begin) for (n, promised, begin), end in zip(self._counts, ends, strict=False)]

    def _careful(self, number: int, raw: str) -> list[float]:
        """The numbers of a line, none if it is to be skipped; UserError if neither."""
        line = readable(raw)
        text = line.strip()
        if not text:
            return []
        if is_comment(text):
            names = names_in(text, self._dialect.delimiter, self._dialect.width)
            if names and self._header and names != self._header:
                raise UserError(f"line {number} names other columns than the header: split the file there")
            return []
        if self._counts and COUNT.fullmatch(text):
            self._counts.append((number, int(text), len(self.values) // self._dialect.width))
            return []
        cells = self._dialect.cells(line)
        width = self._dialect.width
        if len(cells) != width:
            last = f" (the last is {quoted(cells[-1], 30)})" if cells else ""
            raise UserError(
                f"line {number}: {len(cells)} columns instead of the {width} of line {self._dialect.skip + 1}{last}: "
                "correct or delete the line"
            )
        if _repeats(cells, self._header):
            return []  # files put together, each with its header
        row = [float("nan") if i in self._ignored else to_number(c, self._dialect.comma) for i, c in enumerate(cells)]
        return [self._checked(value, number, i, cells[i]) for i, value in enumerate(row)]

    def _checked(self, value: float | None, number: int, column: int, cell: str) -> float:
        if value is not None:
            return value
        thousands = " (write it without separators of thousands)" if THOUSANDS.fullmatch(cell) else ""
        raise UserError(
            f"line {number}: {quoted(cell, 30)} in column {column + 1} is not a number{thousands}: correct or "
            f"delete the line, or ignore the column with {COLUMNS}"
        )


def is_skipped(line: str, dialect: Dialect) -> bool:
    """Whether a line behind the first point is none: blank, a comment, a number of points, or the header again."""
    text = line.strip()
    if not text or is_comment(text) or (dialect.count is not None and COUNT.fullmatch(text)):
        return True
    return bool(dialect.names) and _repeats(dialect.cells(line), list(dialect.names))


def _repeats(cells: list[str], names: list[str]) -> bool:
    return cells == names or [cell.strip("\"'") for cell in cells] == names


def _count_notes(counts: list[tuple[int, int, int]]) -> list[str]:
    """Notes on lines with a number of points: (line, promised, found)."""
    wrong = [(line, promised, found) for line, promised, found in counts if promised != found]
    notes = [f"line {line} promises {n:,} points, {found:,} follow" for line, n, found in wrong[:MAX_NOTES]]
    if len(wrong) > MAX_NOTES:
        notes.append(f"{len(wrong) - MAX_NOTES:,} more numbers of points do not fit")
    scans = sum(found > 0 for _, _, found in counts)
    return [f"{scans:,} scans in one file are labeled as one", *notes] if scans > 1 else notes
