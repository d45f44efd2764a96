"""Rows of a PLY element with lists of any length, in bytes or in the numbers of a text."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ceco3d.data.pointclouds.ply_header import Element, types_of
from ceco3d.data.pointclouds.ply_tables import Lists, Table, as_type

CHARACTERS = {  # of ``struct``
    **{"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"},
    **{"f2": "e", "f4": "f", "f8": "d"},
}


class Source(Protocol):
    """A file as units in a row: bytes of a binary file, numbers of a text."""

    def __len__(self) -> int: ...

    def size(self, kind: str) -> int:
        """Units of a value."""

    def length(self, kind: str, position: int) -> int:
        """The length of a list that is stored at ``position``; ValueError if it is none."""

    def take(self, kind: str, positions: np.ndarray) -> np.ndarray:
        """The values at ``positions``."""

    def uniform(self, element: Element, span: Span) -> Table:
        """The table of a span with ``entries``."""


@dataclass(frozen=True)
class Span:
    """Where an element is.

    start, end  in units
    rows        complete ones, at most as many as the header says
    entries     list name -> length, if it is the same in every row; else None
    lists       otherwise: name -> positions (rows,) of the first entry, and lengths (rows,)
    """

    start: int
    end: int
    rows: int
    entries: dict[str, int] | None
    lists: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


class Bytes:
    """A binary file."""

    def __init__(self, data: np.ndarray, order: str) -> None:
        self.data = data
        self.order = order
        self.view = data.data

    def __len__(self) -> int:
        return len(self.data)

    def size(self, kind: str) -> int:
        return int(kind[1])

    def length(self, kind: str, position: int) -> int:
        return int(struct.unpack_from(self.order + CHARACTERS[kind], self.view, position)[0])

    def take(self, kind: str, positions: np.ndarray) -> np.ndarray:
        index = positions[:, None] + np.arange(self.size(kind))
        values: np.ndarray = self.data[index].reshape(-1).view(self.order + kind)
        return values.astype(kind, copy=False)

    def uniform(self, element: Element, span: Span) -> Table:
        rows = np.frombuffer(self.data, element.dtype(self.order, span.entries), span.rows, span.start)
        table: Table = {}
        for name, kind in element.properties.items():
            if name in element.lists:
                lengths = rows[f"{name} length"].astype(np.int64)
                count, item = types_of(kind)
                table[name] = Lists(lengths, rows[name].astype(item).reshape(-1), (count, item))
            else:
                table[name] = rows[name].astype(kind)
        return table


class Numbers:
    """The numbers (T,) float64 of a text."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def size(self, kind: str) -> int:
        return 1

    def length(self, kind: str, position: int) -> int:
        value = float(self.data[position])
        if not value.is_integer():
            raise ValueError("the length of a list is no whole number")
        return int(value)

    def take(self, kind: str, positions: np.ndarray) -> np.ndarray:
        return as_type(self.data[positions], kind)

    def uniform(self, element: Element, span: Span) -> Table:
        rows = self.data[span.start : span.end].reshape(span.rows, -1)
        table: Table = {}
        column = 0
        for name, kind in element.properties.items():
            if name in element.lists:
                length, (count, item) = (span.entries or {})[name], types_of(kind)
                values = as_type(rows[:, column + 1 : column + 1 + length].reshape(-1), item)
                table[name] = Lists(rows[:, column].astype(np.int64), values, (count, item))
                column += 1 + length
            else:
                table[name] = as_type(rows[:, column], kind)
                column += 1
        return table


def find_span(source: Source, element: Element, start: int) -> Span:
    """The rows of ``element`` from ``start`` on. Nothing is read beyond the end of the source."""
    first = next(_row_lists(source, element, start, min(element.count, 1)), None) if element.properties else None
    if first is None:
        return Span(start, start, 0, dict.fromkeys(element.lists, 0))
    lists, end = first
    width = end - start
    rows = min(element.count, (len(source) - start) // width)
    if lists and rows < element.count:  # cut, or the first row is longer than others
        return _ragged(source, element, start)
    for name, (position, length) in lists.items():
        count_type = types_of(element.properties[name])[0]
        at = position - source.size(count_type) + np.arange(rows) * width
        if not (source.take(count_type, at) == length).all():
            return _ragged(source, element, start)
    return Span(start, start + rows * width, rows, {name: length for name, (_, length) in lists.items()})


def read_table(source: Source, element: Element, span: Span) -> Table:
    """The columns of the complete rows."""
    if span.entries is not None:
        return source.uniform(element, span)
    table: Table = {}
    position = row_starts(source, element, span)
    for name, kind in element.properties.items():
        if name not in element.lists:
            table[name] = source.take(kind, position)
            position = position + source.size(kind)
            continue
        count, item = types_of(kind)
        first, lengths = span.lists[name]
        size = source.size(item)
        before = np.cumsum(lengths) - lengths
        index = np.repeat(first - before * size, lengths) + np.arange(int(lengths.sum())) * size
        table[name] = Lists(lengths, source.take(item, index), (count, item))
        position = first + lengths * size
    return table


def row_starts(source: Source, element: Element, span: Span) -> np.ndarray:
    """(rows,) position of each row."""
    if span.entries is not None:
        width = (span.end - span.start) // span.rows if span.rows else 0
        return span.start + np.arange(span.rows) * width
    name = element.lists[0]
    head = source.size(types_of(element.properties[name])[0])
    for other, kind in element.properties.items():
        if other == name:
            break
        head += source.size(kind)
    return span.lists[name][0] - head


def _row_lists(
    source: Source, element: Element, start: int, count: int
) -> Iterator[tuple[dict[str, tuple[int, int]], int]]:
    """For each complete row: list name -> position of the first entry and length, and where the row ends."""
    steps: list[tuple[str, int, str, int, int]] = []
    skip = 0
    for name, kind in element.properties.items():
        if name in element.lists:
            length_type, item = types_of(kind)
            steps.append((name, skip, length_type, source.size(length_type), source.size(item)))
            skip = 0
        else:
            skip += source.size(kind)
    size = len(source)
    position = start
    for _ in range(count):
        found = {}
        for name, before, length_type, length_size, item_size in steps:
            position += before + length_size
            if position > size:
                return
            try:
                length = source.length(length_type, position - length_size)
            except (ValueError, OverflowError):  # no whole number
                return
            found[name] = (position, length)
            position += length * item_size
            if length < 0 or position > size:
                return
        position += skip
        if position > size:
            return
        yield found, position


def _ragged(source: Source, element: Element, start: int) -> Span:
    end, rows = start, 0
    positions: dict[str, list[int]] = {name: [] for name in element.lists}
    lengths: dict[str, list[int]] = {name: [] for name in element.lists}
    for found, after in _row_lists(source, element, start, element.count):
        for name, (position, length) in found.items():
            positions[name].append(position)
            lengths[name].append(length)
        end = after
        rows += 1
    lists = {name: (np.array(positions[name], np.int64), np.array(lengths[name], np.int64)) for name in element.lists}
    return Span(start, end, rows, None, lists)
