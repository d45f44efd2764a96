"""The order of scenes: shuffled by (seed, epoch), split among processes, resumable at any batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from torch.utils.data import Sampler

from ceco3d.data.batch import make_batch
from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.blocks import Piece
from ceco3d.data.scenes.processed import read_scene
from ceco3d.data.seeded import SeededDataset
from ceco3d.utils.errors import UserError
from ceco3d.utils.random import Stream, seeded_generator

FEATURE = ["coord"]  # enough to count voxels


@dataclass(frozen=True)
class VoxelCap:
    """Fills batches up to ``most`` voxels, with any number of scenes. A larger scene is a batch of its own.

    voxels  of each scene before augmentation, see ``count_voxels``; augmentation changes the number a little
    """

    voxels: Sequence[int]
    most: int

    def batches(self, order: Iterable[int]) -> Iterator[list[int]]:
        """Yield the scenes of ``order`` in batches; start a new batch when the next scene would exceed the cap."""
        batch: list[int] = []
        load = 0
        for index in order:
            size = self.voxels[index % len(self.voxels)]
            if batch and load + size > self.most:
                yield batch
                batch, load = [], 0
            batch.append(index)
            load += size
        yield batch


def count_voxels(pieces: Sequence[Piece], space: LabelSpace, voxel_size: float) -> list[int]:
    """Occupied voxels of each scene or block without augmentation, ``voxel_size`` in meters; 0 if it is unreadable."""
    counts = []
    for piece in pieces:
        try:
            scene = read_scene(piece.folder, space, piece.chosen, features=FEATURE)
            counts.append(len(make_batch([scene], voxel_size, FEATURE)))
        except UserError:  # the data set reports it
            counts.append(0)
    return counts


class SceneSampler(Sampler[list[int]]):
    """Yields lists of ``batch_size`` scene indices: the share of process ``rank`` of ``world`` in each epoch.

    dataset    its length, seed and epoch decide the order
    drop_last  gives every rank the same number of full batches; UserError if there is not even one per rank
    cap        decides the size of each batch instead of ``batch_size``

    The order depends only on (seed, epoch). ``set_position`` sets the epoch and the first batch, which is the sampler's
    whole state: a run that restores both continues exactly where it stopped.
    With ``cap``, every epoch has as many batches as the scenes fill in their original order, the same on all ranks. An
    order that needs more batches leaves out its last scenes; one that needs fewer starts over.
    """

    def __init__(
        self,
        dataset: SeededDataset[Any],
        batch_size: int,
        shuffle: bool,
        drop_last: bool,
        rank: int = 0,
        world: int = 1,
        cap: VoxelCap | None = None,
    ) -> None:
        if cap is not None:
            total = sum(cap.voxels) * (len(dataset) // len(cap.voxels))
            if total < cap.most * world:
                raise UserError(
                    f"{total} voxels do not fill one batch of {cap.most} on each of {world} devices: "
                    "lower trainer.batch_voxels or raise the dataset's repeat"
                )
        elif drop_last and len(dataset) < batch_size * world:
            raise UserError(
                f"{len(dataset)} scenes do not fill one batch of {batch_size} on each of {world} devices: "
                "lower the batch size or raise the dataset's repeat"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.rank = rank
        self.world = world
        self.cap = cap
        self.epoch = 0
        self.first_batch = 0

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """Start the next iteration at batch number ``batch`` of ``epoch``, and set the epoch of the data set."""
        self.epoch = epoch
        self.first_batch = batch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch, wherever the next iteration starts."""
        return len(self._batches(list(range(len(self.dataset)))))

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(len(self.dataset)))
        if self.shuffle:
            rng = seeded_generator(self.dataset.seed, Stream.ORDER, self.epoch)
            order = self.dataset.shuffled(rng)
        yield from self._batches(order)[self.first_batch :]

    def _batches(self, order: list[int]) -> list[list[int]]:
        """The batches of this rank out of ``order``: consecutive batches go to consecutive ranks."""
        if self.cap is not None:
            count = sum(1 for _ in self.cap.batches(range(len(order))))
            count = max(count // self.world, 1) * self.world
            return list(islice(self.cap.batches(cycle(order)), self.rank, count, self.world))
        step = self.batch_size * self.world
        whole = len(order) - len(order) % step if self.drop_last else len(order)
        starts = range(self.rank * self.batch_size, whole, step)
        return [order[start : start + self.batch_size] for start in starts]
