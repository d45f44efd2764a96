"""Two views of one scene that overlap, as two frames of the scan would have: cameras drawn inside the room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms.voxelize import voxelize
from ceco3d.pretraining.camera import Camera, visible
from ceco3d.pretraining.pairs import NoPairError
from ceco3d.utils.errors import UserError
from ceco3d.utils.random import uniform

OVERLAP_VOXEL = 0.05  # metres; overlap is counted in these voxels (CSC)
TRIES = 10  # pairs of cameras per scene
SMALLEST = 200  # points; a view of fewer looks at almost nothing
HEIGHT = (1.0, 1.8)  # metres above the floor: a tablet in the hands of somebody who walks around
NEIGHBOURHOOD = 2.5  # metres between the two cameras at most: further away, a wall is likely to be in between
CLEARANCE_TRIES = 4  # spots of which the freest is taken, so as not to stand inside of things
LOOK_TRIES = 8  # points of which the first that is at least a metre away is looked at


@dataclass(frozen=True)
class Room:
    """What drawing cameras and views needs to know of a scene of N points, in NumPy.

    coord, normal (N, 3) float32, metres
    cell          (N,) int64, OVERLAP_VOXEL of each point, of ``cells`` in all
    radius        metres, closes the gaps between the points
    floor         (F, 3) float32, the lowest points: where one can stand
    """

    coord: np.ndarray
    normal: np.ndarray
    cell: np.ndarray
    cells: int
    radius: float
    floor: np.ndarray

    @classmethod
    def of(cls, scene: Scene) -> Room:
        """The room of ``scene``; UserError when its coordinates are not finite."""
        try:
            voxels = voxelize(scene.coord, OVERLAP_VOXEL)
        except ValueError as error:
            raise UserError(f"scene {scene.name}: {error}") from error
        coord = scene.coord.numpy()
        lowest = np.quantile(coord[::8, 2], 0.01)
        # n points on a face of a voxel are 1 / sqrt(n) of its side apart.
        radius = 1.1 * OVERLAP_VOXEL * (len(voxels) / len(coord)) ** 0.5
        floor = coord[coord[:, 2] < lowest + 0.2]
        return cls(coord, scene.normal.numpy(), voxels.inverse.numpy(), len(voxels), radius, floor)

    def view(self, camera: Camera) -> np.ndarray:
        """(M,) int64: the points that ``camera`` sees."""
        return visible(self.coord, self.normal, camera, self.radius)

    def camera(
        self, rng: torch.Generator, near: np.ndarray | None = None, looks_at: np.ndarray | None = None
    ) -> Camera:
        """A camera at eye height somewhere on the floor, in the neighbourhood of ``near`` (3,) if given.

        It looks at one of the points ``looks_at`` (M,) int64, or at any.
        """
        spots = self.floor
        if near is not None:
            close = ((spots - near)[:, :2] ** 2).sum(1) < NEIGHBOURHOOD**2
            spots = spots[close] if close.any() else spots
        eyes = spots[_draw(len(spots), CLEARANCE_TRIES, rng)].astype(np.float64)
        eyes[:, 2] += uniform(*HEIGHT, rng)
        sample = self.coord[:: max(1, len(self.coord) // 2000)]
        eye = max(eyes, key=lambda eye: ((sample - eye) ** 2).sum(1).min())
        candidates = np.arange(len(self.coord)) if looks_at is None else looks_at
        directions = self.coord[candidates[_draw(len(candidates), LOOK_TRIES, rng)]] - eye
        far = (directions**2).sum(1) >= 1
        return Camera(eye, directions[np.argmax(far)] + 1e-6)  # never quite zero

    def overlap(self, first: np.ndarray, second: np.ndarray) -> float:
        """Share of the smaller view's voxels that the other one sees too; views are (M,) int64."""
        seen = np.zeros((2, self.cells), bool)
        seen[0, self.cell[first]] = seen[1, self.cell[second]] = True
        smaller = seen.sum(1).min()
        return float(seen.all(0).sum() / smaller) if smaller else 0.0


def draw_views(scene: Scene, min_overlap: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two views of ``scene`` that overlap by ``min_overlap`` (a share) at least: (M,) int64 points each, ascending.

    The first camera looks anywhere, the second one stands elsewhere and looks at something that the first one sees.
    NoPairError when TRIES pairs of cameras do not give such views.
    """
    room = Room.of(scene)
    for _ in range(TRIES):
        camera = room.camera(rng)
        first = room.view(camera)
        if len(first) < SMALLEST:
            continue
        second = room.view(room.camera(rng, near=camera.eye, looks_at=first))
        if len(second) >= SMALLEST and room.overlap(first, second) >= min_overlap:
            return torch.from_numpy(first), torch.from_numpy(second)
    raise NoPairError(
        f"scene {scene.name}: no two views overlap by {min_overlap:.0%} (of {TRIES} pairs of cameras); "
        "lower method.min_overlap, or take the scene away"
    )


def _draw(count: int, draws: int, rng: torch.Generator) -> np.ndarray:
    """``draws`` of the numbers below ``count``, with replacement."""
    return torch.randint(count, (draws,), generator=rng).numpy()
