"""Normals of points, from faces or from neighbors."""

from __future__ import annotations

import numpy as np


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
