"""Data sets of view pairs: virtual cameras in the scans, or real frames."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.missing import warn_missing
from ceco3d.data.scenes.processed import FEATURES, read_scene
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.seeded import SeededDataset
from ceco3d.pretraining.frames import read_frame
from ceco3d.pretraining.pairs import NoPairError, Pair, PairMaker
from ceco3d.pretraining.views import draw_views
from ceco3d.utils.errors import UserError
from ceco3d.utils.random import Stream, seeded_generator

ATTEMPTS = 10  # sources to try before it is an error that none gives a pair


class PairDataset(SeededDataset[Pair]):
    """Pairs from ``sources`` scenes or frame pairs, each used ``repeat`` times per epoch with new random draws.

    A source without a pair, or an unreadable one, is replaced by a random one: a function of (seed, epoch, index).
    After ATTEMPTS sources without a pair, the UserError of the first is raised.
    """

    def __init__(self, sources: int, make: PairMaker, seed: int, repeat: int = 1) -> None:
        super().__init__(seed)
        self.sources, self.make, self.repeat = sources, make, repeat

    def __len__(self) -> int:
        return self.sources * self.repeat

    def __getitem__(self, index: int) -> Pair:
        epoch = self.epoch
        rng = seeded_generator(self.seed, Stream.PAIR, epoch, index)
        source = index % self.sources
        errors: list[UserError] = []
        failed: list[tuple[str, str]] = []
        for _ in range(ATTEMPTS):
            try:
                pair = self.make(*self.views(source, rng), rng)
                return replace(pair, epoch=epoch, index=index, failed=tuple(failed))
            except UserError as error:
                errors.append(error)
                if not isinstance(error, NoPairError):  # unreadable: no camera would help
                    failed.append((self.name(source), str(error)))
            source = int(torch.randint(self.sources, (), generator=rng))
        raise errors[0]

    @abstractmethod
    def name(self, source: int) -> str:
        """The name of source number ``source``."""

    @abstractmethod
    def views(self, source: int, rng: torch.Generator) -> tuple[Scene, Scene]:
        """Two views of one scene; NoPairError if this source has none."""


class ScanPairs(PairDataset):
    """Views from virtual cameras in processed scenes.

    folders      of processed scenes
    min_overlap  share of the smaller view's voxels, see ``ViewSampler.overlap``
    """

    def __init__(
        self,
        folders: Sequence[Path],
        space: LabelSpace,
        min_overlap: float,
        make: PairMaker,
        seed: int,
        repeat: int = 1,
    ) -> None:
        super().__init__(len(folders), make, seed, repeat)
        self.folders, self.space, self.min_overlap = list(folders), space, min_overlap
        warn_missing(self.folders, FEATURES)  # cameras need normals, whatever the network sees

    def name(self, source: int) -> str:
        """The scene's name."""
        return self.folders[source].name

    def views(self, source: int, rng: torch.Generator) -> tuple[Scene, Scene]:
        """Two views of scene number ``source``, drawn with ``rng``."""
        scene = read_scene(self.folders[source], self.space)
        first, second = draw_views(scene, self.min_overlap, rng)
        return scene.select(first), scene.select(second)


class FramePairs(PairDataset):
    """Pairs of real frames, as listed by ``list_frame_pairs``."""

    def __init__(self, pairs: Sequence[tuple[Path, Path]], make: PairMaker, seed: int, repeat: int = 1) -> None:
        super().__init__(len(pairs), make, seed, repeat)
        self.pairs = list(pairs)

    def name(self, source: int) -> str:
        """The pair's file names."""
        return " + ".join(path.name for path in self.pairs[source])

    def views(self, source: int, rng: torch.Generator) -> tuple[Scene, Scene]:
        """The frames of pair number ``source``."""
        first, second = self.pairs[source]
        return read_frame(first), read_frame(second)
