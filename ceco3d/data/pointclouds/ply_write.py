"""The PLY writer: clouds and triangle meshes, and vertex properties added to an existing file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import islice
from typing import BinaryIO, Literal

import numpy as np

from ceco3d.data.pointclouds.earlier_result import original_names
from ceco3d.data.pointclouds.ply import PlyFile
from ceco3d.data.pointclouds.ply_header import STANDARD
from ceco3d.data.pointclouds.ply_tables import (
    Lists,
    list_type,
    pack_rows,
    standard_names,
    standard_type,
    standard_types,
)

ROWS = 1 << 20  # written at a time
FACE = np.dtype([("length", "u1"), ("corners", "<i4", (3,))])


def write_ply(
    file: BinaryIO, columns: Mapping[str, np.ndarray], faces: np.ndarray | None = None, comment: str | None = None
) -> None:
    """Write a binary little-endian PLY.

    columns  vertex properties: name -> (N,) numbers of any type; integers of eight bytes become int, uint or double
    faces    (F, 3) triangles; None writes a cloud
    """
    columns = {
        name: standard_type(column, name, [])
        for name, column in zip(standard_names(columns), columns.values(), strict=True)
    }
    fields = [(name, column.dtype.newbyteorder("<")) for name, column in columns.items()]
    vertices = np.empty(len(next(iter(columns.values()))), fields)
    for name, column in columns.items():
        vertices[name] = column
    lines = ["ply", "format binary_little_endian 1.0", *([] if comment is None else [f"comment {comment}"])]
    lines += [f"element vertex {len(vertices)}", *_properties(vertices.dtype)]
    if faces is not None:
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    file.write("\n".join([*lines, "end_header", ""]).encode())
    file.write(vertices.view(np.uint8).data)
    if faces is not None:
        rows = np.empty(len(faces), FACE)
        rows["length"], rows["corners"] = 3, faces
        file.write(rows.view(np.uint8).data)


def extend_ply(file: BinaryIO, ply: PlyFile, added: np.ndarray, renamed: set[str]) -> None:
    """Write a copy of ``ply`` with the fields of ``added`` (N,) as further vertex properties.

    Vertex properties in ``renamed``, and those with the name of an added one, get the prefix "original_". Everything
    else stays byte for byte, unless the layout breaks the rules of PLY: then all elements are written anew, in binary.
    """
    if not ply.copied:
        _write_anew(file, ply, added, renamed)
        return
    file.write(_header_bytes(_extended_header(ply, added.dtype, renamed)))
    with ply.path.open("rb") as source:
        if ply.format == "ascii":
            source.seek(ply.start)
            lines = (line for line in source if not line.isspace())
            file.writelines(
                islice(lines, sum(element.count for element in ply.before(ply.vertex) if element.properties))
            )
            for row, line in zip(added, islice(lines, len(added)), strict=True):
                values = (f"{value:.6g}" if isinstance(value, float) else str(value) for value in row.item())
                file.write(line.rstrip() + b" " + " ".join(values).encode() + b"\n")
            file.writelines(lines)
            return
        source.seek(ply.start)
        offset = ply.offset(ply.vertex)
        file.write(source.read(offset - ply.start))
        order: Literal["<", ">"] = ">" if ply.order == ">" else "<"
        added = added.astype(added.dtype.newbyteorder(order), copy=False)
        vertices = ply.vertices()
        vertices = vertices.view(f"V{vertices.dtype.itemsize}")
        for begin in range(0, len(added), ROWS):
            part = added[begin : begin + ROWS]
            rows = np.empty(len(part), [("given", vertices.dtype), ("added", added.dtype)])
            rows["given"], rows["added"] = vertices[begin : begin + ROWS], part
            file.write(rows.view(np.uint8).data)
        source.seek(offset + vertices.nbytes)
        if ply.end is None:
            shutil.copyfileobj(source, file)
        else:
            file.write(source.read(ply.end - source.tell()))


def _write_anew(file: BinaryIO, ply: PlyFile, added: np.ndarray, renamed: set[str]) -> None:
    """Write all elements of ``ply`` from their tables, see ``extend_ply``."""
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [line for line in ply.header if line.split()[0] in ("comment", "obj_info")]
    rows = []
    for element in ply.elements:
        table = standard_types(ply.table(element), [])
        if element is ply.vertex:
            names = original_names(table, {*(added.dtype.names or ()), *renamed})
            table = {names.get(name, name): column for name, column in table.items()}
            table |= {name: added[name] for name in added.dtype.names or ()}
        if table:
            lines += [f"element {element.name} {element.count}", *map(_property, table, table.values())]
            rows.append(pack_rows(table, element.count))
    file.write(_header_bytes("\n".join([*lines, "end_header", ""])))
    for packed in rows:
        file.write(packed.data)


def _property(name: str, column: np.ndarray | Lists) -> str:
    """The header line of a column."""
    if isinstance(column, Lists):
        return f"property list {STANDARD[list_type(column)]} {STANDARD[column.values.dtype.str[1:]]} {name}"
    return f"property {STANDARD[column.dtype.str[1:]]} {name}"


def _header_bytes(header: str) -> bytes:
    """A header in ASCII, because plyfile reads no other: UTF-8 and Latin-1 become escapes such as \\xe9."""
    given = header.encode("latin-1")
    try:
        text = given.decode("utf-8")
    except UnicodeDecodeError:
        text = header
    return text.encode("ascii", "backslashreplace")


def _properties(dtype: np.dtype) -> list[str]:
    """The header lines of the fields of ``dtype``."""
    return [f"property {STANDARD[dtype[name].str[1:]]} {name}" for name in dtype.names or ()]


def _extended_header(ply: PlyFile, added: np.dtype, renamed: set[str]) -> str:
    names = original_names(ply.vertex.properties, {*(added.names or ()), *renamed})
    lines, element = ["ply"], ""
    for line in (*ply.header, ""):
        word, *values = line.split() or [""]
        if word in ("element", "") and element == "vertex":
            lines += _properties(added)
        if word == "element":
            element = values[0]
        if word == "property" and element == "vertex" and values[-1] in names:
            line = " ".join([word, *values[:-1], names[values[-1]]])
        lines.append(line)
    return "\n".join([*lines[:-1], "end_header", ""])
