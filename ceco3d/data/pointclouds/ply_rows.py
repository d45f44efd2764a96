"""Rows of a PLY element with lists of any length, in bytes or in the numbers of a text."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ceco3d.data.pointclouds.ply_header import STANDARD, Element, types_of

CHARACTERS = {  # of ``struct``
    **{"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"},
    **{"f2": "e", "f4": "f", "f8": "d"},
}


@dataclass(frozen=True)
class Lists:
    """A list property of N rows.

    lengths  (N,) int64
    values   (sum of lengths,)
    kinds    NumPy types of lengths and values in the file
    """

    lengths: np.ndarray
    values: np.ndarray
    kinds: tuple[str, str]

    def __len__(self) -> int:
        return len(self.lengths)


Table = dict[str, "np.ndarray | Lists"]  # the properties of an element


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
        self.view = memoryview(data)

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


def as_type(values: np.ndarray, kind: str) -> np.ndarray:
    """Numbers float64 as ``kind``; as they are if that is an integer type that cannot hold them."""
    if kind[0] == "f":
        with np.errstate(over="ignore"):
            return values.astype(kind)
    limits = np.iinfo(kind)
    if values.size and not (values.min() >= limits.min and values.max() <= limits.max and (values % 1 == 0).all()):
        return values
    return values.astype(kind)


def standard_types(table: Table, notes: list[str]) -> Table:
    """The table in types that PLY has; a note for numbers that are rounded."""
    result: Table = {}
    for name, column in table.items():
        values = column.values if isinstance(column, Lists) else column
        converted = _standard(values)
        if converted.dtype == np.float64 and values.dtype.kind in "iu" and (converted.astype(values.dtype) != values).any():
            notes.append(f"{name} holds integers of more than 53 bits: rounded to double in the output")
        result[name] = Lists(column.lengths, converted, column.kinds) if isinstance(column, Lists) else converted
    return result


def _standard(values: np.ndarray) -> np.ndarray:
    if values.dtype.str[1:] in STANDARD:
        return values
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    for kind in ("i4", "u4"):
        limits = np.iinfo(kind)
        if not values.size or (values.min() >= limits.min and values.max() <= limits.max):
            return values.astype(kind)
    return values.astype(np.float64)


def pack_rows(table: Table, count: int) -> np.ndarray:
    """The rows of a binary little-endian file, (bytes,) uint8."""
    sizes = np.zeros(count, np.int64)
    columns: list[tuple[np.ndarray, np.ndarray | None]] = []  # items, lengths of lists
    for column in table.values():
        if isinstance(column, Lists):
            length_type = list_type(column)
            columns += [(column.lengths.astype(length_type), None), (column.values, column.lengths)]
            sizes += np.dtype(length_type).itemsize + column.lengths * column.values.itemsize
        else:
            columns.append((column, None))
            sizes += column.itemsize
    position = np.cumsum(sizes) - sizes
    packed = np.empty(int(sizes.sum()), np.uint8)
    for items, lengths in columns:
        little = np.ascontiguousarray(items.astype(items.dtype.newbyteorder("<"), copy=False))
        size = little.itemsize
        at = position
        if lengths is not None:
            before = np.cumsum(lengths) - lengths
            at = np.repeat(position - before * size, lengths) + np.arange(len(items)) * size
        packed[at[:, None] + np.arange(size)] = little.view(np.uint8).reshape(-1, size)
        position = position + (size if lengths is None else lengths * size)
    return packed


def list_type(lists: Lists) -> str:
    """The NumPy type for the lengths of lists: that of the file if it is usual and large enough."""
    longest = int(lists.lengths.max(initial=0))
    kind = lists.kinds[0]
    if kind in ("u1", "u2", "u4", "i4") and longest <= np.iinfo(kind).max:
        return kind
    return "u1" if longest < 256 else "i4"


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
    lists = {
        name: (np.array(positions[name], np.int64), np.array(lengths[name], np.int64)) for name in element.lists
    }
    return Span(start, end, rows, None, lists)
