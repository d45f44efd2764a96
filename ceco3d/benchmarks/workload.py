"""What every system gets: the input and the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ceco3d.benchmarks.systems import System
from ceco3d.data.batch import Batch, make_batch
from ceco3d.data.scenes.processed import read_scene
from ceco3d.models import VARIANTS, MinkUNet, build_model
from ceco3d.sparse import SparseTensor


@dataclass(frozen=True)
class Work:
    """The input and the network that all systems get.

    coordinates (N, 4) int32, features (N, C) float32, labels (N,) int64
    """

    coordinates: Tensor
    features: Tensor
    labels: Tensor
    model: Mapping[str, Any]  # arguments of build_model
    classes: int
    device: torch.device

    def __len__(self) -> int:
        return len(self.coordinates)

    def to(self, device: torch.device | str) -> Work:
        """The same on ``device``."""
        moved = {name: getattr(self, name).to(device) for name in ("coordinates", "features", "labels")}
        return replace(self, **moved, device=torch.device(device))

    def tensor(self, system: System) -> SparseTensor:
        """The input as ``system`` takes it."""
        return system.layers().SparseTensor(self.features, self.coordinates)

    def network(self, system: System, inference: bool = False) -> MinkUNet:
        """The network on ``system``, with the same weights on all; peers' in the dtype of the products for inference.

        Casting them once is what their users do. For training they stay float32 and are cast as autocast does it.
        """
        torch.manual_seed(0)
        sizes = {"in_channels": self.features.shape[1], "out_channels": self.classes}
        network = build_model(**self.model, **sizes, engine="native" if system.peer else system.engine)
        if not system.peer:
            return network.to(self.device)
        weights, options = network.state_dict(), dict(self.model)
        network = MinkUNet(VARIANTS[options.pop("name")], **options, **sizes, engine=system.layers())
        network.load_state_dict(weights)
        if inference:
            for module in network.modules():
                if hasattr(module, "conv"):
                    module.conv.to(system.dtype)
        return network.to(self.device)


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
