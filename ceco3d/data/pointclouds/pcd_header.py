"""Headers of PCD files."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ceco3d.data.pointclouds.column_names import unused_name
from ceco3d.utils.untrusted import one_line

HEADER_BYTES = 1 << 18
DATA = re.compile(rb"(?:^|[\r\n])[ \t]*DATA[ \t]+(\w+)[ \t]*(\r\n|\n|\r|$)", re.IGNORECASE)
KINDS = ("ascii", "binary", "binary_compressed")
KEYS = ("VERSION", "FIELDS", "COLUMNS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS")
TYPES = {
    **{("F", 4): "f4", ("F", 8): "f8"},
    **{(sign, size): f"{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)},
}


@dataclass(frozen=True)
class PcdHeader:
    """A parsed header.

    names   of the fields; "_" is padding
    kinds   their NumPy types
    counts  values per point, at most two possibilities: as given, and with 1 in place of 0
    points  how many
    data    one of KINDS
    starts  where the data may start: more than one byte offset if the line ends do not tell
    notes   what is unusual, one line each
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    points: int
    data: str
    starts: tuple[int, ...]
    notes: tuple[str, ...]

    def row(self, counts: tuple[int, ...]) -> np.dtype:
        """A point of a binary file; field i is "f{i}"."""
        size = sum(int(kind[1]) * count for kind, count in zip(self.kinds, counts, strict=True))
        if size > HEADER_BYTES:
            raise ValueError(f"points of {size} bytes")
        fields = enumerate(zip(self.kinds, counts, strict=True))
        return np.dtype([(f"f{i}", f"<{kind}", (count,)) for i, (kind, count) in fields])


def parse_pcd_header(beginning: bytes) -> PcdHeader:
    """The header in the first bytes of a file; ValueError names the line that is missing or wrong."""
    end = DATA.search(beginning)
    if not end:
        raise ValueError("no line DATA")
    data = end.group(1).decode("latin-1").lower()
    if data not in KINDS:
        raise ValueError(f"line DATA: {one_line(data, 40)!r} is none of {', '.join(KINDS)}")
    header: dict[str, list[str]] = {}
    for line in beginning[: end.start() + 1].decode("latin-1").removeprefix("\xef\xbb\xbf").splitlines():
        words = line.split()
        if words and words[0].upper() in KEYS:
            header.setdefault(words[0].upper(), words[1:])
        elif words and not words[0].startswith("#"):
            raise ValueError(f"unknown header line {one_line(line)!r}")
    given = header.get("FIELDS") or header.get("COLUMNS")
    if not given:
        raise ValueError("no line FIELDS")
    notes: list[str] = []
    names = _unique(given, notes)
    sizes, counts = _numbers(header, "SIZE", names), _numbers(header, "COUNT", names)
    types = [word.upper() for word in header.get("TYPE", ())]
    _check_length("TYPE", len(types), names)
    unknown = next((pair for pair in zip(types, sizes, strict=True) if pair not in TYPES), None)
    if unknown:
        raise ValueError(f"lines TYPE and SIZE: no type {one_line(unknown[0], 20)} of {unknown[1]} bytes")
    kinds = tuple(TYPES[pair] for pair in zip(types, sizes, strict=True))
    starts = [end.end()]
    if end.group(2) == b"\r\n":  # the second character may be the first byte of the data
        starts.append(end.end() - 1)
    possible = dict.fromkeys([tuple(counts), tuple(count or 1 for count in counts)])
    return PcdHeader(tuple(names), kinds, tuple(possible), _points(header, notes), data, tuple(starts), tuple(notes))


def _unique(given: list[str], notes: list[str]) -> list[str]:
    """The names of the fields; the second of two that are equal gets a number."""
    names: list[str] = []
    for word in given:
        name = word if word.startswith("_") else unused_name(word, names)
        if name != word:
            notes.append(f"two fields {one_line(word, 40)}: one is called {one_line(name, 40)}")
        names.append(name)
    return names


def _numbers(header: dict[str, list[str]], key: str, names: list[str]) -> list[int]:
    """The numbers of a line, one per field. Without a line COUNT, each field has one value."""
    if key == "COUNT" and key not in header:
        return [1] * len(names)
    words = header.get(key, [])
    _check_length(key, len(words), names)
    if not all(word.isascii() and word.isdigit() and len(word) < 9 for word in words):
        raise ValueError(f"line {key}: {one_line(' '.join(words), 60)!r} are not whole numbers")
    return [int(word) for word in words]


def _check_length(key: str, found: int, names: list[str]) -> None:
    if found != len(names):
        raise ValueError(f"line {key} has {found} entries for {len(names)} fields" if found else f"no line {key}")


def _points(header: dict[str, list[str]], notes: list[str]) -> int:
    """The number of points: POINTS, or WIDTH times HEIGHT."""
    numbers = {}
    for key in ("POINTS", "WIDTH", "HEIGHT"):
        words = header.get(key, [])
        if words and not (words[0].isascii() and words[0].isdigit() and len(words[0]) < 16):
            raise ValueError(f"line {key}: {one_line(words[0], 40)!r} is not a whole number")
        if words:
            numbers[key] = int(words[0])
    grid = numbers["WIDTH"] * numbers.get("HEIGHT", 1) if "WIDTH" in numbers else None
    points = numbers.get("POINTS", grid)
    if points is None:
        raise ValueError("no line POINTS")
    if grid is not None and grid != points:
        notes.append(f"POINTS is {points:,}, but WIDTH times HEIGHT is {grid:,}: {points:,} points are read")
    return points
