"""Seeded randomness: every draw is a function of a key such as (seed, stream, epoch, index).

No draw depends on the number of workers, on their timing, or on where a run was interrupted.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """The second part of a key: keeps the draws of different purposes apart under one seed.

    The numbers are part of every result: never change or reuse one. Add a new stream at the end.
    Keys with fewer than three parts, such as (seed, call) in ``LanguageLoss``, cannot collide with these.
    """

    TRANSFORM = 0  # (seed, stream, epoch, index): the transforms of one scene
    COLLATE = 1  # (seed, stream, epoch, *indices): Mix3D within one batch
    ORDER = 2  # (seed, stream, epoch): the order of the scenes
    PAIR = 3  # (seed, stream, epoch, index): the two views of one pretraining pair
    PAIR_COLLATE = 4  # (seed, stream, epoch, *indices): voxels of one batch of pairs
    VOXELIZE = 5  # (seed, stream, epoch, index): the point of each voxel and the grid offset of one scene
    CROP = 6  # (seed, stream, epoch, index): the points to read of one scene


def seeded_generator(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on ``device`` whose draws depend only on ``key``: non-negative ints, in order.

    Keys of different lengths differ, even if they differ only in trailing zeros.

    >>> rng = seeded_generator(seed, Stream.TRANSFORM, epoch, index)
    """
    sequence = np.random.SeedSequence([len(key), *key])  # SeedSequence alone ignores trailing zeros
    seed = sequence.generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(seed[0]))


def points_generator(rng: torch.Generator, device: torch.device) -> torch.Generator:
    """A generator for per-point draws on ``device``: ``rng`` itself on the CPU, else a new one seeded by ``rng``.

    ``rng`` lives on the CPU, so drawing a single angle never waits for a GPU.
    """
    if device.type == "cpu":
        return rng
    return torch.Generator(device).manual_seed(int(torch.randint(2**63 - 1, (), generator=rng)))


def uniform(low: float, high: float, rng: torch.Generator) -> float:
    """One draw from U(low, high)."""
    return low + (high - low) * torch.rand((), generator=rng).item()


def chance(p: float, rng: torch.Generator) -> bool:
    """True with probability ``p``. Always draws once, so changing ``p`` leaves later draws as they were."""
    return uniform(0.0, 1.0, rng) < p
