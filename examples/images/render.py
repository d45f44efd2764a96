"""From a labelled point cloud to images: perspective cameras inside the room, discs of the points, a z-buffer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.data.scenes.labels import IGNORE
from ceco3d.data.scenes.scene import Scene

NEAR = 0.2  # metres; what is closer to the camera is not drawn
RADIUS = 0.022  # metres; discs this large close the gaps between the vertices of a scan, 2 cm apart
FIELD_OF_VIEW = np.deg2rad(80)  # horizontal


@dataclass(frozen=True)
class View:
    """color (H, W, 3) uint8, black where no surface is; label (H, W) int64, training index, -1 there too."""

    color: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at ``eye`` that looks at ``target`` (both (3,), metres, z up), images (height, width)."""

    eye: np.ndarray
    target: np.ndarray
    height: int
    width: int

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / np.tan(FIELD_OF_VIEW / 2)

    @property
    def axes(self) -> np.ndarray:
        """(3, 3): rows right, down, forward in the frame of the scene."""
        forward = (self.target - self.eye) / np.linalg.norm(self.target - self.eye)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])


def render(scene: Scene, camera: Camera) -> View:
    """What ``camera`` sees of ``scene``. Surfaces are one-sided: points whose normal faces away are not drawn."""
    ray = scene.coord.numpy() - camera.eye
    local = ray @ camera.axes.T
    point = np.flatnonzero((local[:, 2] > NEAR) & ((scene.normal.numpy() * ray).sum(1) <= 0))
    point = point[np.argsort(-local[point, 2])]  # far to near: NumPy's last assignment to a pixel is the nearest one
    x, y, z = local[point].T
    row = camera.focal * y / z + (camera.height - 1) / 2
    column = camera.focal * x / z + (camera.width - 1) / 2
    nearest = splat(row, column, camera.focal * RADIUS / z, z, (camera.height, camera.width))
    hit, seen = nearest >= 0, np.append(point, 0)[nearest]
    return View(
        color=np.where(hit[..., None], scene.color.numpy()[seen], 0).astype(np.uint8),
        label=np.where(hit, scene.segment.numpy()[seen], IGNORE),
    )


def splat(row: np.ndarray, column: np.ndarray, reach: np.ndarray, z: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) int64: which of N discs is nearest at each pixel, -1 where there is none.

    row, column, reach (N,): centres and radii in pixels; z (N,): distances, descending. A disc has one pixel at least.
    """
    nearest = np.full(shape, -1)
    z = np.append(z, np.inf)  # what -1 means
    i0, j0 = np.rint(row).astype(int), np.rint(column).astype(int)
    limit = int(np.ceil(reach.max(initial=0)))
    for di in range(-limit, limit + 1):
        for dj in range(-limit, limit + 1):
            first = np.searchsorted(reach, np.hypot(di, dj) - 0.71)  # the discs before are too small for this offset
            i, j = i0[first:] + di, j0[first:] + dj
            drawn = (i - row[first:]) ** 2 + (j - column[first:]) ** 2 <= reach[first:] ** 2
            drawn |= di == dj == 0
            drawn &= (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
            layer = np.full(shape, -1)
            layer[i[drawn], j[drawn]] = first + np.flatnonzero(drawn)
            nearest = np.where(z[layer] < z[nearest], layer, nearest)
    return nearest


def look_around(scene: Scene, views: int, height: int, width: int, rng: np.random.Generator) -> list[View]:
    """``views`` images of a room: from near its walls at eye height, across the middle, down to the furniture."""
    coord = scene.coord.numpy()
    low, high = np.quantile(coord, (0.01, 0.99), axis=0)
    middle, half = (low + high)[:2] / 2, (high - low)[:2] / 2
    images = []
    for _ in range(views):
        spots = []
        for angle in rng.uniform(0, 2 * np.pi, 5):
            side = half * (np.cos(angle), np.sin(angle))
            eye = np.append(middle + 0.8 * side, low[2] + rng.uniform(1.4, 1.8))
            target = np.append(middle - 0.4 * side + rng.normal(0, 0.3, 2), low[2] + rng.uniform(0.2, 0.6))
            spots.append(Camera(eye, target, height, width))
        free = max(spots, key=lambda spot: ((coord[::20] - spot.eye) ** 2).sum(1).min())  # not inside of things
        images.append(render(scene, free))
    return images
