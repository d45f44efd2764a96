"""Samples to batches: optional transforms, Mix3D, voxelization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from ceco3d.data.batch import OFFSET_RANGE, Batch, make_batch
from ceco3d.data.dataset import Sample, augment
from ceco3d.data.transforms.crop import SphereCrop
from ceco3d.data.transforms.mix import mix_pairs
from ceco3d.data.transforms.step import Transform
from ceco3d.utils.random import Stream, chance, seeded_generator


@dataclass(frozen=True)
class Collate:
    """Makes a Batch of samples. Without ``seed`` (evaluation) nothing is random.

    voxel_size meters
    features   names of the input features, see ``point_features``
    mix_prob   probability of Mix3D per batch, see ``mix_pairs``
    seed       of every draw; None for evaluation
    transforms applied to every scene, if the data set has not done so; they need a seed
    device     where transforms and voxelization run; samples arrive on the CPU
    mix        how Mix3D lays two scenes over each other: "centers" on a common floor, before they are voxelized; or
               "corners" of their voxel grids, as Pointcept does: each keeps its own voxels and the center of its
               coordinates, and where two voxels meet, both labels count (``Batch.rows``)
    offset     range of the random offset of each grid, in voxels; 0 = none, for training only
    crop       voxels to keep of each scene, chosen after voxelization, for training only
    """

    voxel_size: float
    features: Sequence[str]
    mix_prob: float = 0.0
    seed: int | None = None
    transforms: Transform | None = None
    device: torch.device | str = "cpu"
    mix: Literal["centers", "corners"] = "centers"
    offset: int = OFFSET_RANGE
    crop: SphereCrop | None = None

    def __post_init__(self) -> None:
        if self.transforms is not None and self.seed is None:
            raise ValueError("Collate: transforms draw random numbers; pass a seed")

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        if self.seed is None:
            return make_batch([sample.scene.to(self.device) for sample in samples], self.voxel_size, self.features)
        scenes = [
            augment(sample.scene.to(self.device), self.transforms, self.seed, sample.epoch, sample.index)
            for sample in samples
        ]
        rng = seeded_generator(self.seed, Stream.COLLATE, samples[0].epoch, *(sample.index for sample in samples))
        paired = False
        if self.mix == "corners":
            paired = chance(self.mix_prob, rng)
        else:
            scenes = mix_pairs(scenes, self.mix_prob, rng)
        # One generator per scene, so that its voxels do not depend on how processes share the scenes of a step.
        firsts = samples if len(scenes) == len(samples) else samples[::2]
        rngs = [seeded_generator(self.seed, Stream.VOXELIZE, first.epoch, first.index) for first in firsts]
        batch = make_batch(scenes, self.voxel_size, self.features, rngs, self.offset, self.crop, paired)
        return replace(batch, failed=tuple(failure for sample in samples for failure in sample.failed))
