"""Submissions to ScanNet's benchmark.

A submission is a zip with one ``<scene>.txt`` per scene at its top level: one raw class id per line, in the order of
the vertices of ``<scene>_vh_clean_2.ply``.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ceco3d.data.labels import LabelSpace
from ceco3d.inference.evaluation import label_scenes
from ceco3d.inference.predictor import Predictor
from ceco3d.inference.segments import Segments
from ceco3d.metrics import Confusion, segmentation_scores
from ceco3d.metrics.tables import scores_markdown
from ceco3d.utils.atomic import encoded, json_bytes, whole_file, write_files

logger = logging.getLogger(__name__)


def export_submission(
    predictor: Predictor,
    folders: Sequence[Path],
    space: LabelSpace,
    out: Path,
    title: str,
    segments: Segments | None = None,
) -> dict[str, Any] | None:
    """Label the processed scenes in ``folders`` and write ``out/submission.zip``.

    Where the scenes have labels, also writes ``out/scores.json`` and ``out/scores.md``, a table with this ``title``,
    and returns the scores; otherwise returns None. ``segments`` as in ``evaluate_scenes``.
    """
    confusion, scores = Confusion(len(space)), None
    predictions = label_scenes(predictor, folders, space, confusion, segments=segments)
    with whole_file(out / "submission.zip") as file:
        vertices = _write_zip(file, predictions, space)
        if confusion.counts.any():  # before the zip gets its name: the disk may be full
            scores = segmentation_scores(confusion, space)
            table = encoded(scores_markdown(scores, space, title))
            write_files({out / "scores.json": json_bytes(scores), out / "scores.md": table})
    logger.info(f"{out / 'submission.zip'}: {len(vertices)} scenes, {sum(vertices.values()):,} vertices, checked")
    return scores


def write_submission(path: Path, predictions: Iterable[tuple[str, np.ndarray]], space: LabelSpace) -> dict[str, int]:
    """Write (scene name, (N,) training indices) pairs to the zip at ``path``; it appears once complete and checked.

    Returns the number of vertices of each scene. ValueError if the written file is not a valid submission.
    """
    with whole_file(path) as file:
        return _write_zip(file, predictions, space)


def _write_zip(file: BinaryIO, predictions: Iterable[tuple[str, np.ndarray]], space: LabelSpace) -> dict[str, int]:
    """``write_submission`` to an open file."""
    ids = np.array(space.ids)
    vertices: dict[str, int] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for scene, labels in predictions:
            archive.writestr(f"{scene}.txt", "\n".join(map(str, ids[labels].tolist())) + "\n")
            vertices[scene] = len(labels)
    file.flush()
    check_submission(Path(file.name), vertices, space)
    return vertices


def check_submission(path: Path, vertices: Mapping[str, int], space: LabelSpace) -> None:
    """ValueError unless the zip has exactly the scenes of ``vertices`` and one valid raw id per vertex."""
    valid = np.array(space.ids)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        expected = {f"{scene}.txt" for scene in vertices}
        if len(names) != len(set(names)) or set(names) != expected:
            raise ValueError(f"{path}: scenes differ from the split: {sorted(set(names) ^ expected)[:3]}")
        for scene, count in vertices.items():
            lines = archive.read(f"{scene}.txt").decode("ascii").splitlines()
            if len(lines) != count:
                raise ValueError(f"{path}: {scene}.txt has {len(lines)} lines for {count} vertices")
            wrong = np.setdiff1d(np.array(lines, np.int64), valid)
            if len(wrong):
                raise ValueError(f"{path}: {scene}.txt has ids outside {space.name}: {wrong[:3].tolist()}")
