"""The PLY writer: clouds and triangle meshes, and vertex properties added to an existing file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import islice
from typing import BinaryIO, Literal

import numpy as np

from ceco3d.data.pointclouds.earlier_result import PREFIX
from ceco3d.data.pointclouds.ply import PlyFile

ROWS = 1 << 20  # written at a time
NAMES = {
    **{"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort"},
    **{"i4": "int", "u4": "uint", "f4": "float", "f8": "double"},
}
FACE = np.dtype([("length", "u1"), ("corners", "<i4", (3,))])


def write_ply(
    file: BinaryIO, columns: Mapping[str, np.ndarray], faces: np.ndarray | None = None, comment: str | None = None
) -> None:
    """Write a binary little-endian PLY.

    columns  vertex properties: name -> (N,)
    faces    (F, 3) triangles; None writes a cloud
    """
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
    else stays byte for byte.
    """
    file.write(_extended_header(ply, added.dtype, renamed).encode("latin-1"))
    with ply.path.open("rb") as source:
        if ply.format == "ascii":
            lines = ply.lines(source)
            file.writelines(islice(lines, sum(element.count for element in ply.before(ply.vertex))))
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
        shutil.copyfileobj(source, file)


def _properties(dtype: np.dtype) -> list[str]:
    """The header lines of the fields of ``dtype``."""
    return [f"property {NAMES[dtype[name].str[1:]]} {name}" for name in dtype.names or ()]


def _extended_header(ply: PlyFile, added: np.dtype, renamed: set[str]) -> str:
    taken = {*ply.vertex.properties, *(added.names or ())}
    replaced = renamed | set(added.names or ())
    lines, element = ["ply"], ""
    for line in (*ply.header, ""):
        word, *values = line.split() or [""]
        if word in ("element", "") and element == "vertex":
            lines += _properties(added)
        if word == "element":
            element = values[0]
        if word == "property" and element == "vertex" and values[-1] in replaced:
            name = PREFIX + values[-1]
            while name in taken:
                name = PREFIX + name
            taken.add(name)
            line = " ".join([word, *values[:-1], name])
        lines.append(line)
    return "\n".join([*lines[:-1], "end_header", ""])
