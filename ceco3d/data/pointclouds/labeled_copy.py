"""Copies of scans with labels, in the formats of the scans."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ceco3d.data.pointclouds.las_write import classes_fit, write_las
from ceco3d.data.pointclouds.npy_write import write_npy, write_npz
from ceco3d.data.pointclouds.pcd_write import write_pcd
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.data.pointclouds.text_write import write_text

LAS = (".las", ".laz")
TEXT = (".xyz", ".txt", ".csv", ".asc")  # the columns of .pts are fixed
KINDS = (*LAS, *TEXT, ".pcd", ".npy", ".npz")


def copy_suffix(path: Path) -> str | None:
    """The suffix of a labeled copy of the scan at ``path``; None if its format holds no labels, or is PLY."""
    return path.suffix if path.suffix.lower() in KINDS and not path.is_dir() else None


def copy_notes(path: Path, ids: Collection[int]) -> list[str]:
    """What a labeled copy of the scan at ``path`` lacks with these raw ids of classes, one line each."""
    if path.suffix.lower() not in LAS or classes_fit(ids):
        return []
    wrong = next(i for i in (min(ids), max(ids)) if not classes_fit([i]))
    return [
        f"classification in the {path.suffix} result stays that of the scan, because it cannot hold class {wrong}: see "
        "the dimension label"
    ]


def write_copy(file: BinaryIO, path: Path, scan: Scan, result: np.ndarray, ids: Collection[int]) -> None:
    """Write a copy of the file at ``path`` with all that it has of its points, and ``label`` and ``confidence``.

    scan    what was read from it
    result  (N,) RESULT
    ids     raw ids of all classes
    NotSupportedError if the file has something that its writer cannot keep.
    """
    kind = path.suffix.lower()
    if kind in LAS:
        write_las(file, path, result, ids)
    elif kind in TEXT:
        write_text(file, path, result, scan.columns)
    elif kind == ".pcd":
        write_pcd(file, path, result)
    elif kind == ".npz":
        write_npz(file, path, result)
    else:
        write_npy(file, path, result)
