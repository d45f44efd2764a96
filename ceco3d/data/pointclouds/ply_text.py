"""The elements of an ASCII PLY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.number_text import NumberText, read_numbers
from ceco3d.data.pointclouds.ply_header import Element, types_of
from ceco3d.data.pointclouds.ply_rows import Numbers, Span, find_span, read_table, row_starts
from ceco3d.data.pointclouds.ply_tables import Lists, Table, as_type


@dataclass(frozen=True)
class TextTables:
    """What an ASCII file holds, see ``PlyFile``."""

    tables: dict[str, Table]
    elements: tuple[Element, ...]
    copied: bool
    faces_fit: bool = True
    notes: tuple[str, ...] = ()


def read_text_tables(path: Path, start: int, elements: Sequence[Element]) -> TextTables:
    """The elements from byte ``start`` on; ValueError if they do not hold what the header says.

    One row a line is the rule. Otherwise the numbers must be as many as the header says, in any number of lines. A
    comma may be a decimal point or a separator.
    """
    failure: ValueError | None = None
    for comma in (b",", b".", b" "):
        try:
            text = read_numbers(path, start, comma)
            found = _read_rows(text, elements)
        except ValueError as error:
            failure = failure or error
            with path.open("rb") as file:
                file.seek(start)
                if b"," not in file.read(1 << 20):
                    break
        else:
            return found
    raise failure or ValueError("no numbers")


def _read_rows(text: NumberText, elements: Sequence[Element]) -> TextTables:
    source = Numbers(text.numbers)
    line_starts = np.cumsum(text.per_line) - text.per_line
    spans: dict[str, Span] = {}
    position = line = 0
    one_a_line = True
    for element in elements:
        span = spans[element.name] = find_span(source, element, position)
        rows = span.rows
        if element.properties and rows < element.count:
            return _read_lines(text, elements)
        starts = row_starts(source, element, span) if rows else np.empty(0, np.int64)
        one_a_line &= np.array_equal(line_starts[line : line + rows], starts)
        position, line = span.end, line + rows
    if position < len(text.numbers):
        one_a_line &= line < len(line_starts) and line_starts[line] == position
        if not one_a_line:
            return _read_lines(text, elements)
    notes = []
    if line < len(line_starts) and one_a_line:
        notes.append(f"{len(line_starts) - line:,} lines behind the last row that the header names are not read")
    tables = {element.name: read_table(source, element, spans[element.name]) for element in elements}
    changed = [
        f"{element.name} {name}"
        for element in elements
        for name in element.properties
        if _changed(element, name, tables)
    ]
    if changed:
        notes.append(f"numbers beyond the types in the header: {', '.join(changed[:5])}; read as they are")
    return TextTables(tables, tuple(elements), one_a_line and text.plain and not changed, notes=tuple(notes))


def _changed(element: Element, name: str, tables: dict[str, Table]) -> bool:
    """Whether a column has another type than in the header."""
    column, kind = tables[element.name].get(name), types_of(element.properties[name])[-1]
    values = column.values if isinstance(column, Lists) else column
    return values is not None and values.dtype != np.dtype(kind)


def _read_lines(text: NumberText, elements: Sequence[Element]) -> TextTables:
    """Rows that are not as the header says, one a line: good vertices, and what can be told of the rest."""
    source = Numbers(text.numbers)
    line_starts = np.append(np.cumsum(text.per_line) - text.per_line, len(text.numbers))
    tables: dict[str, Table] = {}
    kept: list[Element] = []
    notes: list[str] = []
    line = 0
    for element in elements:
        there = min(element.count, len(text.per_line) - line) if element.properties else 0
        span = find_span(source, Element(element.name, there, element.properties), int(line_starts[line]))
        good = span.rows == there and np.array_equal(
            row_starts(source, element, span) if there else line_starts[:0], line_starts[line : line + there]
        )
        good = good and span.end == line_starts[line + there]
        if element.name == "vertex":
            if not good:
                raise ValueError(_wrong_width(text, element, line, there))
            if there < element.count:
                raise ValueError("it ends too early")
        if good:
            tables[element.name] = read_table(source, element, span)
            kept.append(Element(element.name, there, element.properties))
        else:
            table, properties = _prefixes(source, element, line_starts[line : line + there + 1])
            tables[element.name] = table
            rows = len(next(iter(table.values()))) if table else 0
            kept.append(Element(element.name, rows, properties))
        notes += _lost(element, there, kept[-1], bool(good))
        line += there
    _check_last_vertex(text, elements, notes)
    if line < len(text.per_line):
        notes.append(f"{len(text.per_line) - line:,} lines behind the last row that the header names are not read")
    face = next((note for note in notes if "element face" in note), None)
    return TextTables(tables, tuple(kept), False, face is None, tuple(notes))


def _wrong_width(text: NumberText, element: Element, line: int, there: int) -> str:
    """Why the vertices are not as the header says."""
    if there < element.count:
        return "it ends too early"
    if element.lists:
        return "its vertices are not laid out as the header says"
    widths = text.per_line[line : line + there]
    width = len(element.properties)
    at = int(np.flatnonzero(widths != width)[0])
    return f"{widths[at]} numbers in the row of vertex {at + 1}, but the header names {width} properties"


def _lost(element: Element, there: int, kept: Element, good: bool) -> list[str]:
    """A note on what is missing of an element."""
    problems = []
    if there < element.count and element.properties:
        problems.append(f"has {there:,} of {element.count:,} rows")
    if not good:
        gone = [name for name in element.properties if name not in kept.properties]
        less = f"without {', '.join(gone)}" if gone else "without their surplus numbers"
        problems.append(f"has rows that are not as the header says: {kept.count:,} rows are kept {less}")
    if not problems:
        return []
    ending = "; normals do not come from its faces" if element.name == "face" else ""
    return [f"element {element.name} {' and '.join(problems)}{ending}"]


def _prefixes(source: Numbers, element: Element, line_starts: np.ndarray) -> tuple[Table, dict[str, str]]:
    """What the lines of a broken element begin with: the properties that all rows have; the last row may be cut."""
    names = list(element.properties)
    rows: list[list[tuple[int, int]]] = []  # first position and length of each property
    for first, end in zip(line_starts[:-1].tolist(), line_starts[1:].tolist(), strict=True):
        row: list[tuple[int, int]] = []
        for name in names:
            length = 1
            if name in element.lists:
                value = source.data[first] if first < end else -1
                length = int(value) if 0 <= value < end - first and value % 1 == 0 else -1
                first += 1
            if length < 0 or first + length > end:
                break
            row.append((first, length))
            first += length
        rows.append(row)
    if len(rows) > 1 and len(rows[-1]) < len(rows[-2]):
        rows.pop()
    if names and names[0] in element.lists:
        rows = [row for row in rows if row]
    common = min(map(len, rows), default=0)
    table: Table = {}
    for i, name in enumerate(names[:common]):
        first_at = np.array([row[i][0] for row in rows], np.int64)
        lengths = np.array([row[i][1] for row in rows], np.int64)
        *count, item = types_of(element.properties[name])
        if not count:
            table[name] = source.take(item, first_at)
            continue
        index = np.repeat(first_at - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))
        table[name] = Lists(lengths, as_type(source.data[index], item), (count[0], item))
    return table, {name: element.properties[name] for name in names[:common]}


def _check_last_vertex(text: NumberText, elements: Sequence[Element], notes: list[str]) -> None:
    """ValueError if the last vertex is a face: then there are fewer vertices than the header says."""
    names = [element.name for element in elements]
    if "face" not in names or names.index("face") < names.index("vertex") or not notes:
        return
    face, at = (
        elements[names.index("face")],
        sum(e.count for e in elements[: names.index("vertex") + 1] if e.properties),
    )
    start = int(text.per_line[: at - 1].sum())
    row = text.numbers[start : start + int(text.per_line[at - 1])]
    span = find_span(Numbers(row), Element("face", 1, face.properties), 0)
    if span.rows and span.end == len(row) and (row % 1 == 0).all() and row[0] >= 3:
        raise ValueError("it has fewer vertices than the header says")
