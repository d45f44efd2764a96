"""A batch: the voxels of several scenes, the input of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene, move, take_rows
from ceco3d.data.transforms.geometric import floor_center
from ceco3d.data.transforms.voxelize import voxelize
from ceco3d.sparse import SparseTensor
from ceco3d.utils.errors import UserError

FEATURE_CHANNELS = {"color": 3, "normal": 3, "coord": 3, "intensity": 1, "height": 1}
# Range of the random integer offset of each scene, in voxels (LanguageGroundedSemseg, training only).
OFFSET_RANGE = 100


@dataclass(frozen=True)
class Batch:
    """M voxels of B scenes with N points in all, on one device.

    coordinates (M, 4) int32, [scene in batch, x, y, z] in voxels, unique rows
    features    (M, C) float32
    labels      (M,) int64, training index or -1 = ignore
    scenes      B names
    inverse     (N,) int64, row of ``coordinates`` for every point of all scenes, in order
    failed      (scene, reason) of scenes that could not be read and were replaced
    ready       the result of ``sparse``, built ahead of time with the kernel maps of a network, see ``prepared``
    """

    coordinates: Tensor
    features: Tensor
    labels: Tensor
    scenes: tuple[str, ...]
    inverse: Tensor
    failed: tuple[tuple[str, str], ...] = ()
    ready: SparseTensor | None = None

    def __len__(self) -> int:
        return len(self.coordinates)

    def sparse(self) -> SparseTensor:
        """The features as a sparse tensor."""
        return SparseTensor(self.features, self.coordinates) if self.ready is None else self.ready

    def prepared(self, build_maps: Callable[[SparseTensor], None]) -> Batch:
        """The batch with the kernel maps that ``build_maps`` (``MinkUNet.build_maps``) builds on its voxels."""
        ready = self.sparse()
        build_maps(ready)
        return replace(self, ready=ready)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), Tensor)}

    def to(self, device: torch.device | str) -> Batch:
        """The batch on ``device``. Copies from pinned memory overlap with other work."""
        return self._map(lambda tensor: move(tensor, device))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory. The DataLoader looks for this method by name."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        changed: dict[str, Any] = {name: change(tensor) for name, tensor in self.tensors().items()}
        return replace(self, **changed)


def feature_channels(features: Sequence[str]) -> int:
    """The number of input channels C of ``features``; UserError for an unknown name."""
    unknown = [name for name in features if name not in FEATURE_CHANNELS]
    if unknown or not features:
        raise UserError(f"features={list(features)}: choose one or more of {', '.join(FEATURE_CHANNELS)}")
    return sum(FEATURE_CHANNELS[name] for name in features)


def point_features(scene: Scene, features: Sequence[str], index: Tensor | None = None) -> Tensor:
    """(N, C) float32: the named features side by side, for the points at ``index`` (default: all).

    color      color / 255 - 0.5
    normal     unit normal
    coord      meters from the floor center of the bounding box of these points
    intensity  intensity - 0.5
    height     meters above the ground, divided by 10 and cut at 2: of the size of the other features
    """
    feature_channels(features)  # raises for unknown names
    points = {name: getattr(scene, name) for name in features}
    if index is not None:
        points = {name: take_rows(values, index) for name, values in points.items()}
    if "color" in points:
        points["color"] = (points["color"] / 255).sub_(0.5)
    if "coord" in points:
        points["coord"] = points["coord"] - floor_center(points["coord"])
    if "intensity" in points:
        points["intensity"] = (points["intensity"] - 0.5)[:, None]
    if "height" in points:
        points["height"] = (points["height"] / 10).clamp_(-2, 2)[:, None]
    return torch.cat([points[name] for name in features], dim=1)


def make_batch(
    scenes: Sequence[Scene],
    voxel_size: float,
    features: Sequence[str],
    rngs: Sequence[torch.Generator] | None = None,
) -> Batch:
    """Voxelize ``scenes`` with ``voxel_size`` in meters; each voxel gets the features and label of one of its points.

    With ``rngs`` (training), one generator per scene, that point is random, and each scene is shifted by a random
    integer offset: strided convolutions depend on where the grid starts, and the offset makes every alignment with the
    coarse grids equally likely. Without ``rngs`` (evaluation) nothing is random.
    UserError if a scene cannot be voxelized.
    """
    coordinates, values, labels, inverse = [], [], [], []
    rows = 0
    for number, scene in enumerate(scenes):
        rng = None if rngs is None else rngs[number]
        try:
            voxels = voxelize(scene.coord, voxel_size, rng)
        except ValueError as error:
            raise UserError(f"scene {scene.name}: {error}") from error
        coord = voxels.coord
        if rng is not None:
            coord = coord + torch.randint(OFFSET_RANGE, (3,), generator=rng, dtype=torch.int32).to(coord.device)
        coordinates.append(torch.cat([torch.full_like(coord[:, :1], number), coord], dim=1))
        values.append(point_features(scene, features, voxels.index))
        labels.append(scene.segment.index_select(0, voxels.index))
        inverse.append(voxels.inverse + rows)
        rows += len(voxels)
    names = tuple(scene.name for scene in scenes)
    return Batch(torch.cat(coordinates), torch.cat(values), torch.cat(labels), names, torch.cat(inverse))
