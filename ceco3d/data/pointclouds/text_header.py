"""What comes before the points in a text file: names of the columns, and the number of points."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ceco3d.data.pointclouds.column_names import COLOR_NAMES, COORD_NAMES, NORMAL_NAMES, find_columns
from ceco3d.data.pointclouds.text_cells import COUNT, DELIMITERS, NUMBER, SEPARATED, is_comment, quoted, split_line
from ceco3d.utils.errors import UserError

COLUMNS = "columns=[x,y,z,_,...]"  # the remedy; "_" is a column to ignore
TITLES = 100  # lines of text before the points, comments aside


@dataclass
class Header:
    """Lines before the first point.

    lines  (number, text) of those that may be names
    count  (number, points) of the line with the number of points, or None
    """

    lines: list[tuple[int, str]] = field(default_factory=list)
    count: tuple[int, int] | None = None

    def add(self, number: int, line: str) -> None:
        """Take line ``number``; UserError if a table cannot begin with it."""
        text = line.strip()
        if COUNT.fullmatch(text):
            self.count = (number, int(text))
        elif is_comment(line):
            if any(_is_header(names) for names in _readings(text)):
                self.lines.append((number, text))
        elif all(map(NUMBER.fullmatch, text.split())):
            raise UserError(f"line {number}: {quoted(text)} has {len(text.split())} columns, not x, y, z (or more)")
        else:
            self.lines.append((number, text))
        if len(self.lines) > TITLES:
            raise UserError(f"line {number}: no point in {TITLES} lines; the first is {quoted(self.lines[0][1])}")


def choose_names(header: Header, delimiter: str | None, width: int) -> tuple[list[str], list[str]]:
    """The names of ``width`` columns, none if the header has none, and notes on lines that are skipped.

    The last line that names x, y and z counts, one without # before one with it. UserError if its names are not one
    for each column, or if there are other words than names.
    """
    lines = sorted(header.lines, key=lambda line: not is_comment(line[1]))  # stable: comments first
    chosen: tuple[int, list[str]] | None = None
    for number, text in lines:
        readings = list(_readings(text, delimiter))
        fitting = [names for names in readings if len(names) == width]
        named = [names for names in fitting + readings if find_columns(names, COORD_NAMES)]
        words = fitting and not any(map(NUMBER.fullmatch, fitting[0]))
        if named or (words and (chosen is None or not find_columns(chosen[1], COORD_NAMES))):
            chosen = number, (named or fitting)[0]
    plain = [(number, text) for number, text in lines if not is_comment(text)]
    if chosen is None:
        refuse_other_text(header)
        return [], []
    number, names = chosen
    if len(names) != width:
        raise UserError(
            f"line {number} has {len(names)} names for {width} columns ({quoted(' '.join(names), 100)}): {_remedy()}"
        )
    skipped = [f"line {n} is skipped: {quoted(text, 60)}" for n, text in plain if n != number]
    return names, skipped


def refuse_other_text(header: Header) -> None:
    """UserError for the first line that is neither a comment nor names x, y and z."""
    for number, text in header.lines:
        if not is_comment(text) and not any(find_columns(names, COORD_NAMES) for names in _readings(text)):
            what = f"line {number}: {quoted(text)} is neither a row of numbers nor names with x, y and z"
            large = "; write numbers without separators of thousands" if SEPARATED.search(text) else ""
            raise UserError(f"{what}{large}: {_remedy()}")


def names_in(text: str, delimiter: str | None, width: int) -> list[str]:
    """The names of ``width`` columns with x, y and z in a line; none if it is something else."""
    readings = (names for names in _readings(text, delimiter) if len(names) == width)
    return next((names for names in readings if find_columns(names, COORD_NAMES)), [])


def _remedy() -> str:
    return f"correct or delete the line, or name the columns with {COLUMNS}"


def _readings(text: str, delimiter: str | None = None) -> Iterator[list[str]]:
    """The names in a line, as separated by ``delimiter`` and by all others."""
    if is_comment(text):
        text = text.lstrip("#/% \t")
    text = re.sub(r"^[\w ]+:\s+", "", text)  # "Columns: x y z"
    present = [mark for mark in DELIMITERS if mark is not None and mark in text]
    for mark in dict.fromkeys([delimiter, *present, None]):
        if mark is None:
            yield [name.strip("\"',;|") for name in _blank_separated(text)]
        elif mark in text:
            names = [name.strip("\"' ") for name in split_line(text, mark)]
            yield names
            if names[-1] == "":
                yield names[:-1]


def _blank_separated(text: str) -> list[str]:
    """Words, quoted or not; what is in brackets belongs to the word before: "X [m]", "Roughness (0.1)"."""
    return re.findall(r'"[^"]*"|[^\s(\[]+(?:\s*(?:\([^)]{0,80}\)|\[[^\]]{0,80}\]))?', text)


def _is_header(names: Sequence[str]) -> bool:
    """Whether a comment names columns, not only something else."""
    return any(find_columns(names, triples) is not None for triples in (COORD_NAMES, COLOR_NAMES, NORMAL_NAMES))
