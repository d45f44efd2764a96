"""Scores of a network on the vertices of labelled scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ceco3d.inference.predictor import Predictor
from ceco3d.metrics import Confusion, segmentation_scores
from ceco3d.progress import track
from ceco3d.scenes.labels import LabelSpace
from ceco3d.scenes.processed import read_scene


def evaluate_scenes(predictor: Predictor, folders: Sequence[Path], space: LabelSpace) -> dict[str, Any]:
    """``metrics.segmentation_scores`` over all vertices of the scenes."""
    confusion = Confusion(len(space))
    for folder in track(folders, len(folders), "evaluating"):
        scene = read_scene(folder, space.name)
        confusion.update(predictor.labels(scene), scene.segment)
    return segmentation_scores(confusion, space)
