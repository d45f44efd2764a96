"""From patches to a scan: one welded mesh with a sensor's noise and light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.synthetic.allot import VERTICES_PER_M2
from ceco3d.synthetic.fields import cell_key, dot, length, ripple
from ceco3d.synthetic.layout import Room
from ceco3d.synthetic.observe import CELL, Patches, covered, crop, sample, seen, stand
from ceco3d.synthetic.shapes import turn


@dataclass(frozen=True)
class Mesh:
    """A scan in the room's frame: coord (N, 3) float64 metres, color (N, 3) uint8, faces (F, 3) int32,
    owner (N,) index of the object in ``Room.placed``, side (N,) 0..5, the axis direction its surface faces."""

    coord: np.ndarray
    color: np.ndarray
    faces: np.ndarray
    owner: np.ndarray
    side: np.ndarray


def scan(room: Room, vertices: int, angle: float, rng: np.random.Generator) -> Mesh:
    """Scan the room with about ``vertices`` vertices; the sampling grid is turned by ``angle`` against the room."""
    cameras = stand(room, rng).astype(np.float32)
    # All vertices on the walls would reach this high.
    reach = 0.4 + vertices / VERTICES_PER_M2 / (2 * room.size[:2].sum())
    patches = sample(room, cameras, reach)
    patches = patches.select(seen(patches, cameras, rng))
    patches = patches.select(~covered(patches))
    patches = patches.select(crop(patches, room, vertices, rng))
    return perturb(fuse(patches, angle), room, cameras, rng)


def fuse(patches: Patches, angle: float) -> Mesh:
    """One mesh: corners in the same cell of a turned grid become one vertex, each patch two triangles.

    A vertex on the border of two objects belongs to the later one.
    """
    corners = patches.corners.reshape(-1, 3)
    _, vertex = np.unique(cell_key(turn(corners, angle), CELL), return_inverse=True)
    vertex = vertex.reshape(-1)
    weight = np.bincount(vertex).astype(float)
    mean = [
        np.stack([np.bincount(vertex, values[:, k]) for k in range(3)], -1) / weight[:, None]
        for values in (corners, np.repeat(patches.color, 4, 0), np.repeat(patches.normal, 4, 0))
    ]
    owner = np.zeros(len(weight), int)
    owner[vertex] = np.repeat(patches.owner, 4)
    quad = vertex.reshape(-1, 4)
    faces = np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    used, faces = np.unique(_unique_faces(faces), return_inverse=True)
    coord, color, normal = (values[used] for values in mean)
    axis = np.abs(normal).argmax(1)
    side = 2 * axis + (normal[np.arange(len(axis)), axis] > 0)
    return Mesh(coord, color, faces.reshape(-1, 3).astype(np.int32), owner[used], side)


def _unique_faces(faces: np.ndarray) -> np.ndarray:
    ordered = np.sort(faces, axis=1).astype(np.int64)
    count = int(faces.max()) + 1
    _, first = np.unique((ordered[:, 0] * count + ordered[:, 1]) * count + ordered[:, 2], return_index=True)
    return faces[np.sort(first)]


def perturb(mesh: Mesh, room: Room, cameras: np.ndarray, rng: np.random.Generator) -> Mesh:
    """Depth noise (waves of fusion errors and jitter that grows with distance), light, and colour noise."""
    coord, faces = mesh.coord, mesh.faces
    normal = np.zeros_like(coord)
    flat = np.cross(coord[faces[:, 1]] - coord[faces[:, 0]], coord[faces[:, 2]] - coord[faces[:, 0]])
    for k in range(3):
        for j in range(3):
            normal[:, j] += np.bincount(faces[:, k], flat[:, j], minlength=len(coord))
    normal /= np.maximum(length(normal), 1e-12)[:, None]
    distance = np.min([length(coord - camera) for camera in cameras], axis=0)
    shift = 0.002 * ripple(coord, 0.12, rng) + 0.003 * ripple(coord, 0.5, rng)
    shift += rng.normal(0, 0.0008, len(coord)) * (1 + distance**2 / 2)
    light = np.concatenate([rng.uniform(-0.4, 0.4, 2) * room.size[:2], [room.size[2] - 0.1]])
    ray = light - coord
    span = length(ray)
    shade = 0.62 + 0.34 * np.abs(dot(normal, ray)) / span + 0.05 * (1.5 - span) + 0.04 * ripple(coord, 0.9, rng)
    tint = rng.uniform(0.88, 1.05) * (1 + rng.normal(0, 0.03, 3))
    color = smooth(mesh.color * shade[:, None] * tint + rng.normal(0, 5, coord.shape), faces)
    color += rng.normal(0, 2.5, coord.shape) + 3 * ripple(coord, 0.2, rng, waves=8)[:, None]
    jitter = rng.normal(0, 0.0006, coord.shape)
    return Mesh(
        coord + normal * shift[:, None] + jitter, color.clip(0, 255).astype(np.uint8), faces, mesh.owner, mesh.side
    )


def smooth(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Every vertex averaged with its neighbours: the blur of a moving camera."""
    count = np.bincount(faces.reshape(-1), minlength=len(values))[:, None]
    total = np.zeros_like(values)
    around = values[faces].mean(1)
    for k in range(3):
        for j in range(3):
            total[:, j] += np.bincount(faces[:, k], around[:, j], minlength=len(values))
    return total / np.maximum(count, 1)
