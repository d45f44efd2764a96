"""Columns of a PLY element, also lists, in the types that PLY has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ceco3d.data.pointclouds.column_names import unused_name
from ceco3d.data.pointclouds.ply_header import STANDARD


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
    return {
        name: Lists(column.lengths, standard_type(column.values, name, notes), column.kinds)
        if isinstance(column, Lists)
        else standard_type(column, name, notes)
        for name, column in table.items()
    }


def standard_type(values: np.ndarray, name: str, notes: list[str]) -> np.ndarray:
    """The values of property ``name`` in a type that PLY has; a note if they are rounded."""
    converted = _standard(values)
    if values.dtype.kind in "iu" and converted.dtype == np.float64 and (converted.astype(values.dtype) != values).any():
        notes.append(f"{name} holds integers of more than 53 bits: rounded to double in the output")
    return converted


def _standard(values: np.ndarray) -> np.ndarray:
    if values.dtype.str[1:] in STANDARD:
        return values
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    if values.dtype.kind not in "iu":
        raise ValueError(f"values of type {values.dtype} are no numbers")
    for kind in ("i4", "u4"):
        limits = np.iinfo(kind)
        if not values.size or (values.min() >= limits.min and values.max() <= limits.max):
            return values.astype(kind)
    return values.astype(np.float64)


def standard_names(names: Iterable[str]) -> list[str]:
    """Names of properties that every reader takes: ASCII, without blanks, each once."""
    result: list[str] = []
    for name in names:
        plain = re.sub(r"\s+", "_", name.strip()).encode("ascii", "backslashreplace").decode() or "_"
        result.append(unused_name(plain, result))
    return result


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
