"""Scenes too large for one pass of the network, in chunks that overlap so far that their seams do not show.

The network sees every chunk in the place and on the voxel grid that it has in the whole scene. A label depends on the
voxels within the receptive field alone, so with an overlap of that size chunks give the labels of the whole scene.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import Voxels, voxelize
from ceco3d.data.transforms.geometric import bounds
from ceco3d.inference.predictor import Predictor, View
from ceco3d.utils.progress import track


@dataclass(frozen=True)
class Box:
    """Voxels ``low`` (3,) to ``high`` (3,), both included."""

    low: Tensor
    high: Tensor

    def holds(self, coord: Tensor, margin: int = 0) -> Tensor:
        """Which voxels (M, 3) lie in the box, or at most ``margin`` voxels from it: (M,) bool."""
        return ((coord >= self.low - margin) & (coord <= self.high + margin)).all(1)


def receptive_field(predictor: Predictor) -> int:
    """Voxels along each axis beyond which no point of a scene changes what is predicted for another."""
    angles = [math.radians(view.rotation) for view in predictor.views]
    reach = max(
        (abs(math.cos(angle)) + abs(math.sin(angle))) / view.scale
        for angle, view in zip(angles, predictor.views, strict=True)
    )
    return math.ceil(predictor.model.receptive_radius * reach)


def label_chunks(
    predictor: Predictor, scene: Scene, voxels: Voxels, max_voxels: int, overlap: int
) -> tuple[Tensor, Tensor]:
    """Training index (N,) int16 and its probability (N,) float32 of every point of ``scene``.

    voxels      of the scene
    max_voxels  that go through the network at once; see ``split``
    overlap     voxels around a chunk that the network sees too; with ``receptive_field`` the result is exact
    """
    margin = overlap + 1  # voxels at the edge may lack points
    boxes = list(split(voxels.coord, max_voxels, margin))
    frame = frame_points(scene, predictor.views, predictor.voxel_size) if len(boxes) > 1 else []
    labels = torch.empty(len(scene), dtype=torch.int16)
    confidence = torch.empty(len(scene))
    for box in track(boxes, len(boxes), f"labelling {scene.name}, chunk"):
        seen = box.holds(voxels.coord, margin)[voxels.inverse]
        seen[frame] = True
        points = seen.nonzero().squeeze(1)
        core = box.holds(voxels.coord)[voxels.inverse[points]]
        chunk_labels, chunk_confidence = predictor.predict(scene.select(points))
        labels[points[core]] = chunk_labels[core].short()
        confidence[points[core]] = chunk_confidence[core]
    return labels, confidence


def split(coord: Tensor, max_voxels: int, margin: int) -> Iterator[Box]:
    """Boxes that hold every voxel (M, 3) once and, with ``margin`` voxels around them, at most ``max_voxels`` each.

    Boxes are halved across their longest side. One that is no longer than the margin is left as it is, because what it
    would be cut into sees nearly the same.
    """
    pending = [Box(*bounds(coord))] if len(coord) else []
    while pending:
        box = pending.pop()
        longest = int((box.high - box.low).max())
        if longest <= margin or box.holds(coord, margin).sum() <= max_voxels:
            yield box
            continue
        inside = coord[box.holds(coord)]
        axis = int((box.high - box.low).argmax())
        # The lowest voxels go left and the highest right, so that neither half is empty.
        cut = inside[:, axis].median().clamp(max=box.high[axis] - 1)
        left = inside[:, axis] <= cut
        pending += [Box(*bounds(inside[~left])), Box(*bounds(inside[left]))]


def frame_points(scene: Scene, views: Sequence[View], voxel_size: float) -> Tensor:
    """Positions of the points that span the bounding box of ``scene``, as it is and in every view.

    A chunk that has them is centred, and its grid begins, where the whole scene's does. The point that stands for a
    voxel is its first, so that the boxes of all points and of those that stand for voxels both have to be kept.
    """
    frame = [_extremes(scene.coord)]
    for view in views:
        coord = view(scene).coord
        voxels = voxelize(coord, voxel_size)
        outermost = _extremes(coord)
        standing = voxels.index[_extremes(coord[voxels.index])]
        frame += [outermost, voxels.index[voxels.inverse[outermost]], standing]
    return torch.cat(frame).unique()


def _extremes(coord: Tensor) -> Tensor:
    """Rows (6,) of the smallest and the largest value of each column."""
    columns = coord.t().contiguous()
    return torch.cat([columns.argmin(1), columns.argmax(1)])
