"""Predict scenes that are too large for one forward pass, in overlapping chunks without visible seams.

Every chunk keeps its position and voxel grid in the scene. A label depends only on the voxels within the receptive
field, so chunks that overlap by that much get the labels of the whole scene.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import Voxels, voxelize
from ceco3d.data.transforms.geometric import bounds
from ceco3d.inference.fragments import make_fragments
from ceco3d.inference.predictor import Predictor
from ceco3d.inference.votes import SegmentVotes
from ceco3d.utils.progress import track

ROUNDING = 1e-6  # of a number of voxels
ROWS = 4  # of probabilities for each voxel of a chunk, at most: with fragments many points of a voxel have their own


@dataclass(frozen=True)
class Box:
    """The voxels from ``low`` (3,) to ``high`` (3,), both included."""

    low: Tensor
    high: Tensor

    def contains(self, coord: Tensor, margin: int = 0) -> Tensor:
        """(M,) bool: which voxels (M, 3) are in the box or at most ``margin`` voxels away."""
        return ((coord >= self.low - margin) & (coord <= self.high + margin)).all(1)


def receptive_field(predictor: Predictor) -> int:
    """Distance in voxels along each axis beyond which points do not influence each other's prediction, in any view."""
    if len(predictor.members) > 1:
        reaches = [receptive_field(member) * member.voxel_size for member in predictor.members]
        return math.ceil(max(reaches) / predictor.voxel_size - ROUNDING)
    angles = [math.radians(view.rotation) for view in predictor.views]
    reach = max(
        (abs(math.cos(angle)) + abs(math.sin(angle))) / view.scale
        for angle, view in zip(angles, predictor.views, strict=True)
    )
    return math.ceil(predictor.model.receptive_radius * reach)


def predict_in_chunks(
    predictor: Predictor,
    scene: Scene,
    voxels: Voxels,
    max_voxels: int,
    overlap: int,
    votes: SegmentVotes | None = None,
) -> tuple[Tensor, Tensor]:
    """Training index (N,) int16 and its probability (N,) float32 for every point of ``scene``.

    voxels      of the scene
    max_voxels  per forward pass, and what the memory for probabilities depends on; see ``split_into_boxes``
    overlap     voxels around a chunk that the network sees too; with ``receptive_field`` the result is exact
    votes       over segments of the points: they decide the labels
    """
    margin = overlap + math.ceil(predictor.coarsest)  # in the outermost voxels, points may be missing
    rows = _rows(predictor, voxels)
    boxes = list(split_into_boxes(voxels.coord, max_voxels, margin, rows))
    extent = extent_points(scene, predictor) if len(boxes) > 1 else None
    labels = torch.empty(len(scene), dtype=torch.int16)
    confidence = torch.empty(len(scene))
    for box in track(boxes, len(boxes), f"labeling {scene.name}, chunk"):
        seen = box.contains(voxels.coord, margin)[voxels.inverse]
        if extent is not None:
            seen[extent] = True
        points = seen.nonzero().squeeze(1)
        core = box.contains(voxels.coord)[voxels.inverse[points]].nonzero().squeeze(1)
        count = None if votes is None else partial(votes.add, points[core])
        chunk_labels, chunk_confidence = predictor.predict(scene.select(points), wanted=core, count=count)
        labels[points[core]] = chunk_labels.short()
        confidence[points[core]] = chunk_confidence
    if votes is None:
        return labels, confidence
    labels, confidence = votes.result()
    return labels.short(), confidence


def _rows(predictor: Predictor, voxels: Voxels) -> Tensor | None:
    """(M,) at most how many rows of probabilities the points of each voxel have; None: one each."""
    if len(predictor.members) > 1:  # of other voxels each
        return torch.bincount(voxels.inverse, minlength=len(voxels))
    if predictor.fragments == 1:
        return None
    return make_fragments(voxels.inverse, len(voxels), predictor.fragments).rows()


def split_into_boxes(coord: Tensor, max_voxels: int, margin: int, rows: Tensor | None = None) -> Iterator[Box]:
    """Boxes that contain every voxel (M, 3) once and, with ``margin`` voxels around them, at most ``max_voxels`` each.

    Boxes are halved across their longest side. One no longer than the margin stays whole: its halves would see nearly
    the same voxels. It is halved all the same while its points have more than ROWS * ``max_voxels`` rows of
    probabilities; ``rows`` (M,) are those of each voxel.
    """
    pending = [Box(*bounds(coord))] if len(coord) else []
    while pending:
        box = pending.pop()
        longest = int((box.high - box.low).max())
        crowded = rows is not None and bool(rows[box.contains(coord)].sum() > ROWS * max_voxels) and longest > 0
        if not crowded and (longest <= margin or box.contains(coord, margin).sum() <= max_voxels):
            yield box
            continue
        inside = coord[box.contains(coord)]
        axis = int((box.high - box.low).argmax())
        # The lowest voxels go left and the highest go right: neither half is empty.
        cut = inside[:, axis].median().clamp(max=box.high[axis] - 1)
        left = inside[:, axis] <= cut
        pending += [Box(*bounds(inside[~left])), Box(*bounds(inside[left]))]


def extent_points(scene: Scene, predictor: Predictor) -> Tensor:
    """Indices of the points that give a chunk the center, the voxel grid and the number of passes of the whole scene.

    In each view these depend on the bounding box of all points, on that of the points that represent the voxels in each
    pass, and on the fullest voxel. Their voxels are complete, so that the same points represent them.
    """
    if len(predictor.members) > 1:
        return torch.unique(torch.cat([extent_points(scene, member) for member in predictor.members]))
    extent = [_extremes(scene.coord)]
    for view in predictor.views:
        coord = view(scene).coord
        voxels = voxelize(coord, predictor.voxel_size)
        fragments = make_fragments(voxels.inverse, len(voxels), predictor.fragments)
        found = [voxels.inverse[_extremes(coord)], fragments.count.argmax()[None]]
        for number in range(fragments.passes):
            found.append(_extremes(coord[fragments.representatives(number)]))
        extent.append(torch.isin(voxels.inverse, torch.cat(found)).nonzero().squeeze(1))
    points: Tensor = torch.unique(torch.cat(extent))
    return points


def _extremes(coord: Tensor) -> Tensor:
    """(6,) rows with the smallest and the largest value of each column."""
    columns = coord.t().contiguous()
    return torch.cat([columns.argmin(1), columns.argmax(1)])
