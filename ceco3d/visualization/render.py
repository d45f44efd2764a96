"""Draw a scene on the CPU: a camera that shows all of it, shaded discs for its points, colors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ceco3d.visualization.camera import STRAIGHT, Camera, focal_length
from ceco3d.visualization.depth_buffer import nearest_disc

FIELD_OF_VIEW = np.radians(30)  # of the longer side; narrow, so that walls lean little
CEILING = 1.8  # meters; taller scans are taken for rooms and cut open
CUT = 0.8  # share of a room's height that is kept
SAMPLES = 2  # supersampling: a pixel is the mean of SAMPLES x SAMPLES samples
WIDEST = 16  # samples; limit of a disc's radius, so sparser scans show gaps
EDGE = 12.0  # strength of the dark outlines at depth edges


@dataclass(frozen=True)
class Frame:
    """What a camera sees.

    point  (H, W) int64 index of the point at each sample, -1 = none
    shade  (H, W) brightness 0..1
    """

    point: np.ndarray
    shade: np.ndarray


def without_ceiling(coord: np.ndarray) -> np.ndarray:
    """Return (N,) bool: which of the points (N, 3) lie below the top fifth of a room; all points of lower scans."""
    low, high = np.percentile(coord[:, 2], [1, 99])
    kept: np.ndarray = coord[:, 2] <= (low + CUT * (high - low) if high - low > CEILING else np.inf)
    return kept


def fit_camera(coord: np.ndarray, forward: np.ndarray, size: tuple[int, int]) -> Camera:
    """Return the nearest camera along ``forward`` (3,) that shows all of ``coord`` (N, 3) in (height, width).

    Looking straight down, it turns the longer side of the scene to the width of the image.
    """
    forward = np.asarray(forward, float) / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < STRAIGHT:
        width, depth = np.asarray(np.ptp(coord[:, :2], axis=0))
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
    """Return the radius in meters of discs that close the surfaces of ``coord`` (N, 3), from gaps at 4,000 points."""
    chosen = np.random.default_rng(0).permutation(len(coord))[:4000]
    distance = np.asarray(cKDTree(coord).query(coord[chosen], k=min(7, len(coord)))[0])
    return float(np.median(distance[:, -1])) if len(coord) > 1 else 0.01


def render(coord: np.ndarray, normal: np.ndarray | None, radius: float, camera: Camera, size: tuple[int, int]) -> Frame:
    """Draw each of ``coord`` (N, 3) as a disc of ``radius`` (meters) that faces the camera.

    normal  (N, 3) unit or zero, or None; points that face away are skipped, so the camera sees through the near walls
            of a room
    size    height and width in pixels; the frame has SAMPLES times as many rows and columns
    """
    height, width = (SAMPLES * n for n in size)
    x, y, z = camera.axes @ (coord - camera.eye).T
    toward = np.ones(len(coord))
    if normal is not None:
        ray = (camera.eye - coord) / np.linalg.norm(camera.eye - coord, axis=1, keepdims=True)
        toward = np.where((normal == 0).all(1), 1, np.einsum("ij,ij->i", normal, ray))
    seen = np.flatnonzero((z > 1e-6) & (toward >= 0))
    focal = focal_length(max(height, width), FIELD_OF_VIEW)
    x, y, z = x[seen], y[seen], z[seen]
    column, row = focal * x / z + width / 2, focal * y / z + height / 2
    reach = np.maximum(np.minimum(focal * radius / z, WIDEST), 1)
    nearest = nearest_disc(row, column, reach, z, (height, width), bulge=radius)
    point = np.where(nearest >= 0, seen[nearest], -1)
    depth = np.where(nearest >= 0, z[nearest], np.inf)
    shade = np.where(nearest >= 0, 0.7 + 0.3 * toward[point], 1) * _edges(depth)
    return Frame(point, shade)


def _edges(depth: np.ndarray) -> np.ndarray:
    """Return (H, W) factors 0..1, dark where a neighbor lies nearer: eye-dome lighting (Boucheny 2009)."""
    log = np.log2(np.where(np.isfinite(depth), depth, depth[np.isfinite(depth)].max(initial=1.0) * 1.1))
    padded = np.pad(log, SAMPLES, mode="edge")
    rows, columns = (slice(SAMPLES, SAMPLES + n) for n in depth.shape)
    total = np.zeros_like(log)
    for dy, dx in ((-SAMPLES, 0), (SAMPLES, 0), (0, -SAMPLES), (0, SAMPLES)):
        neighbor = padded[rows.start + dy : rows.stop + dy, columns.start + dx : columns.stop + dx]
        total += np.maximum(0, log - neighbor)
    return np.where(np.isfinite(depth), np.exp(-EDGE * np.minimum(total / 4, 0.08)), 1)


def paint(frame: Frame, colors: np.ndarray, background: int = 255) -> np.ndarray:
    """Return (height, width, 3) uint8: the frame with its points in ``colors`` (N, 3) uint8."""
    image = np.where(frame.point[..., None] >= 0, colors[frame.point] * frame.shade[..., None], background)
    height, width = (n // SAMPLES for n in frame.point.shape)
    pixels: np.ndarray = image.reshape(height, SAMPLES, width, SAMPLES, 3).mean((1, 3)).round().astype(np.uint8)
    return pixels
