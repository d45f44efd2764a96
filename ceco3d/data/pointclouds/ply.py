"""The PLY reader: vertices and triangles of ASCII and binary files, for scans, raw meshes and predictions.

The header is parsed once, and nothing is allocated before the file is known to be as long as its header says. Vertices
and triangles of binary files are mapped, never turned into Python objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from plyfile import PlyData, PlyParseError

from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

HEADER_BYTES = 1 << 16  # far more than any real PLY header
HEADER_END = re.compile(rb"[\r\n]end_header[ \t]*\r?\n")  # on a line of its own: a comment may contain the word
ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
FACE_LISTS = ("vertex_indices", "vertex_index")  # names of the corners of a face


@dataclass(frozen=True)
class Element:
    """An element of the header. ``properties``: name -> type, or "list COUNT_TYPE TYPE" for lists."""

    name: str
    count: int
    properties: dict[str, str]

    @property
    def lists(self) -> list[str]:
        """Names of its list properties."""
        return [name for name, kind in self.properties.items() if kind.startswith("list ")]

    def dtype(self, order: str, entries: dict[str, int] | None = None) -> np.dtype:
        """A row of a binary file, with ``entries[name]`` entries in each list; ValueError if a list has no number.

        The length of list ``name``, as the file has it, is the field "name length".
        """
        fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        for name, kind in self.properties.items():
            *count, item = (order + TYPES[word] for word in kind.removeprefix("list ").split())
            if not count:
                fields.append((name, item))
            elif entries is None or name not in entries:
                raise ValueError(f"element {self.name} has list properties")
            else:
                fields += [(f"{name} length", count[0]), (name, item, (entries[name],))]
        return np.dtype(fields)


@dataclass(frozen=True)
class PlyFile:
    """A PLY file with vertices: its header, and where its elements are.

    format   a key of ORDERS
    start    byte offset of the first element
    header   its lines without the first and the last
    elements in file order
    """

    path: Path
    format: str
    start: int
    header: tuple[str, ...]
    elements: tuple[Element, ...]

    @property
    def order(self) -> str:
        """Byte order, as NumPy writes it."""
        return ORDERS[self.format]

    @property
    def vertex(self) -> Element:
        """The element with the points."""
        return next(element for element in self.elements if element.name == "vertex")

    @property
    def face(self) -> Element | None:
        """The element with the faces, if any."""
        return next((element for element in self.elements if element.name == "face"), None)

    def before(self, element: Element) -> tuple[Element, ...]:
        """The elements in front of ``element``."""
        return self.elements[: self.elements.index(element)]

    def offset(self, element: Element) -> int:
        """Byte offset of ``element`` in a binary file; ValueError if lists come before it."""
        return self.start + sum(other.count * other.dtype("=").itemsize for other in self.before(element))

    def vertices(self) -> np.ndarray:
        """(N,) records, one field per property: mapped from a binary file, parsed from an ASCII file.

        ValueError if an ASCII file does not hold what its header says.
        """
        dtype, width = self.vertex.dtype(self.order), len(self.vertex.properties)
        if not self.vertex.count:
            return np.empty(0, dtype)
        if self.format != "ascii":
            return np.memmap(self.path, dtype, "r", self.offset(self.vertex), (self.vertex.count,))
        with self.path.open("rb") as file:
            lines = self.lines(file)
            skipped = sum(element.count for element in self.before(self.vertex))
            table = np.loadtxt(islice(lines, skipped, skipped + self.vertex.count), comments=None, ndmin=2)
            rest = sum(element.count for element in self.elements) - skipped - self.vertex.count
            if len(table) < self.vertex.count or sum(1 for _ in lines) < rest:
                raise ValueError("it ends too early")
        if table.shape[1] != width:
            raise ValueError(f"{table.shape[1]} numbers per vertex instead of {width}")
        records = np.empty(len(table), dtype)
        for name, column in zip(self.vertex.properties, table.T, strict=True):
            records[name] = column
        return records

    def lines(self, file: BinaryIO) -> Iterator[bytes]:
        """The rows of all elements of an ASCII file."""
        file.seek(self.start)
        return (line for line in file if not line.isspace())


def open_ply(path: Path) -> PlyFile:
    """Parse the header and check that the file is as long as it says; ValueError if not, OSError if unreadable."""
    with path.open("rb") as file:
        beginning = file.read(HEADER_BYTES)
    end = HEADER_END.search(beginning)
    if not re.match(rb"ply\s", beginning) or not end:
        raise ValueError("no PLY header")
    lines = (line.strip().decode("latin-1") for line in beginning[: end.start()].splitlines()[1:])
    header = tuple(line for line in lines if line)
    kind, elements = _parse(header)
    ply = PlyFile(path, kind, end.end(), header, elements)
    _check(ply)
    return ply


def _parse(header: tuple[str, ...]) -> tuple[str, tuple[Element, ...]]:
    """The format and the elements; ValueError for a line that is not PLY."""
    kind = ""
    elements: dict[str, Element] = {}
    for line in header:
        match line.split():
            case ["comment" | "obj_info", *_]:
                pass
            case ["format", kind, *_]:
                pass
            case ["element", name, count] if name not in elements:
                elements[name] = Element(name, int(count), {})
            case ["property", *words, name] if elements and _is_type(words):
                properties = list(elements.values())[-1].properties
                if name in properties:
                    raise ValueError(f"two properties {name}")
                properties[name] = " ".join(words)
            case _:
                raise ValueError(f"unknown header line {one_line(line)!r}")
    if kind not in ORDERS:
        raise ValueError(f"unknown format {kind!r}")
    return kind, tuple(elements.values())


def _is_type(words: list[str]) -> bool:
    if words[:1] == ["list"]:
        return len(words) == 3 and words[1] in TYPES and words[2] in TYPES
    return len(words) == 1 and words[0] in TYPES


def _check(ply: PlyFile) -> None:
    """ValueError unless there are vertices of fixed size, and the file is long enough."""
    if not any(element.name == "vertex" for element in ply.elements):
        raise ValueError("no element vertex")
    if any(element.count < 0 for element in ply.elements):
        raise ValueError("a negative number of rows")
    if not ply.vertex.properties:
        raise ValueError("vertices without properties")
    row = ply.vertex.dtype(ply.order).itemsize  # refuses lists
    size = ply.path.stat().st_size
    if ply.format == "ascii":
        if sum(element.count for element in ply.elements) > size:
            raise ValueError("it ends too early")
        return
    needed = ply.offset(ply.vertex) + ply.vertex.count * row
    for element in ply.elements[len(ply.before(ply.vertex)) + 1 :]:
        fewest = 3 if element.name == "face" else 0  # corners of a face
        needed += element.count * element.dtype("=", dict.fromkeys(element.lists, fewest)).itemsize
    if size < needed:
        raise ValueError("it ends too early")


def mapped_triangles(ply: PlyFile) -> np.ndarray:
    """The faces (F, 3) of a binary file in which each one is a triangle, mapped; ValueError if it is not such a file.

    Faces may have other properties, and lists of six entries: texture coordinates of three corners.
    """
    face = ply.face
    index = next((name for name in FACE_LISTS if face and name in face.lists), None)
    if ply.format == "ascii":
        raise ValueError("not a binary PLY")
    if face is None or index is None:
        raise ValueError("no list properties vertex_indices of faces")
    entries = {name: 3 if name == index else 6 for name in face.lists}
    dtype = face.dtype(ply.order, entries)
    if not face.count:
        return np.empty((0, 3), dtype[index].base)
    rows = np.memmap(ply.path, dtype, "r", ply.offset(face), (face.count,))
    for name, count in entries.items():
        if (rows[f"{name} length"] != count).any():
            raise ValueError("unexpected list length")
    return rows[index]


def read_triangles(ply: PlyFile) -> np.ndarray | None:
    """The faces as triangles (F, 3) int64, polygons cut into fans; None without faces.

    Triangles of a binary file are mapped; other faces are read one by one. UserError if the faces are damaged.
    """
    face = ply.face
    index = next((name for name in FACE_LISTS if face and name in face.properties), None)
    if face is None or index is None or not face.count:
        return None
    try:
        try:
            triangles = mapped_triangles(ply).astype(np.int64)
        except ValueError:
            triangles = _fans(PlyData.read(ply.path)["face"][index])
    except (PlyParseError, ValueError, OSError) as error:
        raise UserError(f"damaged ({one_line(error)})") from None
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < ply.vertex.count:
        raise UserError("damaged (faces of vertices that do not exist)")
    return triangles


def _fans(faces: np.ndarray) -> np.ndarray:
    """Polygons, an array of index arrays, as triangles (F, 3) int64."""
    corners = np.fromiter(map(len, faces), np.int64, len(faces))
    triangles = [np.empty((0, 3), np.int64)]
    for count in np.unique(corners[corners >= 3]):
        polygons = np.stack(faces[corners == count]).astype(np.int64)
        triangles += [polygons[:, [0, i, i + 1]] for i in range(1, count - 1)]
    return np.concatenate(triangles)
