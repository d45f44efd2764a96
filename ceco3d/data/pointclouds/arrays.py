"""Arrays: .npy, .npz, .safetensors, and folders of .npy (processed scenes of ceco3d or Pointcept)."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.attributes import split_columns
from ceco3d.data.pointclouds.scan import Scan, make_scan, scan_of_columns
from ceco3d.data.pointclouds.tables import check_shape, scan_of_table
from ceco3d.data.scenes.processed import INTENSITY, first_column
from ceco3d.utils import untrusted
from ceco3d.utils.errors import UserError

COORD_KEYS = ("coord", "coords", "points", "xyz", "pos", "vertices")
COLOR_KEYS = ("color", "colors", "rgb")
NORMAL_KEYS = ("normal", "normals")
ONE_NUMBER = ("segment", "instance", *INTENSITY)  # of each point


def read_npy(path: Path, columns: Sequence[str] | None = None) -> Scan:
    """A table (N, C), see ``scan_of_table``, or records with named fields."""
    array = untrusted.read_npy(path)
    if not array.dtype.names:
        return scan_of_table(array, columns)
    if columns is not None:
        raise UserError(f"columns= names columns without names, but these are {', '.join(array.dtype.names)}")
    return scan_of_columns({name: array[name] for name in array.dtype.names})


def read_npz(path: Path) -> Scan:
    """Arrays (N, 3) under ``COORD_KEYS``, ``COLOR_KEYS`` and ``NORMAL_KEYS``; coordinates alone may be a table.

    Without them: the only array of records with x, y and z, or the only table (N, 3 or more). All other arrays with a
    row per point become attributes.
    ValueError if a member is damaged or has another size than it promises, whether it is used or not.
    """
    arrays: dict[str, np.ndarray] = {}
    names, notes = [], []
    with untrusted.reading(), zipfile.ZipFile(path) as archive:
        untrusted.check_archive(archive, path.stat().st_size)
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            names.append(name)
            data = untrusted.read_member(archive, member)
            try:
                if name == member.filename:
                    raise ValueError("no array")
                arrays[name] = untrusted.array_in(data)
            except ValueError as error:
                if name in (*COORD_KEYS, *COLOR_KEYS, *NORMAL_KEYS):
                    raise
                notes.append(f"array {untrusted.one_line(name, 40)} is not read ({untrusted.one_line(error, 80)})")
    scan = _scan_of_records(arrays) if not set(COORD_KEYS) & arrays.keys() else None
    if scan is None:
        scan = _scan_of_arrays(arrays, names)
    return replace(scan, notes=(*scan.notes, *notes))


def _scan_of_records(arrays: Mapping[str, np.ndarray]) -> Scan | None:
    """The scan in the only array that can be one; None if there is none or more."""
    records = {name: array for name, array in arrays.items() if array.dtype.names and array.ndim == 1}
    tables = {
        name: array
        for name, array in arrays.items()
        if array.ndim == 2 and array.shape[1] >= 3 and array.dtype.kind in "fiu" and array.shape[0] > 4
    }
    scans = []
    for name, array in records.items():
        if {"x", "y", "z"} <= {field.lower() for field in array.dtype.names or ()}:
            scans.append((name, scan_of_columns({field: array[field] for field in array.dtype.names or ()})))
    if not scans and len(tables) == 1:
        scans = [(name, scan_of_table(table)) for name, table in tables.items()]
    if len(scans) != 1:
        return None
    name, scan = scans[0]
    attributes, notes = _attributes({other: array for other, array in arrays.items() if other != name}, len(scan))
    return replace(scan, attributes={**scan.attributes, **attributes}, notes=(*scan.notes, *notes))


def _attributes(arrays: Mapping[str, np.ndarray], count: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Columns of arrays (N,) and (N, k), and notes on the others."""
    columns: dict[str, np.ndarray] = {}
    notes = []
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.ndim not in (1, 2) or len(array) != count:
            notes.append(f"array {untrusted.one_line(name, 40)} {array.shape} has no number per point: not read")
        else:
            columns |= split_columns(name, array)
    return columns, notes


def read_scene_folder(folder: Path) -> Scan:
    """``coord.npy`` and, if present, ``color.npy``, ``normal.npy`` and ``intensity.npy`` or ``strength.npy``."""
    names = [name for name in ("coord", "color", "normal", *INTENSITY) if (folder / f"{name}.npy").exists()]
    arrays = {name: untrusted.read_npy(folder / f"{name}.npy") for name in names}
    return _scan_of_arrays(_flat(arrays), names)


def read_safetensors(path: Path) -> Scan:
    """Tensors under the same names as the arrays of ``read_npz``; of labels and instances (N, k), the first column."""
    from safetensors import safe_open

    with untrusted.reading(), safe_open(path, "np") as file:
        arrays = {name: file.get_tensor(name) for name in list(file.keys())}
    return _scan_of_arrays(_flat(arrays), list(arrays))


def _flat(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of one number a point as (N,), also where they have several columns, as Pointcept's may."""
    return {name: first_column(array) if name in ONE_NUMBER else array for name, array in arrays.items()}


def _scan_of_arrays(arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> Scan:
    found = {
        key: next((name for name in keys if name in arrays), None)
        for key, keys in (("coord", COORD_KEYS), ("color", COLOR_KEYS), ("normal", NORMAL_KEYS))
    }
    coord, color, normal = (None if name is None else arrays[name] for name in found.values())
    if coord is None:
        raise UserError(
            f"has no array named {', '.join(COORD_KEYS)}, only {', '.join(map(untrusted.one_line, names)) or 'none'}"
        )
    others = {name: array for name, array in arrays.items() if name not in found.values()}
    if color is not None and color.ndim == 2 and color.shape[1] == 4:
        others["alpha"], color = color[:, 3], color[:, :3]
    check_shape(coord)
    alone = color is None and normal is None
    scan = scan_of_table(coord) if alone else make_scan(coord, color, normal)
    attributes, notes = _attributes(others, len(scan))
    return replace(scan, attributes={**scan.attributes, **attributes}, notes=(*scan.notes, *notes))
