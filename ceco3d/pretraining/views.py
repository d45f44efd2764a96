"""Draw two overlapping views of one scene from cameras inside the room, as two frames of a scan would overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms.voxelize import voxelize
from ceco3d.pretraining.pairs import NoPairError
from ceco3d.pretraining.visibility import visible
from ceco3d.utils.errors import UserError
from ceco3d.utils.random import uniform
from ceco3d.visualization.camera import Camera

OVERLAP_VOXEL = 0.05  # meters; overlap is measured in voxels of this size (CSC)
TRIES = 10  # pairs of cameras tried per scene
SMALLEST = 200  # points; a smaller view shows almost nothing
HEIGHT = (1.0, 1.8)  # meters above the floor: a tablet in the hands of a person walking around
NEIGHBORHOOD = 2.5  # meters; largest distance between the cameras: beyond it, a wall is likely in between
CLEARANCE_TRIES = 4  # candidate positions; the one with most clearance wins, to stay outside of furniture
LOOK_TRIES = 8  # candidate targets; the first one at least a meter away wins


@dataclass(frozen=True)
class ViewSampler:
    """Draws cameras and views of a scene of N points.

    coord, normal (N, 3) float32, meters
    cell          (N,) int64 voxel of each point, 0..``cells`` - 1
    radius        meters; points this large close the gaps between them
    floor         (F, 3) float32, the lowest points, where a person can stand
    """

    coord: np.ndarray
    normal: np.ndarray
    cell: np.ndarray
    cells: int
    radius: float
    floor: np.ndarray

    @classmethod
    def of(cls, scene: Scene) -> ViewSampler:
        """Return the sampler of ``scene``; UserError if its coordinates are not finite."""
        try:
            voxels = voxelize(scene.coord, OVERLAP_VOXEL)
        except ValueError as error:
            raise UserError(f"scene {scene.name}: {error}") from error
        coord = scene.coord.numpy()
        lowest = np.quantile(coord[::8, 2], 0.01)
        # n points on the face of a voxel are 1 / sqrt(n) of its side apart.
        radius = 1.1 * OVERLAP_VOXEL * (len(voxels) / len(coord)) ** 0.5
        floor = coord[coord[:, 2] < lowest + 0.2]
        return cls(coord, scene.normal.numpy(), voxels.inverse.numpy(), len(voxels), radius, floor)

    def view(self, camera: Camera) -> np.ndarray:
        """Return (M,) int64: the points that ``camera`` sees."""
        return visible(self.coord, self.normal, camera, self.radius)

    def camera(
        self, rng: torch.Generator, near: np.ndarray | None = None, looks_at: np.ndarray | None = None
    ) -> Camera:
        """Draw a camera at eye height above the floor, within NEIGHBORHOOD of ``near`` (3,) if given.

        It looks at one of the points ``looks_at`` (M,) int64, or by default at any point.
        """
        spots = self.floor
        if near is not None:
            close = ((spots - near)[:, :2] ** 2).sum(1) < NEIGHBORHOOD**2
            spots = spots[close] if close.any() else spots
        eyes = spots[_draw(len(spots), CLEARANCE_TRIES, rng)].astype(np.float64)
        eyes[:, 2] += uniform(*HEIGHT, rng)
        sample = self.coord[:: max(1, len(self.coord) // 2000)]
        eye = max(eyes, key=lambda eye: ((sample - eye) ** 2).sum(1).min())
        candidates = np.arange(len(self.coord)) if looks_at is None else looks_at
        directions = self.coord[candidates[_draw(len(candidates), LOOK_TRIES, rng)]] - eye
        far = (directions**2).sum(1) >= 1
        return Camera.looking(eye, directions[np.argmax(far)] + 1e-6)  # never exactly zero

    def overlap(self, first: np.ndarray, second: np.ndarray) -> float:
        """Return the share of the smaller view's voxels that the other view also sees; views are (M,) int64 points."""
        seen = np.zeros((2, self.cells), bool)
        seen[0, self.cell[first]] = seen[1, self.cell[second]] = True
        smaller = seen.sum(1).min()
        return float(seen.all(0).sum() / smaller) if smaller else 0.0


def draw_views(scene: Scene, min_overlap: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw two views of ``scene`` that overlap by at least the share ``min_overlap``: (M,) int64 points, ascending.

    The first camera looks anywhere; the second stands nearby and looks at a point that the first one sees. Raises
    NoPairError if none of TRIES pairs of cameras gives such views.
    """
    sampler = ViewSampler.of(scene)
    for _ in range(TRIES):
        camera = sampler.camera(rng)
        first = sampler.view(camera)
        if len(first) < SMALLEST:
            continue
        second = sampler.view(sampler.camera(rng, near=camera.eye, looks_at=first))
        if len(second) >= SMALLEST and sampler.overlap(first, second) >= min_overlap:
            return torch.from_numpy(first), torch.from_numpy(second)
    raise NoPairError(
        f"scene {scene.name}: no two views overlap by {min_overlap:.0%} ({TRIES} pairs of cameras tried); "
        "lower method.min_overlap or remove the scene"
    )


def _draw(count: int, draws: int, rng: torch.Generator) -> np.ndarray:
    """Draw ``draws`` numbers below ``count`` with replacement."""
    return torch.randint(count, (draws,), generator=rng).numpy()
