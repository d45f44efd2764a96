"""A submission for a split, and its scores where the split has labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.inference.evaluate import label_scenes
from ceco3d.inference.predictor import Predictor
from ceco3d.inference.submission import write_submission
from ceco3d.metrics import Confusion, segmentation_scores
from ceco3d.metrics.tables import scores_markdown
from ceco3d.utils.atomic import write_json, write_text


def export_scenes(
    predictor: Predictor, folders: Sequence[Path], space: LabelSpace, out: Path, title: str
) -> dict | None:
    """Write ``out/submission.zip`` and, where vertices have labels, ``out/scores.json`` and ``out/scores.md``.

    title  of the run in the table of scores
    Returns the scores, or None without labels.
    """
    confusion = Confusion(len(space))
    predictions = label_scenes(predictor, folders, space, confusion)
    vertices = write_submission(out / "submission.zip", predictions, space)
    print(f"{out / 'submission.zip'}: {len(vertices)} scenes, {sum(vertices.values()):,} vertices, checked")
    if not confusion.counts.any():
        return None
    scores = segmentation_scores(confusion, space)
    write_json(out / "scores.json", scores)
    write_text(out / "scores.md", scores_markdown(scores, space, title))
    return scores
