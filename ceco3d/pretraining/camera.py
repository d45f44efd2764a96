"""What a camera inside a scan sees: a pinhole, a z-buffer over the points, and the vertices that are not hidden.

No image is made; a view is the list of its vertices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import minimum_filter

IMAGE = (120, 160)  # rows, columns of the z-buffer: a pixel of 2 cm at 3 m
FIELD_OF_VIEW = math.radians(58)  # horizontal, that of ScanNet's depth camera (fx 577 at 640 columns)
NEAR = 0.3  # metres; nothing closer is seen (the depth camera begins at 0.4)
MARGIN = 0.03  # metres behind the nearest surface that still count as that surface: noise, thickness of edges
STEEPEST = 5.0  # tangent of the slant up to which a surface's own depth within a pixel is allowed for
UNKNOWN_SLANT = 2.0  # of points without a normal


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at ``eye`` that looks along ``forward``: both (3,), metres, z up; any length of ``forward``."""

    eye: np.ndarray
    forward: np.ndarray

    @property
    def axes(self) -> np.ndarray:
        """(3, 3) float32: rows right, down, forward in the frame of the scene."""
        forward = self.forward / np.linalg.norm(self.forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        if np.linalg.norm(right) < 1e-6:  # straight up or down: any heading will do
            right = np.array([1.0, 0.0, 0.0])
        right = right / np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward]).astype(np.float32)


def visible(coord: np.ndarray, normal: np.ndarray, camera: Camera, radius: float) -> np.ndarray:
    """(M,) int64, ascending: the points that ``camera`` sees.

    coord  (N, 3) float32, metres
    normal (N, 3) float32, unit length, or zero where unknown; a point whose normal faces away hides but is not seen
    radius metres; every point hides what is behind a square of this half-width, so that a surface of points is closed
    """
    rows, columns = IMAGE
    focal = columns / 2 / math.tan(FIELD_OF_VIEW / 2)
    ray = coord - camera.eye.astype(np.float32)
    x, y, z = camera.axes @ ray.T
    with np.errstate(divide="ignore", invalid="ignore"):
        row, column = focal * y / z + rows / 2, focal * x / z + columns / 2
        inside = (z > NEAR) & (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    point = np.flatnonzero(inside)
    z, pixel = z[point], row[point].astype(np.int64) * columns + column[point].astype(np.int64)
    reach = (focal * radius / z + 0.5).astype(np.int64)
    nearest = _z_buffer(pixel, z, reach).ravel()[pixel]

    towards = -np.einsum("ij,ij->i", normal[point], ray[point]) / np.linalg.norm(ray[point], axis=1)
    slant = np.sqrt(1 - np.minimum(towards**2, 1)) / np.maximum(np.abs(towards), 1e-6)
    slant = np.where((normal[point] == 0).all(1), UNKNOWN_SLANT, np.minimum(slant, STEEPEST))
    own_depth = MARGIN + 1.5 * (reach + 0.5) * z / focal * slant  # 1.5: the corner of a square is further than its side
    return point[(z <= nearest + own_depth) & (towards >= 0)]


def _z_buffer(pixel: np.ndarray, z: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """IMAGE of float32: the smallest z of the points that cover a pixel, infinity where there is none.

    pixel, z, reach (N,): row-major number of a point's pixel, distance, and how many pixels it covers on each side.
    """
    order = np.argsort(-z)  # far to near: NumPy's last assignment to a pixel is the nearest one
    pixel, z, reach = pixel[order], z[order], reach[order]
    depth = np.full(IMAGE, np.inf, np.float32)
    # Reach falls with distance, so that the points of one reach are neighbours in this order.
    starts = np.flatnonzero(np.diff(reach, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(z)], strict=True):
        layer = np.full(IMAGE, np.inf, np.float32)
        layer.ravel()[pixel[start:end]] = z[start:end]
        size = 2 * int(reach[start]) + 1
        depth = np.minimum(depth, minimum_filter(layer, size, mode="constant", cval=np.inf))
    return depth
