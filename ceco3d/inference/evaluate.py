"""Scores and neural-collapse measures of a network on the vertices of labelled scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.data.scenes.processed import read_scene
from ceco3d.inference.predictor import Predictor
from ceco3d.metrics import ClassMoments, Confusion, neural_collapse, segmentation_scores
from ceco3d.utils.atomic import whole_file, write_json
from ceco3d.utils.distributed import gather, rank, world
from ceco3d.utils.errors import UserError
from ceco3d.utils.progress import track

# Takes (scene, reason) of scenes that cannot be read.
ReportFailed = Callable[[list[tuple[str, str]]], None]


@dataclass(frozen=True)
class Evaluation:
    """What is measured of a network on labelled scenes.

    scores    ``metrics.segmentation_scores``
    collapse  ``metrics.neural_collapse``
    moments   of the voxels' features, what ``collapse`` was computed from
    counts    (K, K + 1) int64 of ``metrics.Confusion``
    scenes    mIoU over the classes present in each scene, by its name; None without ground truth
    """

    scores: dict[str, Any]
    collapse: dict[str, Any]
    moments: ClassMoments
    counts: Tensor
    scenes: dict[str, float | None]

    def write(self, folder: Path) -> None:
        """``neural_collapse.json``, ``confusion.npz``, ``scenes.json`` and, last, ``metrics.json``."""
        write_json(folder / "neural_collapse.json", self.collapse)
        with whole_file(folder / "confusion.npz") as file:
            np.savez(file, counts=self.counts.numpy())
        write_json(folder / "scenes.json", self.scenes)
        write_json(folder / "metrics.json", self.scores)


def evaluate_scenes(
    predictor: Predictor,
    folders: Sequence[Path],
    space: LabelSpace,
    report_failed: ReportFailed | None = None,
) -> Evaluation:
    """Scores over all vertices, neural-collapse measures over all voxels of the scenes.

    Several processes (``ceco3d.utils.distributed``) share the scenes, and each returns the measures of all.
    report_failed  is told (scene, reason) of scenes that cannot be read, which are then left out; None: UserError
    """
    confusion = Confusion(len(space))
    weight, bias = predictor.classifier
    moments = ClassMoments(len(space), weight.shape[1], space.groups)
    scenes, before = {}, confusion.counts.clone()
    for name, _ in label_scenes(predictor, folders, space, confusion, moments, report_failed):
        scene = Confusion(len(space), confusion.counts - before)
        scenes[name], before = scene.miou, confusion.counts.clone()
    confusion.share()
    moments.share()
    scenes = dict(sorted(item for part in gather(scenes) for item in part.items()))
    scores, collapse = segmentation_scores(confusion, space), neural_collapse(moments, weight, bias)
    return Evaluation(scores, collapse, moments, confusion.counts, scenes)


def label_scenes(
    predictor: Predictor,
    folders: Sequence[Path],
    space: LabelSpace,
    confusion: Confusion,
    moments: ClassMoments | None = None,
    report_failed: ReportFailed | None = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """(scene name, (N,) predicted training indices) of each scene that is this process's to label.

    ``confusion`` takes in what has ground truth, ``moments`` the features of it; ``report_failed`` as above.
    """
    mine = range(rank(), len(folders), world())
    for number in track(mine, len(mine), "labelling scenes"):
        folder = folders[number]
        try:
            scene = read_scene(folder, space.name)
        except UserError as error:
            if report_failed is None:
                raise
            report_failed([(folder.name, str(error))])
            continue
        if moments is not None:
            moments.seed(number)
        labels, _ = predictor.predict(scene, moments)
        confusion.update(labels, scene.segment)
        yield folder.name, labels.numpy()
