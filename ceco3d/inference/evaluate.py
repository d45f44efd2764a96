"""Scores of a network on the vertices of labelled scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.inference.predictor import Predictor
from ceco3d.metrics import Confusion, segmentation_scores
from ceco3d.progress import track
from ceco3d.scenes.labels import LabelSpace
from ceco3d.scenes.processed import read_scene


def evaluate_scenes(predictor: Predictor, folders: Sequence[Path], space: LabelSpace) -> dict[str, Any]:
    """``metrics.segmentation_scores`` over all vertices of the scenes."""
    confusion = Confusion(len(space))
    for _ in label_scenes(predictor, folders, space, confusion):
        pass
    return segmentation_scores(confusion, space)


def label_scenes(
    predictor: Predictor, folders: Sequence[Path], space: LabelSpace, confusion: Confusion
) -> Iterator[tuple[str, np.ndarray]]:
    """(scene name, (N,) predicted training indices) of each scene; ``confusion`` takes in what has ground truth."""
    for folder in track(folders, len(folders), "labelling scenes"):
        scene = read_scene(folder, space.name)
        labels = predictor.labels(scene)
        confusion.update(labels, scene.segment)
        yield folder.name, labels.numpy()
