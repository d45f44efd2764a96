"""Meshes in text files: .obj and .off. Vertices keep their order and number."""

from __future__ import annotations

import re
from array import array
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.faces import fans, usable_faces
from ceco3d.data.pointclouds.number_text import parse_numbers
from ceco3d.data.pointclouds.scan import Scan, make_scan
from ceco3d.utils.untrusted import NotSupportedError, one_line

OFF_WORD = re.compile(rb"((?:ST|C|N|4|n)*)OFF\b")


def read_obj(path: Path) -> Scan:
    """Vertices ``v x y z [r g b]`` and faces of any number of objects; polygons become fans of triangles."""
    vertices: list[bytes] = []
    faces: list[tuple[bytes, int]] = []
    textured = False
    text = path.read_bytes().replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    for line in text.splitlines():
        word, _, rest = line.strip().replace(b"\t", b" ").partition(b" ")
        if word == b"v":
            vertices.append(rest.partition(b"#")[0])
        elif word == b"f":
            faces.append((rest.partition(b"#")[0], len(vertices)))
        elif word in (b"mtllib", b"vt"):
            textured = True
        elif word in (b"vp", b"cstype", b"surf", b"curv"):
            raise NotSupportedError("an OBJ with free-form surfaces; convert it to triangles, for example in Blender")
    if not vertices:
        raise ValueError("it has no vertices (lines v x y z)")
    numbers, widths, _ = parse_numbers(b"\n".join(vertices))
    if len(widths) != len(vertices) or widths.min() < 3:
        raise ValueError("a vertex with fewer than three numbers")
    notes: list[str] = []
    starts = np.cumsum(widths) - widths
    coord = numbers[starts[:, None] + np.arange(3)]
    color = None
    if (widths >= 6).all():  # x y z r g b, also after a weight
        color = numbers[(starts + widths)[:, None] - np.array([3, 2, 1])].astype(np.float32)
    elif (widths >= 6).any():
        notes.append(f"only {(widths >= 6).sum():,} of {len(widths):,} vertices have colors, which are not read")
    elif textured:
        notes.append(
            "its colors are in materials or a texture, which are not read: turn them into vertex colors, "
            "for example in MeshLab, and save a .ply"
        )
    triangles = _obj_triangles(faces, len(coord), notes)
    return make_scan(coord, color, None, faces=triangles, notes=notes)


def _obj_triangles(faces: list[tuple[bytes, int]], count: int, notes: list[str]) -> np.ndarray | None:
    """Faces such as ``1/2/3 4// -1`` as triangles (F, 3) int64; None if they cannot be used.

    faces  each with the number of vertices before it: -1 is the last of these
    """
    lengths, corners = np.zeros(len(faces), np.int64), array("q")
    for i, (line, before) in enumerate(faces):
        try:
            given = [int(word.partition(b"/")[0]) for word in line.split()]
            corners.extend(corner - 1 if corner > 0 else before + corner for corner in given)
        except (ValueError, OverflowError):
            raise ValueError(f"a face {one_line(line.decode('latin-1'), 60)!r}") from None
        lengths[i] = len(given)
    return usable_faces(fans(lengths, np.array(corners, np.int64)), count, notes)


def read_off(path: Path) -> Scan:
    """OFF, COFF (colors), NOFF (normals) and their combinations, in ASCII."""
    text = re.sub(rb"#[^\r\n]*", b"", path.read_bytes()).lstrip(b"\xef\xbb\xbf \t\r\n")
    word = OFF_WORD.match(text)
    if not word:
        raise ValueError("no line OFF")
    texture, colored, normals = (letter in word.group(1) for letter in (b"ST", b"C", b"N"))
    if b"4" in word.group(1) or b"n" in word.group(1) or re.match(rb"[ \t]*BINARY", text[word.end() :]):
        raise NotSupportedError(f"an OFF file of the kind {word.group().decode()} or binary; save it as .ply")
    numbers, widths, _ = parse_numbers(text[word.end() :])
    starts = np.cumsum(widths) - widths
    counts = numbers[:3]
    if len(counts) < 2 or not all(0 <= value < 2**40 and value % 1 == 0 for value in counts[:2]):
        raise ValueError("no numbers of vertices and faces")
    vertices, faces = (int(value) for value in counts[:2])
    rows = slice(1, 1 + vertices)
    if len(widths) < 1 + vertices:
        raise ValueError(f"it ends too early: {len(widths) - 1} of {vertices} vertices")
    width = widths[rows]
    least = 3 + 3 * normals + 2 * texture
    if vertices and (width.min() < least or (width != width[0]).any()):
        raise ValueError("vertices with different numbers of values")
    table = numbers[starts[1] : starts[1] + vertices * width[0]].reshape(vertices, -1) if vertices else np.empty((0, 3))
    notes: list[str] = []
    normal = table[:, 3:6] if normals else None
    color = table[:, 3 + 3 * normals :][:, :3] if colored else None
    if color is not None and color.shape[1] < 3:
        color, notes = None, ["COFF without three colors per vertex: colors are not read"]
    if not colored and vertices and width[0] >= 6 and not normals:
        color = table[:, 3:6]
        notes.append(
            "more than x y z per vertex in a file OFF: the next three numbers are taken for colors, as in COFF"
        )
    first, sizes = starts[1 + vertices : 1 + vertices + faces], widths[1 + vertices : 1 + vertices + faces]
    first = first[(numbers[first] >= 3) & (numbers[first] < sizes)]
    lengths = numbers[first].astype(np.int64)
    if len(first) < faces:
        notes.append(f"{len(first):,} of {faces:,} faces are there")
    index = np.repeat(first + 1 - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    triangles = usable_faces(fans(lengths, numbers[index]), vertices, notes)
    return make_scan(table[:, :3], color, normal, faces=triangles, notes=notes)
