"""The PLY reader: vertices and triangles of ASCII and binary files, for scans, raw meshes and predictions.

The header is parsed once, and nothing is allocated before the file is known to be as long as its header says. Vertices
and triangles of ordinary binary files are mapped, never turned into Python objects. Everything else is read into
tables: texts, lists at vertices, types that PLY lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.ply_header import BOM, HEADER_BYTES, ORDERS, Element, Header, parse_header
from ceco3d.data.pointclouds.ply_rows import Bytes, Lists, Span, Table, find_span, read_table, standard_types
from ceco3d.data.pointclouds.ply_text import read_text_tables
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
        columns = {
            name: column for name, column in self.tables["vertex"].items() if not isinstance(column, Lists)
        }
        records = np.empty(vertex.count, [(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            records[name] = column
        return records

    def table(self, element: Element) -> Table:
        """The columns of ``element``."""
        if self.tables is not None:
            return self.tables[element.name]
        return read_table(_bytes(self.path, self.order), element, self.spans[element.name])


def open_ply(path: Path, strict: bool = False) -> PlyFile:
    """Parse the header and find the elements; ValueError if the file is damaged, OSError if it cannot be read.

    Files that break the rules of PLY are read if their vertices are good: ``notes`` tells what is wrong with the rest.
    strict  refuse them, and texts: for raw meshes
    """
    with path.open("rb") as file:
        header = parse_header(file.read(HEADER_BYTES))
    vertex = next((element for element in header.elements if element.name == "vertex"), None)
    if vertex is None:
        raise ValueError("no element vertex")
    if any(element.count < 0 for element in header.elements):
        raise ValueError("a negative number of rows")
    if not vertex.properties:
        raise ValueError("vertices without properties")
    if strict and header.format == "ascii":
        raise ValueError("not a binary PLY")
    ply = _open_text(path, header) if header.format == "ascii" else _open_binary(path, header)
    if strict and ply.notes:
        raise ValueError(ply.notes[0])
    return ply


def _open_text(path: Path, header: Header) -> PlyFile:
    start = header.starts[0]
    with path.open("rb") as file:
        file.seek(start)
        start += len(BOM) if file.read(len(BOM)) == BOM else 0
    text = read_text_tables(path, start, header.elements)
    lines = _kept_lines(header.lines, header.elements, text.elements)
    return PlyFile(
        path,
        header.format,
        start,
        lines,
        text.elements,
        {},
        tables=text.tables,
        copied=text.copied,
        faces_fit=text.faces_fit,
        notes=(*header.notes, *text.notes),
    )


def _open_binary(path: Path, header: Header) -> PlyFile:
    """Find the elements. Where the data start is tried until the file ends where the header says."""
    source = _bytes(path, ORDERS[header.format])
    found = [_spans(source, header, start) for start in header.starts]
    exact = [i for i, spans in enumerate(found) if _ends(spans, header) == len(source)]
    chosen = exact[0] if exact else 0
    start, spans = header.starts[chosen], found[chosen]
    _check_vertices(header, spans, len(source), bool(exact))
    ply = PlyFile(path, header.format, start, header.lines, header.elements, spans, notes=header.notes)
    ply = _without_lost_rows(ply, source)
    if ply.vertex.lists or any(element.nonstandard for element in ply.elements):
        notes: list[str] = []
        tables = {element.name: standard_types(ply.table(element), notes) for element in ply.elements}
        ply = replace(ply, tables=tables, copied=False, notes=(*ply.notes, *notes))
    return ply


def _bytes(path: Path, order: str) -> Bytes:
    return Bytes(np.memmap(path, np.uint8, "r"), order)


def _spans(source: Bytes, header: Header, start: int) -> dict[str, Span]:
    """The span of every element that can be found: those behind a cut one cannot."""
    spans = {}
    for element in header.elements:
        spans[element.name] = find_span(source, element, start)
        if element.properties and spans[element.name].rows < element.count:
            break
        start = spans[element.name].end
    return spans


def _ends(spans: Mapping[str, Span], header: Header) -> int:
    """Where the data end; -1 if not all rows have been found."""
    last = header.elements[-1]
    whole = last.name in spans and (not last.properties or spans[last.name].rows == last.count)
    return spans[last.name].end if whole else -1


def _check_vertices(header: Header, spans: Mapping[str, Span], size: int, exact: bool) -> None:
    """ValueError if vertices are missing, or if the header is not that of the data."""
    vertex = next(element for element in header.elements if element.name == "vertex")
    if "vertex" not in spans or spans["vertex"].rows < vertex.count:
        raise ValueError("it ends too early")
    if header.odd_lines and not exact:
        raise ValueError(header.notes[0])
    surplus = size - _ends(spans, header)
    if surplus < size and vertex.count >= 8 and surplus and surplus % vertex.count == 0:
        raise ValueError(f"its rows are {surplus // vertex.count} bytes longer than the header says")


def _without_lost_rows(ply: PlyFile, source: Bytes) -> PlyFile:
    """Drop rows and elements that are missing at the end; ValueError if the rows are not those of the header."""
    cut = next((e for e in ply.elements if e.name not in ply.spans or e.properties and ply.spans[e.name].rows < e.count), None)
    if cut is None:
        surplus = len(source) - max(span.end for span in ply.spans.values())
        if surplus > 2:  # more than a line end
            return replace(ply, notes=(*ply.notes, f"{surplus:,} bytes behind the last element are not read"))
        return ply
    span = ply.spans[cut.name]
    rows = span.rows
    if cut is ply.face and ply.corners and not faces_fit(replace(ply, faces_fit=True)):
        raise ValueError("its faces are not laid out as the header says")
    kept = (*ply.before(cut), Element(cut.name, rows, cut.properties))
    lost = [element.name for element in ply.elements[len(kept) :]]
    note = f"it ends too early: {rows:,} of {cut.count:,} rows of element {cut.name} are there"
    if lost:
        note += f", and none of {', '.join(lost)}"
    if cut is ply.face:
        note += "; normals do not come from its faces"
    return replace(
        ply,
        elements=kept,
        header=_kept_lines(ply.header, ply.elements, kept),
        end=span.end,
        faces_fit=cut is not ply.face and "face" not in lost,
        notes=(*ply.notes, note),
    )


def _kept_lines(lines: tuple[str, ...], given: tuple[Element, ...], kept: tuple[Element, ...]) -> tuple[str, ...]:
    """The header with the row numbers of the elements that are kept."""
    if given == kept:
        return lines
    counts = {element.name: element.count for element in kept}
    element, result = "", []
    for line in lines:
        word, *values = line.split()
        if word == "element":
            element = values[0]
            line = f"element {element} {counts.get(element, 0)}"
        if word in ("comment", "obj_info", "format") or element in counts:
            result.append(line)
    return tuple(result)


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
        triangles = _fans(faces) if isinstance(faces, Lists) else np.empty((0, 3), np.int64)
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


def _fans(faces: Lists) -> np.ndarray:
    """Polygons as triangles (F, 3) int64."""
    starts = np.cumsum(faces.lengths) - faces.lengths
    triangles = [np.empty((0, 3), np.int64)]
    for count in np.unique(faces.lengths[faces.lengths >= 3]):
        polygons = faces.values[starts[faces.lengths == count][:, None] + np.arange(count)].astype(np.int64)
        triangles += [polygons[:, [0, i, i + 1]] for i in range(1, count - 1)]
    return np.concatenate(triangles)
