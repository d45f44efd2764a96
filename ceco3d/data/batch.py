"""A batch: the voxels of several scenes, the input of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene, move, take_rows
from ceco3d.data.transforms.crop import SphereCrop
from ceco3d.data.transforms.geometric import floor_center
from ceco3d.data.transforms.voxelize import Voxels, voxelize
from ceco3d.sparse import SparseTensor
from ceco3d.utils.errors import UserError

FEATURE_CHANNELS = {"color": 3, "normal": 3, "coord": 3, "intensity": 1, "height": 1, "rgb": 3}
# Range of the random integer offset of each scene, in voxels (LanguageGroundedSemseg, training only).
OFFSET_RANGE = 100


@dataclass(frozen=True)
class Batch:
    """M voxels of B scenes with N points in all, on one device.

    coordinates (M, 4) int32, [scene in batch, x, y, z] in voxels, unique rows
    features    (M, C) float32
    labels      (M,) int64, training index or -1 = ignore; (L,) with ``rows``
    scenes      B names
    inverse     (N,) int64, row of ``coordinates`` for every point of all scenes, in order; -1 if it was cropped
    failed      (scene, reason) of scenes that could not be read and were replaced
    ready       the result of ``sparse``, built ahead of time with the kernel maps of a network, see ``prepared``
    rows        (L,) int64, row of ``coordinates`` of each label, where voxels of two mixed scenes meet; None: one each
    """

    coordinates: Tensor
    features: Tensor
    labels: Tensor
    scenes: tuple[str, ...]
    inverse: Tensor
    failed: tuple[tuple[str, str], ...] = ()
    ready: SparseTensor | None = None
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.coordinates)

    def sparse(self) -> SparseTensor:
        """The features as a sparse tensor."""
        return SparseTensor(self.features, self.coordinates) if self.ready is None else self.ready

    def at_labels(self, values: Tensor) -> Tensor:
        """``values`` of the M voxels, one row for each label."""
        return values if self.rows is None else values.index_select(0, self.rows)

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
    rgb        color / 255, as Pointcept scales colors
    normal     unit normal
    coord      meters from the floor center of the bounding box of these points
    intensity  intensity - 0.5
    height     meters above the ground, divided by 10 and cut at 2: of the size of the other features
    """
    feature_channels(features)  # raises for unknown names
    points = {name: getattr(scene, "color" if name == "rgb" else name) for name in features}
    if index is not None:
        points = {name: take_rows(values, index) for name, values in points.items()}
    if "color" in points:
        points["color"] = (points["color"] / 255).sub_(0.5)
    if "rgb" in points:
        points["rgb"] = points["rgb"] / 255
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
    offset: int = OFFSET_RANGE,
    crop: SphereCrop | None = None,
    paired: bool = False,
) -> Batch:
    """Voxelize ``scenes`` with ``voxel_size`` in meters; each voxel gets the features and label of one of its points.

    With ``rngs`` (training), one generator per scene, that point is random, and each scene is shifted by a random
    integer offset below ``offset``: strided convolutions depend on where the grid starts, and the offset makes every
    alignment with the coarse grids equally likely. Without ``rngs`` (evaluation) nothing is random.

    crop    the voxels to keep of each scene, by the coordinates of their points; needs ``rngs``
    paired  lay each two consecutive scenes over each other, the first voxels of their grids in one place; an odd last
            scene stays alone. Where voxels meet, their features are averaged and all labels kept (``Batch.rows``).

    UserError if a scene cannot be voxelized.
    """
    coordinates, values, labels, inverse = [], [], [], []
    rows, start = 0, torch.zeros(3, dtype=torch.int32)
    for number, scene in enumerate(scenes):
        rng = None if rngs is None else rngs[number]
        try:
            voxels = voxelize(scene.coord, voxel_size, rng)
        except ValueError as error:
            raise UserError(f"scene {scene.name}: {error}") from error
        if rng is not None and crop is not None:
            voxels = _cropped(voxels, crop.rows(scene.coord.index_select(0, voxels.index), rng))
        coord = voxels.coord
        if rng is not None and offset and not (paired and number % 2):
            start = torch.randint(offset, (3,), generator=rng, dtype=torch.int32)
        item = number // 2 if paired else number
        coordinates.append(torch.cat([torch.full_like(coord[:, :1], item), coord + start.to(coord.device)], dim=1))
        values.append(point_features(scene, features, voxels.index))
        labels.append(scene.segment.index_select(0, voxels.index))
        inverse.append(torch.where(voxels.inverse < 0, -1, voxels.inverse + rows))
        rows += len(voxels)
    names = [scene.name for scene in scenes]
    batch = Batch(torch.cat(coordinates), torch.cat(values), torch.cat(labels), tuple(names), torch.cat(inverse))
    return _merged(batch) if paired else batch


def _cropped(voxels: Voxels, kept: Tensor | None) -> Voxels:
    """The voxels at ``kept``; points of the others have the voxel -1."""
    if kept is None:
        return voxels
    place = torch.full_like(voxels.index, -1)
    place[kept] = torch.arange(len(kept), device=kept.device)
    return Voxels(voxels.coord[kept], voxels.index[kept], place[voxels.inverse])


def _merged(batch: Batch) -> Batch:
    """``batch`` with one row for each of its coordinates, in lexicographic order, the mean of those that meet."""
    wide = batch.coordinates.long()
    size = wide.amax(0) + 1
    key = ((wide[:, 0] * size[1] + wide[:, 1]) * size[2] + wide[:, 2]) * size[3] + wide[:, 3]
    unique, rows = torch.unique(key, return_inverse=True)
    coordinates = torch.empty_like(batch.coordinates[: len(unique)]).index_copy_(0, rows, batch.coordinates)
    sums = batch.features.new_zeros(len(unique), batch.features.shape[1])
    sums.scatter_add_(0, rows[:, None].expand_as(batch.features), batch.features)
    features = sums / torch.bincount(rows, minlength=len(unique))[:, None]
    names = tuple("+".join(batch.scenes[first : first + 2]) for first in range(0, len(batch.scenes), 2))
    inverse = torch.where(batch.inverse < 0, -1, rows[batch.inverse.clamp(min=0)])
    return Batch(coordinates, features, batch.labels, names, inverse, rows=rows)
