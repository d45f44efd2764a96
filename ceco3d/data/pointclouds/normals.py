"""Normals of points, from faces or from neighbors."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

NEIGHBORS = 16
POINTS = 1 << 17  # per batch


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


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit sums (N, 3) float32 of the area-weighted normals of counter-clockwise faces (F, 3); zero where undefined."""
    coord = np.ascontiguousarray(vertices.T, np.float64)
    corner = [coord.take(index, axis=1) for index in np.ascontiguousarray(faces.T)]  # three of (3, F)
    (ax, ay, az), (bx, by, bz) = corner[1] - corner[0], corner[2] - corner[0]
    weighted = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)  # cross product, twice the area long
    sums = [np.bincount(faces.ravel(), np.repeat(values, 3), len(vertices)) for values in weighted]
    length = np.linalg.norm(sums, axis=0)
    normals: np.ndarray = np.divide(sums, length, out=np.zeros((3, len(vertices))), where=length > 0)
    rows: np.ndarray = normals.T.astype(np.float32, order="C")
    return rows
