"""PLY files: vertices and triangles, for scans, raw meshes and predictions.

Vertices and triangles of ordinary binary files are mapped, never turned into Python objects. Everything else is read
into tables: texts, lists at vertices, types that PLY lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.faces import fans
from ceco3d.data.pointclouds.ply_header import ORDERS, Element
from ceco3d.data.pointclouds.ply_rows import Bytes, Span, read_table
from ceco3d.data.pointclouds.ply_tables import Lists, Table
from ceco3d.utils.errors import UserError

FACE_LISTS = ("vertex_indices", "vertex_index")  # names of the corners of a face


@dataclass(frozen=True)
class PlyFile:
    """A PLY file with vertices: its header, and where its elements are or what they hold.

    format    a key of ORDERS
    start     byte offset of the first element
    header    its lines without the first and the last, in the words of the standard
    elements  in file order, with as many rows as can be read
    spans     of the elements of a binary file, by name
    tables    element -> columns, if they have been read: always of an ASCII file
    copied    whether the rows are laid out as the header says, so that they can be copied
    end       byte offset behind the last element that can be copied; None: of the file
    faces_fit whether the faces can be used
    notes     what is unusual, one line each
    """

    path: Path
    format: str
    start: int
    header: tuple[str, ...]
    elements: tuple[Element, ...]
    spans: Mapping[str, Span]
    tables: Mapping[str, Table] | None = None
    copied: bool = True
    end: int | None = None
    faces_fit: bool = True
    notes: tuple[str, ...] = ()

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

    @property
    def corners(self) -> str | None:
        """The list property with the corners of the faces, if any."""
        face = self.face
        return next((name for name in FACE_LISTS if face is not None and name in face.lists), None)

    def before(self, element: Element) -> tuple[Element, ...]:
        """The elements in front of ``element``."""
        return self.elements[: self.elements.index(element)]

    def offset(self, element: Element) -> int:
        """Byte offset of ``element`` in a binary file."""
        return self.spans[element.name].start

    def vertices(self) -> np.ndarray:
        """(N,) records, one field per property without lists: mapped from a binary file if possible."""
        vertex = self.vertex
        if self.tables is None:
            dtype = vertex.dtype(self.order)
            if not vertex.count:
                return np.empty(0, dtype)
            return np.memmap(self.path, dtype, "r", self.offset(vertex), (vertex.count,))
        columns = {name: column for name, column in self.tables["vertex"].items() if not isinstance(column, Lists)}
        records = np.empty(vertex.count, [(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            records[name] = column
        return records

    def table(self, element: Element) -> Table:
        """The columns of ``element``."""
        if self.tables is not None:
            return self.tables[element.name]
        return read_table(map_bytes(self.path, self.order), element, self.spans[element.name])


def map_bytes(path: Path, order: str) -> Bytes:
    """The whole file, mapped."""
    return Bytes(np.memmap(path, np.uint8, "r"), order)


def mapped_triangles(ply: PlyFile) -> np.ndarray:
    """The faces (F, 3) of a binary file in which each one is a triangle, mapped; ValueError if it is not such a file.

    Faces may have other properties, and lists of six entries: texture coordinates of three corners.
    """
    face, index = ply.face, ply.corners
    if ply.format == "ascii":
        raise ValueError("not a binary PLY")
    if face is None or index is None:
        raise ValueError("no list properties vertex_indices of faces")
    if not face.count:
        return np.empty((0, 3), face.dtype(ply.order, dict.fromkeys(face.lists, 3))[index].base)
    entries = {name: 3 if name == index else 6 for name in face.lists}
    span = ply.spans[face.name]
    if span.entries != entries:
        raise ValueError("unexpected list length")
    rows: np.ndarray = np.memmap(ply.path, face.dtype(ply.order, entries), "r", span.start, (face.count,))
    return rows[index]


def read_triangles(ply: PlyFile) -> np.ndarray | None:
    """The faces as triangles (F, 3) int64, polygons cut into fans; None without faces that can be used.

    UserError if they have vertices that do not exist.
    """
    face, index = ply.face, ply.corners
    if face is None or index is None or not face.count or not ply.faces_fit:
        return None
    try:
        triangles = mapped_triangles(ply).astype(np.int64)
    except ValueError:
        faces = ply.table(face)[index]
        triangles = fans(faces.lengths, faces.values) if isinstance(faces, Lists) else np.empty((0, 3), np.int64)
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < ply.vertex.count:
        raise UserError("damaged (faces of vertices that do not exist)")
    return triangles


def faces_fit(ply: PlyFile) -> bool:
    """Whether all faces have vertices that exist."""
    face, index = ply.face, ply.corners
    if face is None or index is None or not ply.spans.get("face", Span(0, 0, face.count, None)).rows:
        return True
    span = ply.spans.get(face.name)
    if ply.tables is None and span is not None and span.entries is not None:
        rows = np.memmap(ply.path, face.dtype(ply.order, span.entries), "r", span.start, (span.rows,))
        corners: np.ndarray = rows[index]
    else:
        lists = ply.table(face)[index]
        corners = lists.values if isinstance(lists, Lists) else lists
    return not corners.size or bool(corners.min() >= 0 and corners.max() < ply.vertex.count)
