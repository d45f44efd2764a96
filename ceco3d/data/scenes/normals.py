"""Normals of points without faces, from their neighbors; the same in training, evaluation and predictions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ceco3d.utils.atomic import whole_file
from ceco3d.utils.untrusted import read_npy

NEIGHBORS = 16
POINTS = 1 << 17  # per batch
STORED = "normal.estimated.npy"  # beside the arrays of a processed scene; other programs do not read it
SAMPLE = 4096  # rows that usually tell
UNIT = 1e-3  # a larger deviation from length 1 is no rounding, also of float16


def estimate_normals(coord: np.ndarray) -> np.ndarray:
    """Unit normals (N, 3) float32 of finite coordinates (N, 3), each from the plane through the 16 nearest points.

    The plane spans the two largest principal components (Hoppe et al., SIGGRAPH 1992), which leaves the sign open. The
    normal points to the center of the bounding box, because the faces of indoor scans look into the room. It is zero
    where the neighbors lie on a line or coincide.
    """
    tree = cKDTree(coord)
    middle = (coord.min(0) + coord.max(0)) / 2
    normals = np.zeros(coord.shape, np.float32)
    neighbors = min(NEIGHBORS, len(coord))
    for start in range(0, len(coord), POINTS):
        part = coord[start : start + POINTS]
        _, index = tree.query(part, k=[*range(1, neighbors + 1)], workers=-1)
        offsets = coord[index].astype(np.float64)
        offsets -= offsets.mean(1, keepdims=True)
        values, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", offsets, offsets))
        normal = vectors[:, :, 0]
        normal *= np.where(np.einsum("ni,ni->n", normal, middle - part) < 0, -1, 1)[:, None]
        flat = values[:, 1] > 1e-6 * values[:, 2]
        normals[start : start + POINTS] = np.where(flat[:, None], normal, 0)
    return normals


def missing_normals(coord: np.ndarray) -> np.ndarray:
    """``estimate_normals`` of a processed scene: moved to the origin, as ``to_scene`` does, for the same bits."""
    return estimate_normals((coord.astype(np.float64) - coord.min(0)).astype(np.float32))


def stored_normals(folder: Path, coord: np.ndarray) -> np.ndarray:
    """``missing_normals`` of the processed scene in ``folder``, computed once and kept in its file STORED.

    A file older than ``coord.npy`` does not count. A folder that cannot be written works too, at the cost of computing
    them again.
    """
    path = folder / STORED
    with suppress(OSError, ValueError):
        stored = read_npy(path)
        newer = path.stat().st_mtime_ns >= (folder / "coord.npy").stat().st_mtime_ns
        if newer and stored.dtype == np.float32 and stored.shape == coord.shape:
            return stored
    normal = missing_normals(coord)
    with suppress(OSError), whole_file(path) as file:
        np.save(file, normal)
    return normal


def has_normals(normal: np.ndarray) -> bool:
    """Whether any of the normals (N, 3) is neither zero nor NaN."""
    return any(bool((np.nan_to_num(part) != 0).any()) for part in (normal[:SAMPLE], normal[SAMPLE:]))


def directions(normal: np.ndarray) -> np.ndarray:
    """Normals (N, 3) with length 1, float32; zero where one is zero or not finite."""
    wide = normal.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    known = np.isfinite(length) & (length > 0)
    unit: np.ndarray = np.divide(wide, length, out=np.zeros(wide.shape), where=known)
    return unit.astype(np.float32)


def unit_normals(normal: np.ndarray) -> np.ndarray:
    """Normals (N, 3) with length 1; the same array if all of them are unit vectors up to rounding, or zero."""
    square = np.einsum("ij,ij->i", normal, normal)
    if ((np.abs(square - 1) <= 2 * UNIT) | (square == 0)).all():
        return normal
    return directions(normal.astype(np.float32))
