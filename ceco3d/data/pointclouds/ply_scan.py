"""PLY files as scans: meshes, point clouds and Gaussian splats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.faces import UNUSABLE
from ceco3d.data.pointclouds.ply import PlyFile, faces_fit
from ceco3d.data.pointclouds.ply_header import Element
from ceco3d.data.pointclouds.ply_open import open_ply
from ceco3d.data.pointclouds.ply_tables import Lists, Table
from ceco3d.data.pointclouds.scan import Scan, scan_of_columns
from ceco3d.utils.untrusted import NotSupportedError

SPLAT_COLOR = 0.28209479177387814  # the constant spherical harmonic, 1 / (2 sqrt(pi))
VECTORS = {  # list properties of fixed length that stand for scalar ones
    **dict.fromkeys(("position", "positions", "pos", "coord", "coords", "xyz", "point"), ("x", "y", "z")),
    **dict.fromkeys(("color", "colors", "rgb", "rgba"), ("red", "green", "blue", "alpha")),
    **dict.fromkeys(("normal", "normals"), ("nx", "ny", "nz")),
}


def read_ply(path: Path) -> Scan:
    """The vertices of a mesh, a point cloud or a Gaussian splat. The notes tell what breaks the rules of PLY."""
    ply = _with_scalars(open_ply(path))
    if "packed_position" in ply.vertex.properties:
        raise NotSupportedError(
            "a compressed Gaussian splat; save it as an uncompressed .ply, with SuperSplat or `splat-transform`"
        )
    if ply.faces_fit and not faces_fit(ply):
        ply = replace(ply, faces_fit=False, notes=(*ply.notes, UNUSABLE))
    vertices = ply.vertices()
    columns = {name: vertices[name] for name in vertices.dtype.names or ()}
    scan = scan_of_columns(columns, ply, ply.notes)
    if scan.color is None:
        scan = _with_splat_colors(scan, columns)
    if scan.color is None:
        scan = replace(scan, notes=(*scan.notes, *_colors_elsewhere(ply)))
    return scan


def _colors_elsewhere(ply: PlyFile) -> list[str]:
    """A note on colors that vertices do not have."""
    for element in ply.elements:
        if element is not ply.vertex and {"red", "green", "blue"} <= {name.lower() for name in element.properties}:
            return [f"only element {element.name} has colors, which are not read: give them to the vertices"]
    if any(line.lower().startswith("comment texturefile") for line in ply.header):
        return ["its colors are in a texture, which is not read: turn them into vertex colors, for example in MeshLab"]
    return []


def _with_splat_colors(scan: Scan, columns: Mapping[str, np.ndarray]) -> Scan:
    """The scan of a Gaussian splat with colors, and without its normals, which are all zero."""
    for prefix in ("", "scal_", "scalar_"):  # CloudCompare's
        names = [f"{prefix}f_dc_{i}" for i in range(3)]
        if set(names) <= columns.keys():
            harmonics = np.stack([columns[name] for name in names], axis=1).astype(np.float32)
            color = np.clip(0.5 + SPLAT_COLOR * harmonics, 0, 1)
            normal = scan.normal if scan.normal is not None and scan.normal.any() else None
            note = f"a Gaussian splat: colors from {names[0]}, {names[1]}, {names[2]}; opacities and sizes are not used"
            return replace(scan, color=color, normal=normal, notes=(*scan.notes, note))
    return scan


def _with_scalars(ply: PlyFile) -> PlyFile:
    """A file whose vertices have x, y and z in place of a list ``position``, and so on."""
    vertex = ply.vertex
    given: Table = ply.table(vertex) if vertex.lists else {}
    table: Table = {}
    notes = []
    for name, column in given.items():
        names = VECTORS.get(name.lower(), ())
        lengths = column.lengths if isinstance(column, Lists) else np.zeros(1)
        length = int(lengths[0]) if len(lengths) else 0
        fixed = 3 <= length <= len(names) and (lengths == length).all()
        if not isinstance(column, Lists) or not fixed or set(names[:length]) & given.keys():
            table[name] = column
        else:
            table |= dict(zip(names, column.values.reshape(-1, length).T, strict=False))
            notes.append(f"list property {name} is read as {' '.join(names[:length])}")
    if not notes or ply.tables is None:
        return ply
    kinds = {
        name: vertex.properties.get(name) or (column.dtype.str[1:] if isinstance(column, np.ndarray) else "")
        for name, column in table.items()
    }
    elements = tuple(Element("vertex", e.count, kinds) if e is vertex else e for e in ply.elements)
    tables = {**ply.tables, "vertex": table}
    return replace(ply, elements=elements, tables=tables, copied=False, notes=(*ply.notes, *notes))
