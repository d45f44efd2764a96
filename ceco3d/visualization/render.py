"""Points drawn to an image on the CPU: cameras that show a room, and a z-buffer of discs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

FIELD_OF_VIEW = np.radians(30)  # narrow, so that walls lean little
CEILING = 1.8  # metres; higher scans are taken for rooms, and cut
CUT = 0.8  # of the height of a room: what is above is taken off
SAMPLES = 2  # a pixel is the mean of so many squared
WIDEST = 16  # samples: radius of the largest discs; sparser scans show gaps
EDGE = 12.0  # how dark edges in depth are


@dataclass(frozen=True)
class Camera:
    """A pinhole at ``eye`` (3,), ``axes`` (3, 3) its right, down and forward; the wider side of the image sees 30°."""

    eye: np.ndarray
    axes: np.ndarray


@dataclass(frozen=True)
class Frame:
    """What a camera sees: ``point`` (H, W) int64 index of the point at a sample, -1 = none; ``shade`` (H, W) 0..1."""

    point: np.ndarray
    shade: np.ndarray


def without_ceiling(coord: np.ndarray) -> np.ndarray:
    """(N,) bool: the points (N, 3) of a room without its uppermost fifth; all points of lower scans."""
    low, high = np.percentile(coord[:, 2], [1, 99])
    return coord[:, 2] <= (low + CUT * (high - low) if high - low > CEILING else np.inf)


def fit_camera(coord: np.ndarray, forward: np.ndarray, size: tuple[int, int]) -> Camera:
    """The camera that looks along ``forward`` (3,) from as near as shows all of ``coord`` (N, 3) in (height, width).

    Straight down, the longer side of the scene lies across.
    """
    forward = np.asarray(forward, float) / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-6:
        width, depth = np.ptp(coord[:, :2], axis=0)
        right = np.array([1.0, 0.0, 0.0]) if width >= depth else np.array([0.0, 1.0, 0.0])
    down = np.cross(forward, right)
    down /= np.linalg.norm(down)
    axes = np.stack([np.cross(down, forward), down, forward])
    view = coord @ axes.T
    middle = (view.min(0) + view.max(0)) / 2
    x, y, z = (view - middle).T
    tangent = np.tan(FIELD_OF_VIEW / 2) * np.array([size[1], size[0]]) / max(size)
    distance = max((np.abs(x) / tangent[0] - z).max(), (np.abs(y) / tangent[1] - z).max())
    return Camera((middle - [0, 0, 1.03 * distance]) @ axes, axes)


def point_radius(coord: np.ndarray) -> float:
    """Radius (metres) of discs that close the surfaces of ``coord`` (N, 3): from the gaps between 4,000 points."""
    chosen = np.random.default_rng(0).permutation(len(coord))[:4000]
    distance, _ = cKDTree(coord).query(coord[chosen], k=min(7, len(coord)))
    return float(np.median(distance[:, -1])) if len(coord) > 1 else 0.01


def render(coord: np.ndarray, normal: np.ndarray | None, radius: float, camera: Camera, size: tuple[int, int]) -> Frame:
    """Draw each of ``coord`` (N, 3) as a disc of ``radius`` (metres) that faces the camera.

    normal  (N, 3) unit or zero, or None; points that show the camera their back are left out, so that it looks through
            the near walls into a room
    size    height and width in pixels; the frame has SAMPLES times as many rows and columns
    """
    height, width = (SAMPLES * n for n in size)
    x, y, z = camera.axes @ (coord - camera.eye).T
    towards = np.ones(len(coord))
    if normal is not None:
        ray = (camera.eye - coord) / np.linalg.norm(camera.eye - coord, axis=1, keepdims=True)
        towards = np.where((normal == 0).all(1), 1, np.einsum("ij,ij->i", normal, ray))
    seen = np.flatnonzero((z > 1e-6) & (towards >= 0))
    focal = max(height, width) / 2 / np.tan(FIELD_OF_VIEW / 2)
    x, y, z = x[seen], y[seen], z[seen]
    column, row = focal * x / z + width / 2, focal * y / z + height / 2
    reach = np.minimum(focal * radius / z, WIDEST)
    nearest = _nearest(row, column, z, reach, radius, (height, width))
    point = np.where(nearest >= 0, seen[nearest], -1)
    depth = np.where(nearest >= 0, z[nearest], np.inf)
    shade = np.where(nearest >= 0, 0.7 + 0.3 * towards[point], 1) * _edges(depth)
    return Frame(point, shade)


def _nearest(
    row: np.ndarray, column: np.ndarray, z: np.ndarray, reach: np.ndarray, radius: float, size: tuple[int, int]
) -> np.ndarray:
    """(H, W) int64: which of N discs, ``reach`` pixels in radius, is nearest; -1 = none.

    Discs are bowls that open away from the camera, ``radius`` deep: on a surface, the nearest centre wins.
    """
    height, width = size
    key = np.full(height * width, np.iinfo(np.int64).max)
    scale = 2**30 / z.max() if len(z) else 1.0
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    most = int(np.ceil(reach.max())) if len(z) else 0
    for dy in range(-most, most + 1):
        for dx in range(-most, most + 1):
            y, x = top + dy, left + dx
            off = ((y + 0.5 - row) ** 2 + (x + 0.5 - column) ** 2) / np.maximum(reach, 1) ** 2
            i = np.flatnonzero((off <= 1) & (y >= 0) & (y < height) & (x >= 0) & (x < width))
            depth = ((z[i] + radius * off[i]) * scale).astype(np.int64)
            np.minimum.at(key, y[i] * width + x[i], depth << 32 | i)
    return np.where(key == np.iinfo(np.int64).max, -1, key & 0xFFFFFFFF).reshape(size)


def _edges(depth: np.ndarray) -> np.ndarray:
    """Eye-dome lighting (Boucheny 2009): (H, W) factors 0..1, dark where what is beside lies nearer."""
    log = np.log2(np.where(np.isfinite(depth), depth, depth[np.isfinite(depth)].max(initial=1.0) * 1.1))
    padded = np.pad(log, SAMPLES, mode="edge")
    rows, columns = (slice(SAMPLES, SAMPLES + n) for n in depth.shape)
    total = np.zeros_like(log)
    for dy, dx in ((-SAMPLES, 0), (SAMPLES, 0), (0, -SAMPLES), (0, SAMPLES)):
        beside = padded[rows.start + dy : rows.stop + dy, columns.start + dx : columns.stop + dx]
        total += np.maximum(0, log - beside)
    return np.where(np.isfinite(depth), np.exp(-EDGE * np.minimum(total / 4, 0.08)), 1)


def paint(frame: Frame, colors: np.ndarray, background: int = 255) -> np.ndarray:
    """(height, width, 3) uint8: the frame with the points in ``colors`` (N, 3) uint8."""
    image = np.where(frame.point[..., None] >= 0, colors[frame.point] * frame.shade[..., None], background)
    height, width = (n // SAMPLES for n in frame.point.shape)
    return image.reshape(height, SAMPLES, width, SAMPLES, 3).mean((1, 3)).round().astype(np.uint8)
