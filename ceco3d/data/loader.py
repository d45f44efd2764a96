"""The DataLoader that reads, augments and batches scenes in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from ceco3d.data.sampler import SceneSampler, VoxelCap
from ceco3d.data.seeded import Item, SeededDataset
from ceco3d.utils.allocator import keep_freed_memory

READ_AHEAD = 4  # batches


def make_loader(
    dataset: SeededDataset[Item],
    collate: Callable[[Sequence[Item]], Any],
    batch_size: int = 1,
    shuffle: bool = False,
    workers: int = 0,
    *,
    drop_last: bool = False,
    rank: int = 0,
    world: int = 1,
    cap: VoxelCap | None = None,
    pin_memory: bool = False,
) -> DataLoader[Item]:
    """A DataLoader of what ``collate`` returns. Call ``loader.batch_sampler.set_position(epoch)`` before each epoch.

    dataset  a SceneDataset, or any other SeededDataset
    collate  makes a batch of a list of samples, such as Collate
    workers  processes that read ahead and live through all epochs; 0 reads in this process
    Other arguments as in SceneSampler. At most READ_AHEAD batches, or one per worker if there are more workers, are in
    memory at once.
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
        generator=torch.Generator(),  # without it the loader would draw from the global generator
    )


def _start_worker(_: int) -> None:
    keep_freed_memory()  # otherwise allocating every tensor from the system doubles the time per scene
