"""The DataLoader that reads, augments and batches scenes in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing.queues import Queue
from typing import Any

import torch
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader

from ceco3d.data.sampler import SceneSampler, VoxelCap
from ceco3d.data.seeded import Item, SeededDataset
from ceco3d.utils.allocator import keep_freed_memory
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

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
    Queue._on_queue_feeder_error = _send_reason  # type: ignore[attr-defined]  # meant to be replaced


def _send_reason(queue: Queue[Any], error: Exception, job: tuple[int, Any]) -> None:
    """Send why a batch cannot be passed on, in its place. By default the batch is lost and training waits forever."""
    try:
        raise UserError(
            f"a loader process cannot pass on a batch ({one_line(error)}): {_remedy(str(error))}"
        ) from error
    except UserError:
        queue.put((job[0], ExceptionWrapper(where="in a loader process")))


def _remedy(text: str) -> str:
    if "Too many open files" in text:
        return "raise the limit (ulimit -n 4096) or set trainer.workers=0, and continue with resume=auto"
    return "enlarge /dev/shm (docker run --shm-size=2g) or set trainer.workers=0, and continue with resume=auto"
