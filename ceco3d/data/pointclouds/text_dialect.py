"""How a text table is written, found from its first lines: encoding, delimiter, decimal mark, names, text."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from ceco3d.data.pointclouds.text_cells import (
    COMMA_NUMBER,
    NUMBER,
    THOUSANDS,
    find_delimiters,
    is_comment,
    quoted,
    split_line,
    to_number,
)
from ceco3d.data.pointclouds.text_header import Header, choose_names, refuse_other_text
from ceco3d.utils.errors import UserError

SAMPLE = 1000  # points that decide
BOMS = (
    *((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
)
BEGINNING = 4096  # bytes that tell the encoding


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    delimiter  between cells; None: any blanks
    comma      whether numbers have a decimal comma
    trailing   whether rows end with the delimiter
    skip       lines before the first point
    width      columns, without an empty one after a trailing delimiter
    names      of the columns; none if the file does not name them
    count      (line, points) of the line with the number of points before the first point, or None
    text       column -> a cell of it, for columns of text
    notes      on the header, one line each
    """

    delimiter: str | None
    comma: bool
    trailing: bool
    skip: int
    width: int
    names: Sequence[str]
    count: tuple[int, int] | None
    text: dict[int, str]
    notes: Sequence[str]

    def cells(self, line: str) -> list[str]:
        """The cells of ``line``."""
        cells = split_line(line, self.delimiter)
        return cells[:-1] if self.trailing and cells and not cells[-1] else cells


@contextmanager
def open_table(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """A text file of any usual encoding; UserError if it holds other bytes.

    newline  "" keeps the ends of lines as they are; None makes them "\\n"
    Bytes beyond ASCII become surrogates, see ``readable``: numbers have none, and decoding costs nothing.
    """
    with path.open("rb") as file:
        beginning = file.read(BEGINNING)
        mark, encoding = next(((mark, name) for mark, name in BOMS if beginning.startswith(mark)), (b"", ""))
        if not encoding and b"\0" in beginning:
            even, odd = beginning[::2].count(0), beginning[1::2].count(0)
            if max(even, odd) < 0.4 * len(beginning) / 2 or min(even, odd) > 0:
                raise UserError("is not a text file")
            encoding = "utf-16-le" if odd else "utf-16-be"
        file.seek(len(mark) if encoding == "utf-8" else 0)
        plain = encoding in ("", "utf-8")
        yield io.TextIOWrapper(
            file, "ascii" if plain else encoding, errors="surrogateescape" if plain else "replace", newline=newline
        )


def readable(text: str) -> str:
    """``text`` from ``open_table`` with its letters beyond ASCII: UTF-8 if it is, else Windows-1252."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def find_dialect(path: Path, named: bool) -> Dialect | None:
    """How the table at ``path`` is written; None without any point. UserError if that is not clear.

    named  whether the caller names the columns: then the header is skipped
    """
    header = Header()
    with open_table(path) as file:
        first = _find_row(file, header)
        if first is None:
            refuse_other_text(header)
            return None
        number, line, delimiter = first
        lines = [line, *(readable(line) for line in islice(file, SAMPLE))]
    if _are_numbers_of_columns(lines, delimiter):
        note = f"line {number} is skipped: it numbers the columns"
        return _dialect(lines[1:], delimiter, number, Header(count=header.count), named, [note])
    return _dialect(lines, delimiter, number - 1, header, named, [])


def _find_row(file: TextIO, header: Header) -> tuple[int, str, str | None] | None:
    """Number, text and delimiter of the first row; lines before it go into ``header``."""
    for number, raw in enumerate(file, start=1):
        if not raw.strip():
            continue
        line = readable(raw)
        for delimiter in [] if is_comment(line) else find_delimiters(line):
            return number, line, delimiter
        header.add(number, line)
    return None


def _dialect(
    lines: list[str], delimiter: str | None, skip: int, header: Header, named: bool, notes: list[str]
) -> Dialect:
    rows = [split_line(line, delimiter) for line in lines]
    width = len(rows[0])
    rows = [row for row in rows if len(row) == width]
    trailing = delimiter is not None and width > 3 and not any(row[-1] for row in rows)
    names: list[str] = []
    if not named:
        try:
            names, skipped = choose_names(header, delimiter, width - trailing)
        except UserError:
            if not trailing:
                raise
            names, skipped = choose_names(header, delimiter, width)  # the last column is named and empty
            trailing = False
        notes = [*notes, *skipped]
    columns = list(zip(*(row[: width - trailing] for row in rows), strict=True))
    numbers = [
        [cell for cell in column if NUMBER.fullmatch(cell) or COMMA_NUMBER.fullmatch(cell)] for column in columns
    ]
    comma = _has_decimal_comma([cell for column in numbers for cell in column], delimiter)
    text = {i: example for i, column in enumerate(columns) if (example := _text_of(column, comma)) is not None}
    if len(columns) - len(text) < 3:
        examples = ", ".join(quoted(example) for example in list(text.values())[:3])
        reason = f"; these are text: {examples}" if text else ""
        large = any(map(THOUSANDS.fullmatch, text.values()))
        remedy = "; write numbers without separators of thousands" if large else ""
        raise UserError(f"line {skip + 1}: {len(columns) - len(text)} columns of numbers, not x, y, z{reason}{remedy}")
    return Dialect(delimiter, comma, trailing, skip, len(columns), names, header.count, text, notes)


def _text_of(column: Sequence[str], comma: bool) -> str | None:
    """A cell of a column in which most of the given cells are no numbers; None for other columns."""
    given = [cell for cell in column if cell]
    text = [cell for cell in given if to_number(cell, comma) is None]
    return text[0] if 2 * len(text) > len(given) else None


def _has_decimal_comma(numbers: list[str], delimiter: str | None) -> bool:
    """Whether ``numbers`` have a decimal comma; UserError if a comma may mean something else."""
    commas, points = ([cell for cell in numbers if mark in cell] for mark in ",.")
    if delimiter == ",":
        zeros = next(
            (cell for cell in numbers if cell.lstrip("+-")[:2].isdigit() and cell.lstrip("+-")[0] == "0"), None
        )
        if zeros is not None and not points:
            raise UserError(
                f"commas separate columns and decimals ({zeros} begins with 0): write decimal points, or semicolons"
            )
        return False
    if commas and points:
        raise UserError(f"has decimal points ({points[0]}) and decimal commas ({commas[0]}): write one of them")
    if commas and all(map(THOUSANDS.fullmatch, commas)) and not any(cell.lstrip("+-")[0] == "0" for cell in commas):
        raise UserError(
            f"numbers such as {commas[0]} may have a decimal comma, or a comma between thousands: write decimal points"
        )
    return bool(commas)


def _are_numbers_of_columns(lines: list[str], delimiter: str | None) -> bool:
    """Whether the first line numbers the columns 0, 1, 2, ..., as pandas does, while coordinates have decimals."""
    first, second = (split_line(line, delimiter) for line in (*lines, "")[:2])
    counted = first[1:] if first[0] == "" else first
    return counted == [str(i) for i in range(len(counted))] and any("." in cell for cell in second)
