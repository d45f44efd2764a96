"""A simulated scan of a room: one fused mesh with the noise, light and blur of a depth camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.synthetic.allocation import VERTICES_PER_M2
from ceco3d.synthetic.layout import Room
from ceco3d.synthetic.shapes.primitives import rotate_z
from ceco3d.synthetic.style import PLAIN_LOOK, Look
from ceco3d.synthetic.vectors import cell_key, dot, length, smooth_noise
from ceco3d.synthetic.visibility import (
    SurfacePatches,
    hidden_by_layers,
    in_part,
    in_view,
    place_cameras,
    sample_surfaces,
    visible,
    within_budget,
)


@dataclass(frozen=True)
class ScanMesh:
    """A scan in the room's frame.

    coord     (N, 3) float64 meters, z up
    color     (N, 3) uint8
    faces     (F, 3) int32
    instance  (N,) index of the vertex's object in ``Room.objects``
    side      (N,) 0..5, axis direction that its surface faces
    """

    coord: np.ndarray
    color: np.ndarray
    faces: np.ndarray
    instance: np.ndarray
    side: np.ndarray


def scan_room(room: Room, vertices: int, angle: float, rng: np.random.Generator, look: Look = PLAIN_LOOK) -> ScanMesh:
    """Scan the room.

    vertices  of the scan, about
    angle     between the grid of the scan and the room, radians
    """
    cameras = place_cameras(room, look.cameras, rng).astype(np.float32)
    # With all vertices on the walls, the scan would reach this high.
    reach = 0.4 + vertices / (VERTICES_PER_M2 * look.density) / (2 * room.size[:2].sum())
    patches = sample_surfaces(room, cameras, reach, look.spacing)
    if look.view is not None:
        patches = patches.select(in_view(patches, cameras[0], _aim(room, cameras[0], rng), look.view))
    patches = patches.select(visible(patches, cameras, rng))
    patches = patches.select(~hidden_by_layers(patches))
    if look.cut is not None or look.part < 1:
        patches = patches.select(in_part(patches, room, look, rng))
    patches = patches.select(within_budget(patches, room, vertices, look.spacing, rng))
    return add_sensor_effects(fuse(patches, angle, look.spacing), room, cameras, look, rng)


def _aim(room: Room, camera: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3,) what a camera on one spot looks at: an object between 1 and 4 m away, if there is one."""
    middle = room.boxes.mean(1) if len(room.boxes) else np.zeros((1, 3))
    distance = length(middle - camera)
    near = np.flatnonzero((distance > 1.0) & (distance < 4.0))
    aim: np.ndarray = middle[rng.choice(near)] if len(near) else np.array([0.0, 0.0, 0.7])
    return aim


def fuse(patches: SurfacePatches, angle: float, spacing: float) -> ScanMesh:
    """Fuse the patches into one mesh: corners in the same grid cell become one vertex, a patch becomes two triangles.

    A vertex where two objects meet belongs to the one placed later.
    """
    corners = patches.corners.reshape(-1, 3)
    _, vertex = np.unique(cell_key(rotate_z(corners, angle), spacing), return_inverse=True)
    vertex = vertex.reshape(-1)
    weight = np.bincount(vertex).astype(float)
    mean = [
        np.stack([np.bincount(vertex, values[:, k]) for k in range(3)], -1) / weight[:, None]
        for values in (corners, np.repeat(patches.color, 4, 0), np.repeat(patches.normal, 4, 0))
    ]
    instance = np.zeros(len(weight), int)
    instance[vertex] = np.repeat(patches.instance, 4)
    quad = vertex.reshape(-1, 4)
    faces = np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    used, faces = np.unique(_unique_faces(faces), return_inverse=True)
    coord, color, normal = (values[used] for values in mean)
    axis = np.abs(normal).argmax(1)
    side = 2 * axis + (normal[np.arange(len(axis)), axis] > 0)
    return ScanMesh(coord, color, faces.reshape(-1, 3).astype(np.int32), instance[used], side)


def _unique_faces(faces: np.ndarray) -> np.ndarray:
    """The (F, 3) faces without repetitions, in their order."""
    ordered = np.sort(faces, axis=1).astype(np.int64)
    count = int(faces.max()) + 1
    _, first = np.unique((ordered[:, 0] * count + ordered[:, 1]) * count + ordered[:, 2], return_index=True)
    unique: np.ndarray = faces[np.sort(first)]
    return unique


def add_sensor_effects(
    mesh: ScanMesh, room: Room, cameras: np.ndarray, look: Look, rng: np.random.Generator
) -> ScanMesh:
    """Add depth noise (smooth fusion errors, jitter that grows with distance), light and color noise."""
    coord, faces = mesh.coord, mesh.faces
    normal = np.zeros_like(coord)
    flat = np.cross(coord[faces[:, 1]] - coord[faces[:, 0]], coord[faces[:, 2]] - coord[faces[:, 0]])
    for k in range(3):
        for j in range(3):
            normal[:, j] += np.bincount(faces[:, k], flat[:, j], minlength=len(coord))
    normal /= np.maximum(length(normal), 1e-12)[:, None]
    distance = np.min([length(coord - camera) for camera in cameras], axis=0)
    shift = 0.002 * smooth_noise(coord, 0.12, rng) + 0.003 * smooth_noise(coord, 0.5, rng)
    shift += rng.normal(0, 0.0008, len(coord)) * (1 + distance**2 / 2)
    shift *= look.noise
    light = np.concatenate([rng.uniform(-0.4, 0.4, 2) * room.size[:2], [room.size[2] - 0.1]])
    ray = light - coord
    span = length(ray)
    shade = 0.62 + 0.34 * np.abs(dot(normal, ray)) / span + 0.05 * (1.5 - span) + 0.04 * smooth_noise(coord, 0.9, rng)
    if look.contrast != 1:
        shade = 1 + look.contrast * (shade - 1)
    tint = rng.uniform(0.88, 1.05) * (1 + rng.normal(0, 0.03, 3)) * look.gain
    surface = mesh.color if look.gamma == 1 else 255 * (np.maximum(mesh.color, 0) / 255) ** look.gamma
    color = blur(surface * shade[:, None] * tint + rng.normal(0, look.texture, coord.shape), faces)
    color += rng.normal(0, 2.5, coord.shape) + 3 * smooth_noise(coord, 0.2, rng, waves=8)[:, None]
    jitter = rng.normal(0, 0.0006, coord.shape)
    return ScanMesh(
        tilted(coord + normal * shift[:, None] + jitter, look.tilt),
        color.clip(0, 255).astype(np.uint8),
        faces,
        mesh.instance,
        mesh.side,
    )


def tilted(coord: np.ndarray, tilt: tuple[float, float]) -> np.ndarray:
    """The points with a vertical that is off by small angles about x and y."""
    x, y, z = coord.T
    return (
        coord if tilt == (0.0, 0.0) else np.stack([x + tilt[1] * z, y - tilt[0] * z, z - tilt[1] * x + tilt[0] * y], -1)
    )


def blur(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Average every vertex with its neighbors, which imitates the blur of a moving camera."""
    count = np.bincount(faces.reshape(-1), minlength=len(values))[:, None]
    total = np.zeros_like(values)
    around = values[faces].mean(1)
    for k in range(3):
        for j in range(3):
            total[:, j] += np.bincount(faces[:, k], around[:, j], minlength=len(values))
    return total / np.maximum(count, 1)
