"""Render labeled point clouds as images with perspective cameras inside the room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.data.labels import IGNORE
from ceco3d.data.scenes.scene import Scene
from ceco3d.visualization.camera import Camera, focal_length
from ceco3d.visualization.depth_buffer import nearest_disc, ranks

NEAR = 0.2  # meters; nothing closer to the camera is drawn
RADIUS = 0.022  # meters; discs of this size close the gaps between the vertices of a scan, 2 cm apart
FIELD_OF_VIEW = np.deg2rad(80)  # horizontal


@dataclass(frozen=True)
class View:
    """An image of a room and its label map.

    color  (H, W, 3) uint8, black where there is no surface
    label  (H, W) int64 training index, -1 = no ground truth or no surface
    """

    color: np.ndarray
    label: np.ndarray


def render(scene: Scene, camera: Camera, size: tuple[int, int]) -> View:
    """Draw what ``camera`` sees of ``scene`` in an image of (height, width).

    Surfaces are one-sided: points whose normal faces away are not drawn.
    """
    height, width = size
    focal = focal_length(width, FIELD_OF_VIEW)
    ray = scene.coord.numpy() - camera.eye
    local = ray @ camera.axes.T
    point = np.flatnonzero((local[:, 2] > NEAR) & ((scene.normal.numpy() * ray).sum(1) <= 0))
    x, y, z = local[point].T
    row, column = focal * y / z + height / 2, focal * x / z + width / 2
    nearest = nearest_disc(row, column, focal * RADIUS / z, ranks(z) + 1.0, size)  # ranks: no two depths are equal
    hit, seen = nearest >= 0, np.append(point, 0)[nearest]
    return View(
        color=np.where(hit[..., None], scene.color.numpy()[seen], 0).astype(np.uint8),
        label=np.where(hit, scene.segment.numpy()[seen], IGNORE),
    )


def look_around(scene: Scene, views: int, height: int, width: int, rng: np.random.Generator) -> list[View]:
    """Render ``views`` images of a room, from near its walls at eye height across the middle, down at the furniture."""
    coord = scene.coord.numpy()
    low, high = np.quantile(coord, (0.01, 0.99), axis=0)
    middle, half = (low + high)[:2] / 2, (high - low)[:2] / 2
    images = []
    for _ in range(views):
        cameras = []
        for angle in rng.uniform(0, 2 * np.pi, 5):
            side = half * (np.cos(angle), np.sin(angle))
            eye = np.append(middle + 0.8 * side, low[2] + rng.uniform(1.4, 1.8))
            target = np.append(middle - 0.4 * side + rng.normal(0, 0.3, 2), low[2] + rng.uniform(0.2, 0.6))
            cameras.append(Camera.looking(eye, target - eye))
        free = max(cameras, key=lambda camera: ((coord[::20] - camera.eye) ** 2).sum(1).min())  # not inside furniture
        images.append(render(scene, free, (height, width)))
    return images
