"""NumPy files: .npy, .npz, and folders of .npy (processed scenes of ceco3d or Pointcept)."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.scan import Scan, make_scan, scan_of_columns
from ceco3d.data.pointclouds.tables import scan_of_table
from ceco3d.utils import untrusted
from ceco3d.utils.errors import UserError

COORD_KEYS = ("coord", "coords", "points", "xyz", "pos", "vertices")
COLOR_KEYS = ("color", "colors", "rgb")
NORMAL_KEYS = ("normal", "normals")


def read_npy(path: Path, columns: Sequence[str] | None = None) -> Scan:
    """A table (N, C), see ``scan_of_table``, or records with named fields."""
    array = untrusted.read_npy(path)
    if array.dtype.names:
        return scan_of_columns({name: array[name] for name in array.dtype.names})
    return scan_of_table(array, columns)


def read_npz(path: Path) -> Scan:
    """Arrays (N, 3) under ``COORD_KEYS``, ``COLOR_KEYS`` and ``NORMAL_KEYS``; coordinates alone may be a table."""
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    wanted = [name for name in names if name in (*COORD_KEYS, *COLOR_KEYS, *NORMAL_KEYS)]
    return _scan_of_arrays(untrusted.read_npz(path, wanted), names)


def read_scene_folder(folder: Path) -> Scan:
    """``coord.npy`` and, if present, ``color.npy`` and ``normal.npy``."""
    names = [name for name in ("coord", "color", "normal") if (folder / f"{name}.npy").exists()]
    return _scan_of_arrays({name: untrusted.read_npy(folder / f"{name}.npy") for name in names}, names)


def _scan_of_arrays(arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> Scan:
    coord, color, normal = (
        next((arrays[key] for key in keys if key in arrays), None) for keys in (COORD_KEYS, COLOR_KEYS, NORMAL_KEYS)
    )
    if coord is None:
        raise UserError(
            f"has no array named {', '.join(COORD_KEYS)}, only {', '.join(map(untrusted.one_line, names)) or 'none'}"
        )
    if color is None and normal is None:
        return scan_of_table(coord)
    return make_scan(coord, color, normal)
