"""The columns of a scan beside coordinates, colors and normals, such as labels and intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ceco3d.data.pointclouds.column_names import plain_name
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

INTENSITIES = ("intensity", "reflectance", "remission", "strength")


def scan_columns(scan: Scan) -> Mapping[str, np.ndarray]:
    """All columns (N,) of a scan by name; those of coordinates, colors and normals only if it is a PLY."""
    if scan.ply is None:
        return scan.attributes
    vertices = scan.ply.vertices()
    return {name: vertices[name] for name in vertices.dtype.names or () if vertices[name].ndim == 1}


def find_column(columns: Mapping[str, np.ndarray], names: Sequence[str]) -> str | None:
    """The first column with one of the plain names ``names``, the first of these first; None if there is none."""
    plain = {plain_name(name): name for name in reversed(list(columns))}
    return next((plain[name] for name in names if name in plain), None)


def named_column(columns: Mapping[str, np.ndarray], name: str, key: str) -> np.ndarray:
    """The column ``name``; UserError, with the setting ``key`` that asks for it, if there is none."""
    spelled = {column.lower(): column for column in columns}
    if name.lower() not in spelled:
        listed = ", ".join(one_line(column, 40) for column in list(columns)[:12]) or "none"
        raise UserError(f"has no column {name!r} ({key}={name}); its columns: {listed}")
    return columns[spelled[name.lower()]]


def scan_intensity(scan: Scan) -> np.ndarray | None:
    """Intensity (N,) of a scan as in its file; None if it has none, or zeros throughout, as LAS files without."""
    columns = scan_columns(scan)
    name = find_column(columns, INTENSITIES)
    return None if name is None or not np.any(columns[name]) else np.asarray(columns[name])


def intensity_shares(values: np.ndarray) -> np.ndarray:
    """Intensities (N,) of any number type as float32 in 0..1; NaN becomes 0.

    White is the largest number of an integer type up to 16 bits; of other types 1, 255 or 65535, as the largest value
    tells.
    """
    values = np.nan_to_num(np.asarray(values), posinf=0, neginf=0)
    largest = values.max(initial=0)
    if values.dtype in (np.uint8, np.uint16):
        white = int(np.iinfo(values.dtype).max)
    else:
        white = 1 if largest <= 1 else 255 if largest <= 255 else 65535
    shares: np.ndarray = np.clip(values.astype(np.float32) / white, 0, 1)
    return shares
