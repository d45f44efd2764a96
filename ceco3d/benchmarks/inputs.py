"""What the engines are timed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from ceco3d.benchmarks.engines import Work
from ceco3d.scenes.batch import Batch, make_batch
from ceco3d.scenes.processed import read_scene


def make_work(
    folders: Sequence[Path],
    label_space: str,
    voxels: int,
    voxel_size: float,
    features: Sequence[str],
    model: Mapping[str, Any],
    classes: int,
    device: torch.device,
) -> Work:
    """``voxels`` voxels: the scenes in turn, as items of one batch, the last one cut at a plane across x."""
    batch = _batch(folders, label_space, voxels, voxel_size, features)
    coordinates = batch.coordinates.long()
    order = ((coordinates[:, 0] << 40) + (coordinates[:, 1] - coordinates[:, 1].min())).sort(stable=True).indices
    rows = order[:voxels].sort().values
    labels = batch.labels[rows].clamp(-1, classes - 1)
    labels = torch.where(labels < 0, 0, labels)  # a loss over all rows, whatever the scene's labels are
    return Work(
        batch.coordinates[rows].to(device), batch.features[rows].to(device), labels.to(device), model, classes, device
    )


def _batch(folders: Sequence[Path], label_space: str, voxels: int, voxel_size: float, features: Sequence[str]) -> Batch:
    scenes, found = [], 0
    for folder in cycle(folders):
        scenes.append(read_scene(folder, label_space))
        found += len(make_batch(scenes[-1:], voxel_size, features))
        if found >= voxels:
            return make_batch(scenes, voxel_size, features)
    raise ValueError("no scenes")
