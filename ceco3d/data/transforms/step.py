"""What a transform is: a scene and a generator in, a new scene out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ceco3d.data.scenes.scene import Scene

# The generator is the only source of randomness. It lives on the CPU, so that drawing an angle never waits for a GPU;
# what is drawn for every point comes from ``points_generator``.
Transform = Callable[[Scene, torch.Generator], Scene]


@dataclass(frozen=True)
class Transforms:
    """The ``steps`` one after the other; itself a Transform."""

    steps: Sequence[Transform]

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        for step in self.steps:
            scene = step(scene, rng)
        return scene


def points_generator(rng: torch.Generator, device: torch.device) -> torch.Generator:
    """What draws numbers for all points on ``device``: ``rng`` itself on the CPU, else a generator that it seeds."""
    if device.type == "cpu":
        return rng
    return torch.Generator(device).manual_seed(int(torch.randint(2**63 - 1, (), generator=rng)))


def seeded_generator(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose stream depends only on ``key``, non-negative ints such as (seed, epoch, index)."""
    sequence = np.random.SeedSequence([len(key), *key])  # with the length, or trailing zeros would not count
    seed = sequence.generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(seed[0]))


def uniform(low: float, high: float, rng: torch.Generator) -> float:
    """One draw from U(low, high)."""
    return low + (high - low) * torch.rand((), generator=rng).item()


def chance(p: float, rng: torch.Generator) -> bool:
    """True with probability ``p``. Always draws, so that a changed ``p`` leaves later draws alone."""
    return uniform(0.0, 1.0, rng) < p
