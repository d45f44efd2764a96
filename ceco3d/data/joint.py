"""Scenes of several data sets, drawn by given shares, as one PyTorch data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ceco3d.data.dataset import Sample, SceneDataset, augment
from ceco3d.data.labels.label_blocks import LabelBlock
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.seeded import SeededDataset
from ceco3d.data.transforms.step import Transform


def draws_per_epoch(scenes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """How often each part is drawn in the shortest epoch that keeps to ``shares`` and draws every scene once at least.

    scenes  in each part
    shares  of the draws; their sum is 1
    """
    total = max(count / share for count, share in zip(scenes, shares, strict=True))
    return [round(share * total) for share in shares]


class JointDataset(SeededDataset[Sample]):
    """The scenes of ``parts``, with labels as joint indices.

    parts       of the data set, without transforms
    blocks      their label spaces
    shares      of the parts in every run of consecutive scenes, so in every batch as nearly as its size allows
    transforms  applied to every scene, such as ``PartTransforms``; None returns scenes as they are
    seed        of every draw
    repeat      makes an epoch (``draws_per_epoch``) longer

    Scenes of a part that do not all fit into one more round take turns over the epochs. Every draw depends only on
    (seed, epoch, index), as in ``SceneDataset``.
    """

    def __init__(
        self,
        parts: Sequence[SceneDataset],
        blocks: Sequence[LabelBlock],
        shares: Sequence[float],
        transforms: Transform | None = None,
        seed: int = 0,
        repeat: int = 1,
    ) -> None:
        super().__init__(seed)
        self.parts, self.blocks, self.transforms = tuple(parts), tuple(blocks), transforms
        self.draws = [repeat * count for count in draws_per_epoch([part.sources for part in parts], shares)]

    def __len__(self) -> int:
        return sum(self.draws)

    @property
    def sources(self) -> int:
        """Number of distinct scenes."""
        return sum(part.sources for part in self.parts)

    def set_epoch(self, epoch: int) -> None:
        """See SeededDataset."""
        super().set_epoch(epoch)
        for part in self.parts:
            part.set_epoch(epoch)

    def shuffled(self, rng: torch.Generator) -> list[int]:
        """All indices: those of each part in random order, the parts interleaved evenly."""
        placed: list[tuple[float, int]] = []
        first = 0
        for count in self.draws:
            start = torch.rand((), generator=rng).item()
            order = torch.randperm(count, generator=rng).tolist()
            placed += [((place + start) / count, first + index) for place, index in enumerate(order)]
            first += count
        return [index for _, index in sorted(placed)]

    def part_of(self, index: int) -> tuple[int, int]:
        """The number of the part that ``index`` draws from, and the position of the scene in it in this epoch."""
        number, draw = 0, index
        while draw >= self.draws[number]:
            draw -= self.draws[number]
            number += 1
        return number, (draw + self.epoch * self.draws[number]) % self.parts[number].sources

    def __getitem__(self, index: int) -> Sample:
        number, position = self.part_of(index)
        sample = self.parts[number].sample(position, index)
        scene = sample.scene.replace(segment=self.blocks[number].joint(sample.scene.segment))
        return replace(sample, scene=augment(scene, self.transforms, self.seed, sample.epoch, index))


@dataclass(frozen=True)
class PartTransforms:
    """Applies the transforms of its part to a scene with joint indices, in the label space of that part.

    A scene without labels gets those of the first part.
    """

    blocks: Sequence[LabelBlock]
    transforms: Sequence[Transform]

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        top = int(scene.segment.max()) if len(scene) else -1
        number = next((i for i, block in enumerate(self.blocks) if block.start <= top < block.outputs.stop), 0)
        block = self.blocks[number]
        changed = self.transforms[number](scene.replace(segment=block.own(scene.segment)), rng)
        return changed.replace(segment=block.joint(changed.segment))
