"""The few names of open3d that MinkowskiEngine's tests and examples use, with made-up scenes in place of files.

``read_point_cloud`` gives a colored room of 4 x 3 x 2.5 m, ``read_triangle_mesh`` a box on legs, whatever the file.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

__version__ = "0.18.0"
ROOM = np.array([4.0, 3.0, 2.5])
POINTS = 20_000


class PointCloud:
    """Points and colors; what draws or estimates does nothing."""

    def __init__(self) -> None:
        self.points = np.zeros((0, 3))
        self.colors = np.zeros((0, 3))

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: self


def read_point_cloud(path: str) -> PointCloud:
    """Points on the floor and the walls of a room, the same in every call."""
    rng = np.random.default_rng(0)
    points = rng.random((POINTS, 3)) * ROOM
    side = rng.integers(0, 5, POINTS)  # floor, then two walls on each of two axes
    points[side == 0, 2] = 0
    for wall in range(1, 5):
        axis, far = (wall - 1) // 2, wall % 2
        points[side == wall, axis] = far * ROOM[axis]
    cloud = PointCloud()
    cloud.points, cloud.colors = points, np.abs(np.sin(points + side[:, None]))
    return cloud


def read_triangle_mesh(path: str) -> SimpleNamespace:
    """A seat of 1 x 1 x 0.1 and four legs, each a box of 12 triangles."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = np.array([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))])
    boxes = [((0, 0, 0.5), (1, 1, 0.1)), *(((x, y, 0), (0.1, 0.1, 0.5)) for x in (0, 0.9) for y in (0, 0.9))]
    vertices = [corners * size + np.array(low) for low, size in boxes]
    return SimpleNamespace(
        vertices=np.concatenate(vertices),
        triangles=np.concatenate([faces + 8 * number for number in range(len(boxes))]),
    )


io = SimpleNamespace(read_point_cloud=read_point_cloud, read_triangle_mesh=read_triangle_mesh)
geometry = SimpleNamespace(PointCloud=PointCloud)
visualization = SimpleNamespace(draw_geometries=lambda shown: None)
utility = SimpleNamespace(
    Vector3dVector=np.asarray,
    set_verbosity_level=lambda level: None,
    VerbosityLevel=SimpleNamespace(Error=0),
)
