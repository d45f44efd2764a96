"""Measure what a network lacks on its rare classes, see ``metrics.shortfall``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.frequency import class_frequency
from ceco3d.data.scenes.processed import read_scene
from ceco3d.inference.predictor import Predictor
from ceco3d.metrics.confusion import Confusion
from ceco3d.metrics.shortfall import Diagnosis, diagnose
from ceco3d.utils.errors import UserError
from ceco3d.utils.progress import track


def diagnose_network(
    predictor: Predictor, train: Sequence[Path], val: Sequence[Path], space: LabelSpace, taus: Sequence[float]
) -> Diagnosis:
    """Diagnose a network on processed scenes, with ``taus`` of logit adjustment.

    UserError if no class has points in both splits.
    """
    shift = log_frequency(class_frequency(train, space)[1])
    tried = list(dict.fromkeys((0.0, *map(float, taus))))
    found = [{tau: Confusion(len(space)) for tau in tried} for _ in range(2)]
    oracles = Confusion(len(space)), Confusion(len(space))
    _score(predictor, val, space, found[0], shift, oracles[0], "validation scenes")
    _score(predictor, train, space, found[1], shift, oracles[1], "training scenes")
    try:
        return diagnose(found[0], found[1], oracles, space)
    except ValueError as error:
        raise UserError(f"{val[0].parent.parent}: {error}; are these the scenes of the training?") from None


def log_frequency(points: Tensor) -> Tensor:
    """(K,) log of the share of each class in the training points; 0, no adjustment, for classes without points."""
    share = points.double() / points.sum()
    return torch.where(points > 0, share.clamp(min=1e-12).log(), 0.0).float()


def oracle_labels(labels: Tensor, voxel: Tensor, voxels: int, classes: int) -> Tensor:
    """(N,) the most frequent label of each point's voxel, of ``labels`` (N,) with -1 = ignore, which do not count.

    voxel  (N,) the voxel of each point, 0..``voxels`` - 1
    -1 for points in voxels without labels.
    """
    known = labels >= 0
    key, count = torch.unique(voxel[known] * classes + labels[known], return_counts=True)
    order = torch.argsort(count, stable=True)
    key = key[order]
    place = torch.full((voxels,), -1).scatter_reduce_(
        0, key // classes, torch.arange(len(key)), "amax"
    )  # most frequent
    best = torch.where(place >= 0, key[place] % classes, -1) if len(key) else place
    return best[voxel]


def _score(
    predictor: Predictor,
    folders: Sequence[Path],
    space: LabelSpace,
    adjusted: dict[float, Confusion],
    shift: Tensor,
    oracle: Confusion,
    what: str,
) -> None:
    """Count over the points of scenes: predictions with logits - tau * ``shift``, and the oracle of voxels."""
    for folder in track(folders, len(folders), f"labeling {what}"):
        scene = read_scene(folder, space, features=predictor.features)
        logits, _, voxel = predictor.voxel_logits(scene)
        for tau, confusion in adjusted.items():
            confusion.update((logits - tau * shift).argmax(1)[voxel], scene.segment)
        oracle.update(oracle_labels(scene.segment, voxel, len(logits), len(space)), scene.segment)
