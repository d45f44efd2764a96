"""What a transform is: any callable that takes a scene and a generator and returns a new scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ceco3d.data.scenes.scene import Scene

# ``transform(scene, rng) -> scene``. The generator, on the CPU, is the only source of randomness. A transform may
# change the number of points; it must not write into the tensors of its input.
Transform = Callable[[Scene, torch.Generator], Scene]


@dataclass(frozen=True)
class Transforms:
    """Applies ``steps`` in order, all drawing from one generator; itself a Transform."""

    steps: Sequence[Transform]

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        for step in self.steps:
            scene = step(scene, rng)
        return scene
