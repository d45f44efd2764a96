"""A batch: what a network consumes, made of scenes by voxelisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene, move, take_rows
from ceco3d.data.transforms.geometric import foot
from ceco3d.data.transforms.voxelize import voxelize
from ceco3d.sparse import SparseTensor
from ceco3d.utils.errors import UserError

FEATURE_CHANNELS = {"color": 3, "normal": 3, "coord": 3}
# Width of the random integer offset of each scene in voxels (LanguageGroundedSemseg, training only).
OFFSET_RANGE = 100


@dataclass(frozen=True)
class Batch:
    """M voxels of B scenes with N points in all, on one device.

    coordinates (M, 4) int32, [scene in batch, x, y, z] in voxels, unique rows
    features    (M, C) float32
    labels      (M,) int64, training index or -1 = ignore
    scenes      B names
    inverse     (N,) int64, row of ``coordinates`` for every point of all scenes in order
    failed      (scene, reason) of scenes that could not be read and that others stand in for
    ready       what ``sparse`` gives, made ahead of time with the kernel maps of a network, see ``prepared``
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
        """The features on their voxels."""
        return SparseTensor(self.features, self.coordinates) if self.ready is None else self.ready

    def prepared(self, build_maps: Callable[[SparseTensor], None]) -> Batch:
        """The batch with all that ``build_maps`` (``MinkUNet.build_maps``) makes of its voxels."""
        ready = self.sparse()
        build_maps(ready)
        return replace(self, ready=ready)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), Tensor)}

    def to(self, device: torch.device | str) -> Batch:
        """The batch on ``device``; from pinned memory the copy overlaps with other work."""
        return self._map(lambda tensor: move(tensor, device))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory (the DataLoader calls this by its name)."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(self, **{name: change(tensor) for name, tensor in self.tensors().items()})


def feature_channels(features: Sequence[str]) -> int:
    """Number of input channels C of a network fed with ``features``; UserError for an unknown one."""
    unknown = [name for name in features if name not in FEATURE_CHANNELS]
    if unknown or not features:
        raise UserError(f"features {list(features)} are not known; choose one or more of {', '.join(FEATURE_CHANNELS)}")
    return sum(FEATURE_CHANNELS[name] for name in features)


def point_features(scene: Scene, features: Sequence[str], index: Tensor | None = None) -> Tensor:
    """(N, C) float32, the named features side by side; of the points at ``index`` alone, as if there were no others.

    "color" is colour/255 - 0.5, "normal" the unit normal, "coord" metres from the middle of the floor.
    """
    feature_channels(features)  # refuses unknown names
    points = {name: getattr(scene, name) for name in features}
    if index is not None:
        points = {name: take_rows(values, index) for name, values in points.items()}
    if "color" in points:
        points["color"] = (points["color"] / 255).sub_(0.5)
    if "coord" in points:
        points["coord"] = points["coord"] - foot(points["coord"])
    return torch.cat([points[name] for name in features], dim=1)


def make_batch(
    scenes: Sequence[Scene],
    voxel_size: float,
    features: Sequence[str],
    rngs: Sequence[torch.Generator] | None = None,
) -> Batch:
    """Voxelise ``scenes`` (``voxel_size`` in metres); feature and label of a voxel are those of one of its points.

    With ``rngs`` (training), one generator a scene, that point is drawn, and each scene moves by a random integer
    offset: a strided convolution sees where the grid starts, so the offset makes every alignment to the coarse grids
    equally likely. Without (evaluation) nothing is random. Raises UserError when a scene cannot be voxelised.
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
