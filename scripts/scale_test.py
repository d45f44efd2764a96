#!/usr/bin/env python
"""scripts/scale_test.py [SCENES]: time what one machine can show of a large data set; docs/scale.md has the figures.

For a split of SCENES (100000) empty scene folders: list them, read their index, shuffle an epoch and take one process's
share. Then reduce the confusion counts and moments of 8 processes (gloo).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ceco3d.data.dataset import SceneDataset
from ceco3d.data.labels import label_space
from ceco3d.data.sampler import SceneSampler
from ceco3d.data.scenes import index
from ceco3d.data.scenes.processed import list_scenes
from ceco3d.metrics import ClassMoments, Confusion

RANKS = 8


def timed(what: str, function: Callable[[], Any]) -> Any:
    """Run ``function``, print its time and return its result."""
    start = time.perf_counter()
    result = function()
    print(f"{what:60} {1000 * (time.perf_counter() - start):10.1f} ms", flush=True)
    return result


def share(rank: int, folder: str) -> None:
    """Run one process of the reduction at the end of an evaluation."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=RANKS)
    confusion, moments = Confusion(200), ClassMoments(200, 96, {"head": range(66)})
    labels = torch.arange(20000) % 200
    confusion.update(labels, labels)
    moments.seed(rank)
    moments.update(torch.randn(20000, 96), labels)
    dist.barrier()
    start = time.perf_counter()
    confusion.share()
    moments.share()
    if rank == 0:
        print(f"{f'scores of {RANKS} processes':60} {1000 * (time.perf_counter() - start):10.1f} ms", flush=True)
    assert int(confusion.counts.sum()) == RANKS * 20000
    dist.destroy_process_group()


def main() -> None:
    """Run all timings."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for number in range(count):
            (root / "train" / f"scene{number:06}_00").mkdir(parents=True)
        os.utime(root / "train", (1, 1))  # an index is kept only of folders that have not changed lately
        folders = timed(f"list {count} scenes, first time", lambda: list_scenes(root, "train"))
        assert timed(f"list {count} scenes, from the index", lambda: list_scenes(root, "train")) == folders
        size = (root / ".index-train.json").stat().st_size
        print(f"{'index file':60} {size / 1e6:10.1f} MB")
        assert index.split_of(folders) == (root, "train")
        dataset = SceneDataset(folders, label_space("scannet200"), None, seed=0)
        shares = [SceneSampler(dataset, 2, True, True, rank, RANKS) for rank in range(RANKS)]
        seen = [timed(f"order of an epoch, rank {rank}", lambda s=shares[rank]: list(s)) for rank in (0, RANKS - 1)]
        assert not {i for batch in seen[0] for i in batch} & {i for batch in seen[1] for i in batch}
        torch.multiprocessing.spawn(share, (temporary,), nprocs=RANKS)


if __name__ == "__main__":
    main()
