"""PLY files of any kind, read column by column and extended without touching the rest.

Vertices are mapped from the file, never made into Python objects. Labels are added to the file as it is: every vertex
row gets more bytes at its end, and faces and other elements are copied.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from plyfile import PlyData, PlyElement, PlyParseError

from ceco3d.utils.errors import UserError

HEADER_BYTES = 1 << 16  # far above any real PLY header
ROWS = 1 << 20  # written at a time
ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
NAMES = {"u1": "uchar", "i4": "int", "f4": "float"}  # of the types that are added
PREFIX = "original_"  # what a property is called after another one took its name


@dataclass(frozen=True)
class Element:
    """An element of the header: its properties as name -> type, "list COUNT_TYPE TYPE" for lists."""

    name: str
    count: int
    properties: dict[str, str]

    def row_bytes(self, entries: int | None = None) -> int:
        """Bytes of a row in a binary file with ``entries`` in each list; ValueError for lists and no number."""
        total = 0
        for kind in self.properties.values():
            size, *item = (np.dtype(TYPES[word]).itemsize for word in kind.removeprefix("list ").split())
            if item and entries is None:
                raise ValueError(f"element {self.name} has lists")
            total += size + sum(item) * (entries or 0)
        return total


@dataclass(frozen=True)
class PlyFile:
    """Where what lies in a PLY file with vertices.

    start    byte at which the elements begin
    elements in the order of the file
    """

    path: Path
    format: str
    start: int
    header: tuple[str, ...]
    elements: tuple[Element, ...]

    @property
    def vertex(self) -> Element:
        """The element with the points."""
        return next(element for element in self.elements if element.name == "vertex")

    @property
    def before(self) -> tuple[Element, ...]:
        """The elements in front of the vertices (usually none)."""
        return self.elements[: self.elements.index(self.vertex)]

    @property
    def dtype(self) -> np.dtype:
        """Of a vertex in the file."""
        order = ORDERS[self.format]
        return np.dtype([(name, order + TYPES[kind]) for name, kind in self.vertex.properties.items()])

    @property
    def offset(self) -> int:
        """First byte of the vertices in a binary file."""
        return self.start + sum(element.count * element.row_bytes() for element in self.before)

    def vertices(self) -> np.ndarray:
        """The vertices (N,) of a binary file as records mapped from it; of an ascii one, read."""
        if not self.vertex.count:
            return np.empty(0, self.dtype)
        if self.format != "ascii":
            return np.memmap(self.path, self.dtype, "r", self.offset, (self.vertex.count,))
        with self.path.open("rb") as file:
            lines = self.lines(file)
            skipped = sum(element.count for element in self.before)
            table = np.loadtxt(islice(lines, skipped, skipped + self.vertex.count), comments=None, ndmin=2)
            rest = sum(element.count for element in self.elements) - skipped - self.vertex.count
            if len(table) < self.vertex.count or sum(1 for _ in lines) < rest:
                raise ValueError("it ends too early")
        if table.shape[1] != len(self.dtype):
            raise ValueError(f"{table.shape[1]} numbers a vertex instead of {len(self.dtype)}")
        records = np.empty(len(table), self.dtype)
        for name, column in zip(self.dtype.names, table.T, strict=True):
            records[name] = column
        return records

    def lines(self, file: BinaryIO) -> Iterator[bytes]:
        """The rows of all elements of an ascii file."""
        file.seek(self.start)
        return (line for line in file if not line.isspace())


def open_ply(path: Path) -> PlyFile:
    """Read the header, and check that the file is as long as it says; ValueError when something is wrong with it."""
    with path.open("rb") as file:
        text, end, rest = file.read(HEADER_BYTES).partition(b"end_header")
    if not re.match(rb"ply\s", text) or not end:
        raise ValueError("no PLY header")
    start = len(text) + len(end) + rest.index(b"\n") + 1
    header = tuple(line.strip() for line in text.decode("latin-1").splitlines()[1:] if line.strip())
    elements: list[Element] = []
    kind = ""
    for line in header:
        word, *values = line.split()
        if word == "format":
            kind = values[0]
        elif word == "element":
            elements.append(Element(values[0], int(values[1]), {}))
        elif word == "property":
            if values[-1] in elements[-1].properties:
                raise ValueError(f"two properties {values[-1]}")
            elements[-1].properties[values[-1]] = " ".join(values[:-1])
    ply = PlyFile(path, kind, start, header, tuple(elements))
    _check(ply)
    return ply


def _check(ply: PlyFile) -> None:
    if ply.format not in ORDERS:
        raise ValueError(f"unknown format {ply.format!r}")
    unknown = (
        {w for e in ply.elements for kind in e.properties.values() for w in kind.split()} - TYPES.keys() - {"list"}
    )
    if unknown:
        raise ValueError(f"unknown type {unknown.pop()!r}")
    if not any(element.name == "vertex" for element in ply.elements):
        raise ValueError("no element vertex")
    if any(element.count < 0 for element in ply.elements):
        raise ValueError("a negative number of rows")
    if not ply.vertex.properties:
        raise ValueError("vertices without properties")
    ply.vertex.row_bytes()
    if ply.format == "ascii":
        if sum(element.count for element in ply.elements) > ply.path.stat().st_size:
            raise ValueError("it ends too early")
        return
    after = ply.elements[len(ply.before) + 1 :]
    # A face has three corners at least.
    smallest = sum(e.count * e.row_bytes(3 if e.name == "face" else 0) for e in after)
    if ply.path.stat().st_size < ply.offset + ply.vertex.count * ply.vertex.row_bytes() + smallest:
        raise ValueError("it ends too early")


def read_triangles(ply: PlyFile) -> np.ndarray | None:
    """The faces as triangles (F, 3) int64, polygons cut into fans; None without faces.

    UserError when they are damaged. Triangles of a binary file are mapped; other faces become objects, one by one.
    """
    face = next((element for element in ply.elements if element.name == "face"), None)
    index = face and next((name for name in ("vertex_indices", "vertex_index") if name in face.properties), None)
    if not index or not face.count:
        return None
    lists = [name for name, kind in face.properties.items() if kind.startswith("list")]
    known = {name: 3 if name == index else 6 for name in lists}  # 6: texture coordinates of three corners
    try:
        try:
            faces = PlyData.read(ply.path, known_list_len={"face": known})["face"][index]
        except PlyParseError:
            faces = PlyData.read(ply.path)["face"][index]
        triangles = faces.astype(np.int64) if faces.ndim == 2 else _fans(faces)
    except (PlyParseError, ValueError, OSError) as error:
        raise UserError(f"damaged ({' '.join(str(error).split())})") from None
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < ply.vertex.count:
        raise UserError("damaged (faces of vertices that do not exist)")
    return triangles


def _fans(faces: np.ndarray) -> np.ndarray:
    """Polygons, an array of index arrays, as triangles (F, 3)."""
    corners = np.fromiter(map(len, faces), np.int64, len(faces))
    triangles = [np.empty((0, 3), np.int64)]
    for count in np.unique(corners[corners >= 3]):
        polygons = np.stack(faces[corners == count]).astype(np.int64)
        triangles += [polygons[:, [0, i, i + 1]] for i in range(1, count - 1)]
    return np.concatenate(triangles)


def extend_ply(file: BinaryIO, ply: PlyFile, added: np.ndarray, renamed: set[str]) -> None:
    """Write ``ply`` with the fields of ``added`` (N,) as further properties of its vertices.

    Everything else stays as it is, but properties that are in ``renamed``, or called like an added one, get the prefix
    "original_".
    """
    file.write(_extended_header(ply, added.dtype, renamed).encode("latin-1"))
    with ply.path.open("rb") as source:
        if ply.format == "ascii":
            lines = ply.lines(source)
            file.writelines(islice(lines, sum(element.count for element in ply.before)))
            for row, line in zip(added, islice(lines, len(added)), strict=True):
                values = (f"{value:.6g}" if isinstance(value, float) else str(value) for value in row.item())
                file.write(line.rstrip() + b" " + " ".join(values).encode() + b"\n")
            file.writelines(lines)
            return
        source.seek(ply.start)
        file.write(source.read(ply.offset - ply.start))
        added = added.astype(added.dtype.newbyteorder(ORDERS[ply.format]), copy=False)
        vertices = ply.vertices().view(f"V{ply.dtype.itemsize}")
        for begin in range(0, len(added), ROWS):
            part = added[begin : begin + ROWS]
            rows = np.empty(len(part), [("given", vertices.dtype), ("added", added.dtype)])
            rows["given"], rows["added"] = vertices[begin : begin + ROWS], part
            file.write(rows.tobytes())
        source.seek(ply.offset + vertices.nbytes)
        shutil.copyfileobj(source, file)


def _extended_header(ply: PlyFile, added: np.dtype, renamed: set[str]) -> str:
    names = set(ply.vertex.properties) | set(added.names)
    lines, element = ["ply"], ""
    new = [f"property {NAMES[added[name].str[1:]]} {name}" for name in added.names]
    for line in (*ply.header, ""):
        word, *values = line.split() or [""]
        if word in ("element", "") and element == "vertex":
            lines += new
        if word == "element":
            element = values[0]
        if word == "property" and element == "vertex" and values[-1] in renamed | set(added.names):
            name = PREFIX + values[-1]
            while name in names:
                name = PREFIX + name
            names.add(name)
            line = " ".join([word, *values[:-1], name])
        lines.append(line)
    return "\n".join([*lines[:-1], "end_header", ""])


def write_ply(file: BinaryIO, columns: dict[str, np.ndarray], added: np.ndarray) -> None:
    """Write a cloud with ``columns`` (N,) by name and the fields of ``added`` (N,) as a binary PLY."""
    fields = [(name, column.dtype.newbyteorder("<")) for name, column in columns.items()]
    rows = np.empty(len(added), fields + [(name, added.dtype[name]) for name in added.dtype.names])
    for name in rows.dtype.names:
        rows[name] = columns[name] if name in columns else added[name]
    PlyData([PlyElement.describe(rows, "vertex")], byte_order="<").write(file)
