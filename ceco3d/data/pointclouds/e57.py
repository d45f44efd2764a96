"""E57 files of laser scanners."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.pointclouds.scan import Scan, make_scan
from ceco3d.utils.errors import UserError

MAX_INFLATION = 100  # largest size of the arrays, as a multiple of the file size: coordinates are compressed
CARTESIAN = ("cartesianX", "cartesianY", "cartesianZ")
SPHERICAL = ("sphericalRange", "sphericalAzimuth", "sphericalElevation")
COLOR = ("colorRed", "colorGreen", "colorBlue")
NORMAL = ("nor:normalX", "nor:normalY", "nor:normalZ")
INVALID = ("cartesianInvalidState", "sphericalInvalidState")
INTEGERS = ("rowIndex", "columnIndex", "returnIndex", "returnCount", *INVALID, "isColorInvalid", "isIntensityInvalid")


def read_e57(path: Path) -> Scan:
    """All scans of the file in one frame, one after the other. Points without coordinates are NaN.

    Attributes: what every scan has of its points, and the number of the scan if there are several.
    """
    try:
        import pye57
    except ModuleNotFoundError as error:
        raise UserError("E57 files need pye57: pip install 'ceco3d[e57]'") from error
    with pye57.E57(str(path)) as file:
        headers = [file.get_header(i) for i in range(file.scan_count)]
        values = sum(header.point_count * len(header.point_fields) for header in headers)
        if values * 8 > MAX_INFLATION * path.stat().st_size:
            raise ValueError("it ends too early")
        parts = [_read_part(file, header) for header in headers if header.point_count]
    if not parts:
        raise ValueError("it has no points")
    notes = [f"{len(parts)} scans are joined; attribute scan tells them apart"] if len(parts) > 1 else []
    common = [name for name in parts[0] if all(name in part for part in parts)]
    lost = dict.fromkeys(name for part in parts for name in part if name not in common)
    if lost:
        notes.append(f"not in all scans, and not read: {', '.join(lost)}")
    columns = {name: np.concatenate([part[name] for part in parts]) for name in common}
    if len(parts) > 1:
        columns["scan"] = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part["coord"]) for part in parts])
    coord, color, normal = (columns.pop(name, None) for name in ("coord", "color", "normal"))
    if coord is None:
        raise ValueError("scans without coordinates")
    return make_scan(coord, color, normal, columns, notes=notes)


def _read_part(file: Any, header: Any) -> dict[str, np.ndarray]:
    """The columns of a scan: coord, color, normal and the rest by name."""
    columns = _read_fields(file, header)
    if set(CARTESIAN) <= columns.keys():
        coord = np.stack([columns.pop(name) for name in CARTESIAN], axis=1)
    elif set(SPHERICAL) <= columns.keys():
        distance, azimuth, elevation = (columns.pop(name) for name in SPHERICAL)
        flat = distance * np.cos(elevation)
        coord = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), distance * np.sin(elevation)], axis=1)
    else:
        raise ValueError(f"no coordinates, only {', '.join(columns)}")
    for name in INVALID:
        if name in columns:
            coord[columns.pop(name) != 0] = np.nan
    part = {"coord": coord}
    rotation = header.rotation_matrix
    if header.has_pose():
        part["coord"] = coord @ rotation.T + header.translation
    if set(COLOR) <= columns.keys():
        part["color"] = _color(np.stack([columns.pop(name) for name in COLOR], axis=1), header)
    if set(NORMAL) <= columns.keys():
        part["normal"] = np.stack([columns.pop(name) for name in NORMAL], axis=1) @ rotation.T
    return part | {name.replace(":", "_"): column for name, column in columns.items()}


def _read_fields(file: Any, header: Any) -> dict[str, np.ndarray]:
    from pye57 import libe57

    columns: dict[str, np.ndarray] = {}
    buffers = libe57.VectorSourceDestBuffer()
    for name in header.point_fields:
        kind = np.longlong if name in INTEGERS else np.float32 if name == "intensity" else np.float64
        columns[name] = np.empty(header.point_count, kind)
        # Numbers are converted, and integers are scaled.
        buffers.append(libe57.SourceDestBuffer(file.image_file, name, columns[name], header.point_count, True, True))
    reader = header.points.reader(buffers)
    found = reader.read()
    reader.close()
    if found < header.point_count:
        raise ValueError(f"it ends too early: {found} of {header.point_count} points")
    return {name: column.astype(np.int32) if name in INTEGERS else column for name, column in columns.items()}


def _color(color: np.ndarray, header: Any) -> np.ndarray:
    """Colors in the smallest type: bytes, 16-bit integers, or shares of the limits in the header."""
    white = max(_limits(header), default=0.0)
    largest = float(np.nanmax(color, initial=0))
    if (color % 1 == 0).all() and color.min(initial=0) >= 0 and white in (0.0, 255.0, 65535.0):
        for kind in (np.uint8, np.uint16):
            if max(white, largest) <= np.iinfo(kind).max:
                return color.astype(kind)
    return (color / (white or max(largest, 1.0))).astype(np.float32)


def _limits(header: Any) -> Iterator[float]:
    """The largest values that the scanner can store."""
    for name in COLOR:
        try:
            yield float(header["colorLimits"][f"{name}Maximum"].value())
        except Exception:  # libe57 raises its own error without such a node
            return
