"""The workload that every system gets: one input and one network."""

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
from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.processed import read_scene
from ceco3d.models import VARIANTS, MinkUNet, build_model
from ceco3d.sparse import SparseTensor


@dataclass(frozen=True)
class Workload:
    """An input and a network, the same for all systems.

    coordinates  (N, 4) int32 ``[batch, x, y, z]`` in voxels
    features     (N, C) float32
    labels       (N,) int64 from 0 to ``classes`` - 1
    model        arguments of ``build_model`` other than channels and engine
    """

    coordinates: Tensor
    features: Tensor
    labels: Tensor
    model: Mapping[str, Any]
    classes: int
    device: torch.device

    def __len__(self) -> int:
        return len(self.coordinates)

    def to(self, device: torch.device | str) -> Workload:
        """The same workload on ``device``."""
        moved = {name: getattr(self, name).to(device) for name in ("coordinates", "features", "labels")}
        return replace(self, **moved, device=torch.device(device))

    def tensor(self, system: System) -> SparseTensor:
        """The input as a sparse tensor of ``system``."""
        x: SparseTensor = system.layers().SparseTensor(self.features, self.coordinates)
        return x

    def network(self, system: System, inference: bool = False) -> MinkUNet:
        """The network on ``system``, with the same weights on every system.

        For inference, the convolutions of a baseline are cast to its dtype once, as its users do. For training,
        weights stay float32 and are cast at each call, as autocast does.
        """
        torch.manual_seed(0)
        in_channels = self.features.shape[1]
        engine = "native" if system.is_baseline else system.engine
        network = build_model(**self.model, in_channels=in_channels, out_channels=self.classes, engine=engine)
        if not system.is_baseline:
            return network.to(self.device)
        weights, options = network.state_dict(), dict(self.model)
        variant = VARIANTS[options.pop("name")]
        network = MinkUNet(variant, in_channels, self.classes, **options, engine=system.layers())
        network.load_state_dict(weights)
        if inference:
            for module in network.modules():
                if hasattr(module, "conv"):
                    module.conv.to(system.dtype)
        return network.to(self.device)


def make_workload(
    folders: Sequence[Path],
    space: LabelSpace,
    voxels: int,
    voxel_size: float,
    features: Sequence[str],
    model: Mapping[str, Any],
    classes: int,
    device: torch.device,
) -> Workload:
    """Exactly ``voxels`` voxels: the processed scenes of ``folders`` in turn as items of one batch, the last one cut.

    The cut is a plane across x. ``voxel_size`` is in meters. Labels outside the ``classes`` become 0 or the last class,
    since the loss needs a label for every voxel.
    """
    batch = _batch(folders, space, voxels, voxel_size, features)
    coordinates = batch.coordinates.long()
    order = ((coordinates[:, 0] << 40) + (coordinates[:, 1] - coordinates[:, 1].min())).sort(stable=True).indices
    rows = order[:voxels].sort().values
    labels = batch.labels[rows].clamp(-1, classes - 1)
    labels = torch.where(labels < 0, 0, labels)
    return Workload(
        batch.coordinates[rows].to(device), batch.features[rows].to(device), labels.to(device), model, classes, device
    )


def _batch(
    folders: Sequence[Path], space: LabelSpace, voxels: int, voxel_size: float, features: Sequence[str]
) -> Batch:
    """A batch of as few scenes as hold ``voxels`` voxels together."""
    scenes, count = [], 0
    for folder in cycle(folders):
        scenes.append(read_scene(folder, space))
        count += len(make_batch(scenes[-1:], voxel_size, features))
        if count >= voxels:
            return make_batch(scenes, voxel_size, features)
    raise ValueError("no scenes")
