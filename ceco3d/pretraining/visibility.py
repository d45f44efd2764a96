"""Which points of a scan a camera inside it sees. No image is made: a view is the list of its points."""

from __future__ import annotations

import math

import numpy as np

from ceco3d.visualization.camera import Camera, focal_length
from ceco3d.visualization.depth_buffer import nearest_square

IMAGE = (120, 160)  # rows and columns of the depth buffer: a pixel covers 2 cm at 3 m
FIELD_OF_VIEW = math.radians(58)  # horizontal, that of ScanNet's depth camera (fx 577 at 640 columns)
NEAR = 0.3  # meters; nothing closer is seen (the depth camera begins at 0.4)
MARGIN = 0.03  # meters behind the nearest surface that still count as that surface: noise, thickness of edges
STEEPEST = 5.0  # tangent of the slant up to which the depth of a surface within one pixel is allowed for
UNKNOWN_SLANT = 2.0  # tangent assumed for points without a normal


def visible(coord: np.ndarray, normal: np.ndarray, camera: Camera, radius: float) -> np.ndarray:
    """Return (M,) int64, ascending: the points that ``camera`` sees.

    coord   (N, 3) float32, meters
    normal  (N, 3) float32, unit length, or zero where unknown; a point facing away hides others but is not seen
    radius  meters; every point hides what lies behind a square of this half-width, so a surface of points is closed
    """
    rows, columns = IMAGE
    focal = focal_length(columns, FIELD_OF_VIEW)
    ray = coord - camera.eye.astype(np.float32)
    x, y, z = camera.axes.astype(np.float32) @ ray.T
    with np.errstate(divide="ignore", invalid="ignore"):
        row, column = focal * y / z + rows / 2, focal * x / z + columns / 2
        inside = (z > NEAR) & (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    point = np.flatnonzero(inside)
    z, i, j = z[point], row[point].astype(np.int64), column[point].astype(np.int64)
    reach = (focal * radius / z + 0.5).astype(np.int64)
    nearest = z[nearest_square(i, j, reach, z, IMAGE)[i, j]]

    toward = -np.einsum("ij,ij->i", normal[point], ray[point]) / np.linalg.norm(ray[point], axis=1)
    slant = np.sqrt(1 - np.minimum(toward**2, 1)) / np.maximum(np.abs(toward), 1e-6)
    slant = np.where((normal[point] == 0).all(1), UNKNOWN_SLANT, np.minimum(slant, STEEPEST))
    own_depth = MARGIN + 1.5 * (reach + 0.5) * z / focal * slant  # 1.5: a square reaches farther at its corners
    seen: np.ndarray = point[(z <= nearest + own_depth) & (toward >= 0)]
    return seen
