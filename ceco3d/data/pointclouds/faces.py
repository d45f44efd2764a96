"""Faces of meshes as triangles."""

from __future__ import annotations

import numpy as np

UNUSABLE = "faces of vertices that do not exist: normals do not come from the faces"


def fans(lengths: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Polygons as triangles (F, 3) int64: fans around the first corner of each. Those of fewer corners are left out.

    lengths  (N,) corners of each polygon
    corners  (sum of lengths,) vertices
    """
    starts = np.cumsum(lengths) - lengths
    triangles = [np.empty((0, 3), np.int64)]
    for count in np.unique(lengths[lengths >= 3]):
        polygons = corners[starts[lengths == count][:, None] + np.arange(count)].astype(np.int64)
        triangles += [polygons[:, [0, i, i + 1]] for i in range(1, count - 1)]
    return np.concatenate(triangles)


def usable_faces(triangles: np.ndarray, count: int, notes: list[str]) -> np.ndarray | None:
    """Triangles as (F, 3) int64; None without any, and with a note if they have vertices beyond ``count``."""
    if not len(triangles):
        return None
    if not 0 <= triangles.min() <= triangles.max() < count:
        notes.append(UNUSABLE)
        return None
    return triangles.astype(np.int64)
