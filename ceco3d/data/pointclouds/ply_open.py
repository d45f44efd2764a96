"""Open PLY files: parse the header once, and find the elements or read them.

Nothing is allocated before the file is known to be as long as its header says. Files that break the rules of the format
are read if their vertices are good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.ply import PlyFile, faces_fit, map_bytes
from ceco3d.data.pointclouds.ply_header import BOM, HEADER_BYTES, ORDERS, Element, Header, parse_header, types_of
from ceco3d.data.pointclouds.ply_rows import Bytes, Span, find_span
from ceco3d.data.pointclouds.ply_tables import standard_types
from ceco3d.data.pointclouds.ply_text import read_text_tables

MAX_CORNERS = 1000  # of a face in a file that is cut


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
    source = map_bytes(path, ORDERS[header.format])
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
    cut = next(
        (e for e in ply.elements if e.name not in ply.spans or (e.properties and ply.spans[e.name].rows < e.count)),
        None,
    )
    if cut is None:
        surplus = len(source) - max(span.end for span in ply.spans.values())
        if surplus > 2:  # more than a line end
            return replace(ply, notes=(*ply.notes, f"{surplus:,} bytes behind the last element are not read"))
        return ply
    span = ply.spans[cut.name]
    rows = span.rows
    if cut is ply.face and ply.corners and not (faces_fit(ply) and _is_cut(source, cut, span, ply.vertex.count)):
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


def _is_cut(source: Bytes, face: Element, span: Span, vertices: int) -> bool:
    """Whether what is there of the incomplete row behind ``span`` can be a face: else the header is wrong."""
    name, kind = next(iter(face.properties.items()))
    if name not in face.lists:
        return True
    count_type, item = types_of(kind)
    start = span.end + source.size(count_type)
    if start > len(source):
        return True
    length = source.length(count_type, span.end)
    there = min(length, (len(source) - start) // source.size(item))
    if not 1 <= length <= MAX_CORNERS:
        return False
    corners = source.take(item, start + np.arange(there) * source.size(item))
    return bool(((corners >= 0) & (corners < vertices)).all())


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
