"""A scan as stored in its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ceco3d.data.pointclouds.column_names import (
    COORD_NAMES,
    NORMAL_NAMES,
    find_columns,
    name_layout,
    name_notes,
    no_coordinates,
)
from ceco3d.data.pointclouds.earlier_result import scan_colors
from ceco3d.data.pointclouds.ply import PlyFile, read_triangles
from ceco3d.utils.errors import UserError


@dataclass(frozen=True)
class Scan:
    """N points in the order, unit and axes of the file.

    coord        (N, 3) float32 or float64; may hold NaN and infinity
    color        (N, 3) of any number type, as in the file, or None; see ``color_bytes``
    normal       (N, 3) float32 of any length, or None
    attributes   name -> (N,) everything else that the file has of its points; empty for a PLY, which is copied whole
    faces        (F, 3) int triangles of a mesh, or None; those of a PLY are read from ``ply``
    ply          the PLY file it was read from, or None
    color_names  names of the columns with the color, which the colors of classes replace in a copy of the PLY
    columns      names of all columns of a table whose file does not name them, "_" for those that are ignored
    layout       what columns without names, or with unusual ones, count as: "x y z red green blue (label ignored)"
    notes        what a user must know about the reading of the file: warnings, one line each
    """

    coord: np.ndarray
    color: np.ndarray | None = None
    normal: np.ndarray | None = None
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)
    faces: np.ndarray | None = None
    ply: PlyFile | None = None
    color_names: Sequence[str] = ()
    columns: Sequence[str] = ()
    layout: str = ""
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.coord)

    def triangles(self) -> np.ndarray | None:
        """The faces (F, 3) int64, or None; UserError if those of the PLY are damaged."""
        return self.faces if self.ply is None else read_triangles(self.ply)


def scan_of_columns(columns: Mapping[str, np.ndarray], ply: PlyFile | None = None, notes: Sequence[str] = ()) -> Scan:
    """A scan from columns (N,) by name; UserError without x, y and z."""
    coord, normal = (find_columns(columns, names) for names in (COORD_NAMES, NORMAL_NAMES))
    if coord is None:
        raise UserError(no_coordinates(columns))
    color, note = scan_colors(columns)
    notes = [*notes, *([note] if note else name_notes(columns, coord, color, normal))]
    used = {*coord, *(color or ()), *(normal or ())}
    return make_scan(
        _stack(columns, coord),
        None if color is None else _stack(columns, color),
        None if normal is None else _stack(columns, normal),
        {} if ply else {name: column for name, column in columns.items() if name not in used},
        ply=ply,
        color_names=[] if note else color or [],  # an earlier result keeps the colors of its scan under their names
        layout="" if note else name_layout(columns, coord, color),
        notes=notes,
    )


def make_scan(
    coord: np.ndarray,
    color: np.ndarray | None,
    normal: np.ndarray | None,
    attributes: Mapping[str, np.ndarray] | None = None,
    *,
    faces: np.ndarray | None = None,
    ply: PlyFile | None = None,
    color_names: Sequence[str] = (),
    layout: str = "",
    notes: Sequence[str] = (),
) -> Scan:
    """A scan from arrays of any number type, see ``Scan``; UserError if their shapes differ."""
    for name, array in (("coordinates", coord), ("colors", color), ("normals", normal)):
        if array is not None and (array.shape != (len(coord), 3) or array.dtype.kind not in "fiu"):
            raise UserError(f"has {name} of {array.dtype} {array.shape}, not numbers ({len(coord)}, 3)")
    if coord.dtype != np.float32:
        coord = coord.astype(np.float64)
    normal = None if normal is None else normal.astype(np.float32)
    return Scan(coord, color, normal, attributes or {}, faces, ply, color_names, layout=layout, notes=notes)


def _stack(columns: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    return np.stack([columns[name] for name in names], axis=1)
