"""From processed scenes on disk to batches: data set, collation and an order that can be resumed.

Every random draw is a function of (seed, epoch, index), so batches do not depend on the number of workers, on their
timing or on where a run was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ceco3d.data.batch import Batch, make_batch
from ceco3d.data.scenes.processed import Load, read_npy, read_scene
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms.crop import SphereCrop
from ceco3d.data.transforms.mix import mix_pairs
from ceco3d.data.transforms.step import Transform, seeded_generator
from ceco3d.utils.allocator import keep_freed_memory
from ceco3d.utils.errors import UserError

# Separate random streams of one seed.
_TRANSFORM, _COLLATE, _ORDER = range(3)
_VOXELIZE, _CROP = 5, 6  # ceco3d.pretraining has 3 and 4
READ_AHEAD = 4  # batches


@dataclass(frozen=True)
class Sample:
    """A scene with the key of its random draws, and (scene, reason) of those that it stands in for."""

    scene: Scene
    epoch: int
    index: int
    failed: tuple[tuple[str, str], ...] = ()

    def pin_memory(self) -> Sample:
        """The sample in page-locked memory (the DataLoader calls this by its name)."""
        return replace(self, scene=self.scene.pin_memory())


class SceneDataset(Dataset):
    """Processed scenes of ``folders``, ``repeat`` times over, each time with other draws of ``transforms``.

    folders     one folder a scene (``ceco3d.data.scenes.processed``)
    label_space which labels become ``Scene.segment``: "scannet200" or "scannet20"
    transforms  applied to every scene; None reads the scenes as they are (evaluation, or a Collate that applies them)
    crop        what is read of a scene; None: all of it
    load        how its arrays get into memory, such as ``ceco3d.data.scenes.cache.ArrayCache``

    The next scene that can be read stands in for one that cannot, so that batches stay full and all processes in step.
    UserError when there is none.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        label_space: str,
        transforms: Transform | None,
        seed: int,
        repeat: int = 1,
        crop: SphereCrop | None = None,
        load: Load = read_npy,
    ) -> None:
        self.folders = list(folders)
        self.label_space = label_space
        self.transforms = transforms
        self.seed = seed
        self.repeat = repeat
        self.crop = crop
        self.load = load
        # In shared memory, so that workers that live on through all epochs see the change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the draws of ``epoch`` from now on, in this process and in running workers."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.folders) * self.repeat

    @property
    def sources(self) -> int:
        """Number of different scenes."""
        return len(self.folders)

    def __getitem__(self, index: int) -> Sample:
        epoch, failed = int(self._epoch), []
        for step in range(self.sources):
            folder = self.folders[(index + step) % self.sources]
            try:
                scene = self._read(folder, epoch, index)
            except UserError as error:
                failed.append((folder.name, str(error)))
            else:
                return Sample(scene, epoch, index, tuple(failed))
        raise UserError(f"none of {self.sources} scenes can be read; the first: {failed[0][1]}")

    def _read(self, folder: Path, epoch: int, index: int) -> Scene:
        def rows(coord: np.ndarray, _: np.ndarray) -> np.ndarray | None:
            rng = seeded_generator(self.seed, _CROP, epoch, index)
            chosen = None if self.crop is None else self.crop.rows(torch.from_numpy(coord), rng)
            return None if chosen is None else chosen.numpy()

        scene = read_scene(folder, self.label_space, rows, self.load)
        return augment(scene, self.transforms, self.seed, epoch, index)


def augment(scene: Scene, transforms: Transform | None, seed: int, epoch: int, index: int) -> Scene:
    """``scene`` after the ``transforms`` of a draw; itself without any."""
    return scene if transforms is None else transforms(scene, seeded_generator(seed, _TRANSFORM, epoch, index))


@dataclass(frozen=True)
class Collate:
    """Samples to a Batch. With ``seed`` None (evaluation) nothing is random.

    voxel_size metres
    features   see ``point_features``
    mix_prob   chance of Mix3D, see ``mix_pairs``
    transforms applied to every scene, where the data set has not done so
    device     where all this happens; scenes come from the CPU
    """

    voxel_size: float
    features: Sequence[str]
    mix_prob: float = 0.0
    seed: int | None = None
    transforms: Transform | None = None
    device: torch.device | str = "cpu"

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        scenes = [
            augment(sample.scene.to(self.device), self.transforms, self.seed, sample.epoch, sample.index)
            for sample in samples
        ]
        if self.seed is None:
            return make_batch(scenes, self.voxel_size, self.features)
        rng = seeded_generator(self.seed, _COLLATE, samples[0].epoch, *(sample.index for sample in samples))
        scenes = mix_pairs(scenes, self.mix_prob, rng)
        # A scene draws for itself, so that its voxels do not depend on how a step's scenes are shared among processes.
        firsts = samples if len(scenes) == len(samples) else samples[::2]
        rngs = [seeded_generator(self.seed, _VOXELIZE, first.epoch, first.index) for first in firsts]
        batch = make_batch(scenes, self.voxel_size, self.features, rngs)
        return replace(batch, failed=tuple(failure for sample in samples for failure in sample.failed))


@dataclass(frozen=True)
class VoxelCap:
    """Batches of up to ``most`` voxels, whatever the number of scenes; a scene of more is a batch by itself.

    voxels  of every scene as it is, see ``count_voxels``; augmentation makes some more or fewer
    """

    voxels: Sequence[int]
    most: int

    def batches(self, order: Iterable[int]) -> Iterator[list[int]]:
        """The scenes of ``order`` one after the other, a new batch whenever the next one would be too much."""
        batch, load = [], 0
        for index in order:
            size = self.voxels[index % len(self.voxels)]
            if batch and load + size > self.most:
                yield batch
                batch, load = [], 0
            batch.append(index)
            load += size
        yield batch


def count_voxels(folders: Sequence[Path], label_space: str, voxel_size: float) -> list[int]:
    """Occupied voxels of each processed scene as it is, ``voxel_size`` in metres; 0 of one that cannot be read."""
    counts = []
    for folder in folders:
        try:
            counts.append(len(make_batch([read_scene(folder, label_space)], voxel_size, ["coord"])))
        except UserError:  # the data set reports it
            counts.append(0)
    return counts


class SceneSampler(Sampler[list[int]]):
    """Lists of ``batch_size`` scene indices: this process's share (``rank`` of ``world``) of each epoch.

    ``dataset`` has a length, a ``seed`` and ``set_epoch``, as SceneDataset and PairDataset do. The order is a function
    of (seed, epoch). ``set_position`` chooses the epoch and the batch to begin with, which is all the state there is: a
    run that stored both goes on exactly where it stopped.
    With ``drop_last`` every rank gets the same number of full batches; UserError when there is not even one.
    With a ``cap`` that decides instead of ``batch_size``. Every epoch then has as many batches as the scenes fill in
    their own order, the same for all ranks: another order leaves out its last scenes or begins again.
    """

    def __init__(
        self,
        dataset: SceneDataset,
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
        """Begin the next iteration at batch number ``batch`` of ``epoch``; the data set follows to that epoch."""
        self.epoch = epoch
        self.first_batch = batch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch, wherever the next iteration begins."""
        return len(self._batches(list(range(len(self.dataset)))))

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(len(self.dataset)))
        if self.shuffle:
            rng = seeded_generator(self.dataset.seed, _ORDER, self.epoch)
            order = torch.randperm(len(order), generator=rng).tolist()
        yield from self._batches(order)[self.first_batch :]

    def _batches(self, order: list[int]) -> list[list[int]]:
        """The batches of this rank out of ``order``: consecutive batches go to the ranks in turn."""
        if self.cap is not None:
            count = sum(1 for _ in self.cap.batches(range(len(order))))
            count = max(count // self.world, 1) * self.world
            return list(islice(self.cap.batches(cycle(order)), self.rank, count, self.world))
        step = self.batch_size * self.world
        whole = len(order) - len(order) % step if self.drop_last else len(order)
        starts = range(self.rank * self.batch_size, whole, step)
        return [order[start : start + self.batch_size] for start in starts]


def make_loader(
    dataset: SceneDataset,
    collate: Collate,
    batch_size: int,
    shuffle: bool,
    workers: int,
    *,
    drop_last: bool = False,
    rank: int = 0,
    world: int = 1,
    cap: VoxelCap | None = None,
    pin_memory: bool = False,
) -> DataLoader:
    """A DataLoader of Batch. Before each epoch call ``loader.batch_sampler.set_position(epoch, batch)``.

    ``workers`` processes read ahead and live on through all epochs; 0 reads in this process. Up to READ_AHEAD batches,
    or one per worker if those are more, are in memory at once.
    """
    return DataLoader(
        dataset,
        batch_sampler=SceneSampler(dataset, batch_size, shuffle, drop_last, rank, world, cap),
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=max(1, READ_AHEAD // workers) if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # else the loader would draw from, and so disturb, the global generator
    )


def _start_worker(_: int) -> None:
    keep_freed_memory()  # getting every tensor anew from the system would double the time of a scene
