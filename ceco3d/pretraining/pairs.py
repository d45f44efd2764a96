"""Augment, voxelize and match two views of a scene, and collate such pairs into batches.

Every random draw is a function of (seed, epoch, index), see ``ceco3d.utils.random``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ceco3d.data.batch import Batch, make_batch
from ceco3d.data.scenes.scene import Scene, move
from ceco3d.data.transforms import ChromaticJitter, RandomRotation
from ceco3d.data.transforms.voxelize import voxelize
from ceco3d.utils.errors import UserError
from ceco3d.utils.random import Stream, seeded_generator

SEARCH_RADIUS = 1.5  # voxels; closer points count as the same one (CSC)
ROTATION = RandomRotation(x=2.8125, y=2.8125, z=180.0)  # degrees: pi/64 of tilt, any heading (CSC)
MIN_MATCHES = 16  # fewer are too few to contrast


class NoPairError(UserError):
    """A scene has no two views that can be contrasted."""


@dataclass(frozen=True)
class Pair:
    """Two augmented views of one scene, one point per voxel in the order of ``voxelize``, and Q points seen in both.

    matches    (Q, 2) int64: a point of the first view, without repetitions, and one of the second
    positions  (Q, 3) float32: position of the first point in the scene, not rotated, z up, in voxels
    failed     (scene name, reason) of unreadable scenes that this pair replaces
    """

    views: tuple[Scene, Scene]
    matches: Tensor
    positions: Tensor
    epoch: int = 0
    index: int = 0
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PairBatch:
    """B pairs as two batches: scene i of ``first`` and of ``second`` are the two views of pair i.

    matches    (Q, 2) int64, rows of ``first`` and ``second``, pair by pair
    positions  (Q, 3) float32, see ``Pair``
    counts     number of matches of each pair
    """

    first: Batch
    second: Batch
    matches: Tensor
    positions: Tensor
    counts: tuple[int, ...]

    def __len__(self) -> int:
        """Number of voxels in both batches."""
        return len(self.first) + len(self.second)

    @property
    def scenes(self) -> tuple[str, ...]:
        """Names of the B scenes."""
        return self.first.scenes

    @property
    def failed(self) -> tuple[tuple[str, str], ...]:
        """(scene name, reason) of unreadable scenes."""
        return self.first.failed

    def tensors(self) -> dict[str, Any]:
        """The tensors by name; those of the two batches are nested."""
        own = {"matches": self.matches, "positions": self.positions}
        return own | {"first": self.first.tensors(), "second": self.second.tensors()}

    def to(self, device: torch.device | str) -> PairBatch:
        """The batch on ``device``; from pinned memory the copy overlaps with other work."""
        moved = {name: getattr(self, name).to(device) for name in ("first", "second")}
        moved |= {name: move(getattr(self, name), device) for name in ("matches", "positions")}
        return replace(self, **moved)

    def pin_memory(self) -> PairBatch:
        """The batch in page-locked memory (the DataLoader calls this by its name)."""
        names = ("first", "second", "matches", "positions")
        return replace(self, **{name: getattr(self, name).pin_memory() for name in names})


@dataclass(frozen=True)
class PairMaker:
    """``(view, view, rng) -> Pair``; the views are points of one scene in one frame.

    voxel_size    meters
    queries       maximum number of matches
    color_jitter  standard deviation of the color noise, as a share of 255
    """

    voxel_size: float
    queries: int
    color_jitter: float

    def __call__(self, first: Scene, second: Scene, rng: torch.Generator) -> Pair:
        """UserError if a view cannot be voxelized, NoPairError if the views share fewer than MIN_MATCHES points."""
        (first, place), (second, other_place) = (self._augment(view, rng) for view in (first, second))
        matches = match(place, other_place, SEARCH_RADIUS * self.voxel_size, self.queries, rng)
        if len(matches) < MIN_MATCHES:
            raise NoPairError(
                f"scene {first.name}: its two views have {len(matches)} voxels in common; "
                "use a smaller voxel_size or a larger method.min_overlap"
            )
        return Pair((first, second), matches, place[matches[:, 0]] / self.voxel_size)

    def _augment(self, view: Scene, rng: torch.Generator) -> tuple[Scene, Tensor]:
        """One point per voxel of ``view``, rotated and recolored, and the original positions of these points (M, 3)."""
        moved = ROTATION(view.replace(coord=view.coord - view.coord.mean(0)), rng)
        try:
            chosen = voxelize(moved.coord, self.voxel_size, rng).index
        except ValueError as error:
            raise UserError(f"scene {view.name}: {error}") from error
        # p as in CSC, whose noise of 0.01 on colors of 0..255 has no effect.
        recolored = ChromaticJitter(self.color_jitter, p=0.95)(moved.select(chosen), rng)
        return recolored, view.coord[chosen]


def match(first: Tensor, second: Tensor, radius: float, most: int, rng: torch.Generator) -> Tensor:
    """(Q, 2) int64, Q <= ``most``: random points of ``first`` (M, 3), each with a random neighbor in ``second`` (N, 3).

    Neighbors are closer than ``radius``, in the unit of both. All points of ``first`` that have one are equally likely.
    """
    trees = (cKDTree(points.numpy()) for points in (first, second))
    found = next(trees).sparse_distance_matrix(next(trees), radius, output_type="ndarray")
    found = found[torch.randperm(len(found), generator=rng).numpy()]
    row, chosen = np.unique(found["i"], return_index=True)  # the first occurrence, in random order
    matches = torch.from_numpy(np.stack([row, found["j"][chosen]], axis=1).astype(np.int64))
    return matches[torch.randperm(len(matches), generator=rng)[:most]]


@dataclass(frozen=True)
class PairCollate:
    """Collate pairs into a ``PairBatch``; ``voxel_size`` in meters, ``features`` as in ``point_features``."""

    voxel_size: float
    features: Sequence[str]
    seed: int

    def __call__(self, pairs: Sequence[Pair]) -> PairBatch:
        rng = seeded_generator(self.seed, Stream.PAIR_COLLATE, pairs[0].epoch, *(pair.index for pair in pairs))
        batches, shifts = [], []
        for side in (0, 1):
            views = [pair.views[side] for pair in pairs]
            batches.append(make_batch(views, self.voxel_size, self.features, [rng] * len(views)))
            sizes = torch.tensor([0, *(len(view) for view in views[:-1])])
            shifts.append(sizes.cumsum(0))
        # Views have one point per voxel in the order of the voxels: row i of a batch is its point i.
        rows = [pair.matches + torch.stack([a, b]) for pair, a, b in zip(pairs, *shifts, strict=True)]
        positions = torch.cat([pair.positions for pair in pairs])
        first = replace(batches[0], failed=tuple(failure for pair in pairs for failure in pair.failed))
        return PairBatch(first, batches[1], torch.cat(rows), positions, tuple(len(pair.matches) for pair in pairs))
