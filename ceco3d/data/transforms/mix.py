"""Mix3D (Nekrasov et al., 3DV 2021): overlay two scenes, so that the network relies less on context."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ceco3d.data.scenes.scene import Scene, concatenate
from ceco3d.data.transforms.geometric import center_shift
from ceco3d.utils.random import chance


def mix3d(first: Scene, second: Scene) -> Scene:
    """Overlay two scenes, each centered by ``center_shift`` on a common floor; points of ``first`` come first.

    Instance ids of ``second`` are raised so that they stay unique.
    """
    if len(first) > 0:
        own = second.instance >= 0
        second = second.replace(instance=second.instance + own * (first.instance.amax() + 1))
    return concatenate([center_shift(first), center_shift(second)])


def mix_pairs(scenes: Sequence[Scene], prob: float, rng: torch.Generator) -> list[Scene]:
    """With probability ``prob``, mix each consecutive pair of ``scenes`` into one; an odd last scene stays alone.

    One draw decides for the whole batch, as in Pointcept. The order of all points does not change.
    """
    scenes = list(scenes)
    if not chance(prob, rng):
        return scenes
    pairs = [mix3d(*scenes[i : i + 2]) for i in range(0, len(scenes) - 1, 2)]
    return pairs + scenes[len(pairs) * 2 :]
