"""Scans from what programs hold: arrays, tensors, Open3D and trimesh objects, paths."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.meshes import scan_of_trimesh
from ceco3d.data.pointclouds.scan import Scan, make_scan
from ceco3d.data.scenes.colors import bytes_of
from ceco3d.utils.errors import UserError

WHITE = 1.001  # 1, up to rounding
KINDS = "an array (N, 3), a tensor, an Open3D or trimesh object, or a path"


def as_scan(
    points: Any, colors: Any = None, normals: Any = None, columns: Sequence[str] | None = None
) -> tuple[Scan, Path | None]:
    """``points`` as a scan, and the path that it was read from, if any.

    points, colors, normals  see ``Model.predict``
    columns                  of a table that is read, see ``data.pointclouds.read_scan``
    UserError if they are nothing that can be a scan.
    """
    home = type(points).__module__.partition(".")[0]
    arrays = isinstance(points, np.ndarray | torch.Tensor)
    if not arrays and (colors is not None or normals is not None):
        raise UserError("colors and normals go with an array of points; a file or object has its own")
    if columns is not None and not isinstance(points, str | PathLike):
        raise UserError("columns names the columns of a file; pass points[:, :3] and colors=points[:, 3:6]")
    if isinstance(points, str | PathLike):
        path = Path(points).expanduser()
        if not path.exists():
            raise UserError(f"{path}: no such file")
        return read_scan(path, columns), path
    if arrays:
        scan = _scan_of_arrays(points, colors, normals)
    elif home == "open3d":
        scan = _scan_of_open3d(points)
    elif home == "trimesh":
        scan = _scan_of_trimesh(points)
    else:
        raise UserError(f"points is a {type(points).__name__}; pass {KINDS}")
    if not len(scan):
        raise UserError("points is empty")
    return scan, None


def color_array(colors: Any, count: int) -> np.ndarray:
    """Colors (N, 3) as uint8. What white is depends on the type, and on the values where the type leaves it open.

    uint8                 255
    uint16                65535, or 255 if no value is larger
    other whole numbers   255, or 65535 if a value is larger; UserError if none is larger than 1
    floats                1, or 255 if a value is larger than 2; UserError between, where nobody can tell
    A fourth column (alpha) is left out. NaN becomes gray. UserError for anything negative or beyond the range.
    """
    values = _table("colors", colors, (3, 4))[:, :3]
    if len(values) != count:
        raise UserError(f"colors has {len(values):,} rows, but points has {count:,}")
    if values.dtype == np.uint8:
        return values
    kind, low, high = values.dtype.kind, *_range(values)
    if low < 0:
        raise UserError(f"colors has values down to {low:g}; pass uint8 (0..255) or floats (0..1)")
    if kind == "f" and high <= WHITE:
        white = 1
    elif (kind == "f" and high <= 2) or (kind != "f" and values.dtype != np.uint16 and 0 < high <= 1):
        raise UserError(f"colors of {values.dtype} up to {high:g}: neither 0..1 nor 0..255; pass uint8, or floats 0..1")
    elif high <= 255:
        white = 255
    elif kind != "f" and high <= 65535:
        white = 65535
    else:
        raise UserError(f"colors of {values.dtype} up to {high:g}; pass uint8 (0..255) or floats (0..1)")
    return bytes_of(values, white)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value but NaN; 0 and 0 without any."""
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)


def _scan_of_arrays(points: Any, colors: Any, normals: Any, faces: np.ndarray | None = None) -> Scan:
    coord = _table("points", points, (3,))
    color = None if colors is None else color_array(colors, len(coord))
    normal = None if normals is None else _table("normals", normals, (3,))
    return make_scan(coord, color, normal, faces=faces)


def _table(name: str, values: Any, widths: Sequence[int]) -> np.ndarray:
    """``values`` as an array of numbers with one row per point; UserError if they are not."""
    array = values.detach().cpu() if isinstance(values, torch.Tensor) else values
    if isinstance(array, torch.Tensor) and array.dtype == torch.bfloat16:
        array = array.float()  # NumPy has no such type
    array = np.asarray(array)
    if array.ndim != 2 or array.shape[1] not in widths or array.dtype.kind not in "fiu":
        wide = " or ".join(f"(N, {width})" for width in widths)
        hint = "; pass points[:, :3] and colors=points[:, 3:6]" if name == "points" and array.shape[-1:] > (3,) else ""
        raise UserError(f"{name} is {array.dtype} {array.shape}, not numbers {wide}{hint}")
    return array


def _scan_of_open3d(thing: Any) -> Scan:
    """A point cloud or triangle mesh, of either of Open3D's interfaces."""
    legacy = thing.to_legacy() if hasattr(thing, "to_legacy") else thing
    if hasattr(legacy, "vertices") and hasattr(legacy, "triangles"):
        names, faces = ("vertices", "vertex_colors", "vertex_normals"), np.asarray(legacy.triangles, np.int64)
    elif hasattr(legacy, "points") and hasattr(legacy, "normals"):
        names, faces = ("points", "colors", "normals"), np.empty((0, 3), np.int64)
    else:
        raise UserError(f"an Open3D {type(thing).__name__} has no points to label; pass a PointCloud or TriangleMesh")
    coord, color, normal = (np.asarray(getattr(legacy, name)) for name in names)
    own = [values if len(values) else None for values in (color, normal)]
    return _scan_of_arrays(coord.reshape(-1, 3), own[0], own[1], faces if len(faces) else None)


def _scan_of_trimesh(thing: Any) -> Scan:
    import trimesh

    if isinstance(thing, trimesh.Trimesh | trimesh.PointCloud):
        thing = trimesh.Scene([thing])
    if isinstance(thing, trimesh.Scene) and any(len(getattr(part, "vertices", ())) for part in thing.geometry.values()):
        return scan_of_trimesh(thing)
    raise UserError(f"a trimesh {type(thing).__name__} without points; pass a Trimesh, PointCloud or Scene with some")
