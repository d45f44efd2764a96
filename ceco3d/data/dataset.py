"""Processed scenes on disk as a PyTorch data set of augmented scenes.

Every draw is a function of (seed, epoch, index), so the scenes do not depend on the number of workers, on their timing,
or on where a run was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.blocks import Piece
from ceco3d.data.scenes.device_cache import DeviceCache
from ceco3d.data.scenes.missing import warn_missing
from ceco3d.data.scenes.processed import FEATURES, Load, read_scene
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.seeded import SeededDataset
from ceco3d.data.transforms.crop import SphereCrop
from ceco3d.data.transforms.step import Transform
from ceco3d.utils.errors import UserError
from ceco3d.utils.random import Stream, seeded_generator
from ceco3d.utils.untrusted import read_npy


@dataclass(frozen=True)
class Sample:
    """One item of a SceneDataset.

    scene   after the transforms of the data set
    epoch   of its draws
    index   of its draws: position in the data set, repeats included
    failed  (scene, reason) of each scene that could not be read and that this one replaces
    """

    scene: Scene
    epoch: int
    index: int
    failed: tuple[tuple[str, str], ...] = ()

    def pin_memory(self) -> Sample:
        """The sample in page-locked memory. The DataLoader looks for this method by name."""
        return replace(self, scene=self.scene.pin_memory())


class SceneDataset(SeededDataset[Sample]):
    """The processed scenes in ``folders``, ``repeat`` times per epoch, with new draws of ``transforms`` each time.

    folders     one folder per scene, see ``ceco3d.data.scenes.processed``, or pieces of large scenes
    space       label space of ``Scene.segment``
    transforms  applied to every scene; None returns scenes as they are (for evaluation, or if Collate transforms them)
    seed        of every draw
    crop        chooses the points to read from each scene; None reads them all
    load        reads one array from its path, for example through a ``ceco3d.data.scenes.cache.ArrayCache``
    features    that the network needs; warns of scenes without them
    kept        where scenes stay once they were read; ValueError together with ``crop``, which reads parts of them
    renew       (epoch, index) -> what reads the arrays of another scene, in the place of one on disk; from epoch 1 on,
                the second. ValueError together with ``kept``

    If a scene cannot be read, the next readable one replaces it, so batches stay full and all processes take the same
    number of steps. Raises UserError if no scene can be read.
    """

    def __init__(
        self,
        folders: Sequence[Path | str | Piece],
        space: LabelSpace,
        transforms: Transform | None = None,
        seed: int = 0,
        repeat: int = 1,
        crop: SphereCrop | None = None,
        load: Load = read_npy,
        features: Sequence[str] = FEATURES,
        kept: DeviceCache | None = None,
        renew: Callable[[int, int], Load] | None = None,
    ) -> None:
        super().__init__(seed)
        if kept is not None and renew is not None:
            raise ValueError("SceneDataset: keeps scenes or makes new ones, not both")
        if kept is not None and crop is not None:
            raise ValueError("SceneDataset: keeps whole scenes or reads parts of them, not both")
        self.pieces = [folder if isinstance(folder, Piece) else Piece(Path(folder)) for folder in folders]
        self.space = space
        self.transforms = transforms
        self.repeat = repeat
        self.crop = crop
        self.load = load
        self.features = tuple(features)
        self.kept = kept
        self.renew = renew
        warn_missing(list(dict.fromkeys(piece.folder for piece in self.pieces)), self.features)

    def __len__(self) -> int:
        return len(self.pieces) * self.repeat

    @property
    def sources(self) -> int:
        """Number of distinct scenes and blocks."""
        return len(self.pieces)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(index, index)

    def sample(self, position: int, index: int) -> Sample:
        """The scene at ``position``, or the next one that can be read, with the draws of ``index``."""
        epoch = self.epoch
        failed: list[tuple[str, str]] = []
        for step in range(self.sources):
            piece = self.pieces[(position + step) % self.sources]
            try:
                scene = self._read(piece, epoch, index)
            except UserError as error:
                failed.append((piece.folder.name, str(error)))
            else:
                return Sample(scene, epoch, index, tuple(failed))
        raise UserError(f"none of {self.sources} scenes can be read; the first: {failed[0][1]}")

    def _read(self, piece: Piece, epoch: int, index: int) -> Scene:
        def rows(coord: np.ndarray, _: np.ndarray) -> np.ndarray | None:
            block = piece.chosen(coord)
            if self.crop is None:
                return block
            rng = seeded_generator(self.seed, Stream.CROP, epoch, index)
            chosen = self.crop.rows(torch.from_numpy(coord if block is None else coord[block]), rng)
            return block if chosen is None else chosen.numpy() if block is None else block[chosen.numpy()]

        load = self.load if self.renew is None or epoch == 0 else self.renew(epoch, index)
        read = partial(read_scene, piece.folder, self.space, rows, load, self.features)
        scene = read() if self.kept is None else self.kept(piece, read)
        return augment(scene, self.transforms, self.seed, epoch, index)


def augment(scene: Scene, transforms: Transform | None, seed: int, epoch: int, index: int) -> Scene:
    """Apply ``transforms`` to ``scene`` with the draws of (seed, epoch, index); without transforms, return it as is."""
    return scene if transforms is None else transforms(scene, seeded_generator(seed, Stream.TRANSFORM, epoch, index))
