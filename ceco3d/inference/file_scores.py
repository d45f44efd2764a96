"""Score labeled files of any program against files with the truth."""

from __future__ import annotations

import glob
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ceco3d.data.labels import LabelSpace, read_classes
from ceco3d.data.pointclouds.files import READERS
from ceco3d.metrics import Confusion, segmentation_scores
from ceco3d.preprocessing.labeled.classes import found_classes, unknown_labels
from ceco3d.preprocessing.labeled.findings import Findings
from ceco3d.preprocessing.labeled.folder import FolderLayout
from ceco3d.preprocessing.labeled.label_files import ENDINGS, read_label_file
from ceco3d.preprocessing.labeled.layout import RawScan
from ceco3d.preprocessing.labeled.points import training_index
from ceco3d.utils.errors import UserError
from ceco3d.utils.progress import track
from ceco3d.utils.untrusted import read_npy

logger = logging.getLogger(__name__)

NEAR = 0.01  # by which coordinates of the same point may differ, beyond rounding: LAS files often have centimeters
NUMBER = re.compile(rb"(?<![^\s,;])[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?(?![^\s,;])")
ALONE = ENDINGS[:5]  # of files that have labels but no points
SHOWN = 5  # unknown labels in a warning


@dataclass(frozen=True)
class LabeledFile:
    """Labels (N,) as the file has them, raw ids or raw names, and the coordinates (N, 3) if it has them."""

    path: Path
    labels: np.ndarray
    coord: np.ndarray | None


def score_files(pred: Sequence[str], truth: Sequence[str], classes: Path | None) -> tuple[dict[str, Any], LabelSpace]:
    """The scores (``segmentation_scores``) of the files ``pred`` against ``truth``, and the classes.

    Files, folders and patterns; a file of one is compared with the file of the other of the same name, point by point.
    classes  a class file; None: the labels that occur in the truth
    UserError if files lack a partner or labels, or two of a pair differ in their points.
    """
    pairs = pair_files(find_files(pred, "pred"), find_files(truth, "truth"))
    space = read_classes(classes) if classes is not None else _found_space([second for _, second in pairs])
    confusion = Confusion(len(space))
    unknown = Counter[str]()
    for first, second in track(pairs, len(pairs), "comparing files"):
        found, right = read_labels(first), read_labels(second)
        check_same_points(found, right)
        _refuse_unknown(right, space, classes)
        unknown.update(unknown_labels(space, [_findings(found)]))
        target = torch.from_numpy(training_index(right.labels, space).astype(np.int64))
        confusion.update(torch.from_numpy(training_index(found.labels, space).astype(np.int64)), target)
    if unknown:
        listed = ", ".join(f"{raw} ({count:,} points)" for raw, count in unknown.most_common(SHOWN))
        logger.warning(f"predicted labels that are no class count as wrong: {listed}")
    if not confusion.counts.any():
        raise UserError(f"truth={','.join(truth)}: no point has a label of a class")
    return segmentation_scores(confusion, space), space


def find_files(inputs: Sequence[str], key: str) -> list[Path]:
    """Scans and label files; UserError if an entry names none."""
    found: list[Path] = []
    for entry in inputs:
        path = Path(entry)
        candidates = sorted(path.iterdir()) if path.is_dir() and not _is_scene(path) else [path]
        if not path.exists():
            candidates = sorted(map(Path, glob.glob(entry, recursive=True)))
        kept = [p for p in candidates if p.exists() and not p.name.startswith(".") and _is_labeled(p)]
        if not kept:
            raise UserError(f"{key}={entry}: no labeled file there; give files, folders or patterns")
        found += kept
    return list(dict.fromkeys(found))


def _is_scene(path: Path) -> bool:
    return (path / "coord.npy").is_file()


def _is_labeled(path: Path) -> bool:
    return _is_scene(path) or path.name.endswith(ENDINGS) or path.suffix.lower() in READERS


def stem(path: Path) -> str:
    """The name by which files belong together: room.ply, room.labels.txt and room.label are "room"."""
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), path.suffix if path.is_file() else "")
    return path.name.removesuffix(ending)


def pair_files(pred: Sequence[Path], truth: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The files of both that belong together; UserError if one of ``pred`` has no partner.

    Of several files with one name, such as those that ceco3d.predict writes, the first with points counts, else the
    first.
    """
    mine, theirs = _by_stem(pred), _by_stem(truth)
    if len(mine) == len(theirs) == 1:
        return list(zip(mine.values(), theirs.values(), strict=True))
    missing = sorted(mine.keys() - theirs.keys())
    if missing:
        raise UserError(f"pred: no truth for {len(missing)} of {len(mine)} files, such as {mine[missing[0]]}")
    left = sorted(theirs.keys() - mine.keys())
    if left:
        logger.warning(f"truth: {len(left)} files have no prediction and do not count, such as {theirs[left[0]]}")
    return [(mine[name], theirs[name]) for name in sorted(mine)]


def _by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: path.name.endswith(ALONE)):
        found.setdefault(stem(path), path)
    return found


def read_labels(path: Path) -> LabeledFile:
    """The labels of a scan or of a file with one label per point. UserError if it has none."""
    if _holds_labels_alone(path):
        return LabeledFile(path, read_label_file(path, None)[0], None)
    points = FolderLayout(path.parent).read(RawScan(path.stem, "test", (path,)))
    if points.labels is None:
        raise UserError(f"{path}: has no labels; name their column label, or add {path.stem}.labels.txt beside it")
    return LabeledFile(path, points.labels, points.scan.coord)


def _holds_labels_alone(path: Path) -> bool:
    """Whether a file has labels but no points."""
    if path.is_dir():
        return False
    if path.name.endswith(ALONE):
        return True
    if path.suffix.lower() == ".npy":
        try:
            array = read_npy(path)
        except (OSError, ValueError):
            return False
        return array.dtype.names is None and (array.ndim == 1 or array.shape[1:] == (1,))
    if path.suffix.lower() not in (".txt", ".csv"):
        return False
    with path.open("rb") as file:
        lines = file.read(4096).splitlines()[:20]
    return bool(lines) and not any(len(NUMBER.findall(line)) >= 3 for line in lines)  # the coordinates of a point


def check_same_points(found: LabeledFile, right: LabeledFile) -> None:
    """UserError if two files differ in the number, order or place of their points."""
    if len(found.labels) != len(right.labels):
        raise UserError(
            f"{found.path} has {len(found.labels):,} points, {right.path} {len(right.labels):,}: files of other points "
            "cannot be compared"
        )
    if found.coord is None or right.coord is None:
        return
    with np.errstate(invalid="ignore"):
        rounding = max(np.finfo(coord.dtype).eps for coord in (found.coord, right.coord)) * np.abs(right.coord)
        apart = (np.abs(found.coord.astype(np.float64) - right.coord) > NEAR + rounding).any(1)
    if apart.any():
        row = int(apart.argmax())
        raise UserError(
            f"{found.path} and {right.path} have {int(apart.sum()):,} points in other places, first point {row}: "
            "bring them into the same order, unit and axes"
        )


def _findings(file: LabeledFile) -> Findings:
    values, counts = np.unique(file.labels, return_counts=True)
    labels = {str(value): int(count) for value, count in zip(values.tolist(), counts.tolist(), strict=True)}
    return Findings(points=len(file.labels), labels=labels, names=file.labels.dtype.kind == "U")


def _found_space(paths: Sequence[Path]) -> LabelSpace:
    las = all(path.suffix.lower() in (".las", ".laz") for path in paths)
    return found_classes("classes of the truth", [_findings(read_labels(path)) for path in paths], las)


def _refuse_unknown(file: LabeledFile, space: LabelSpace, classes: Path | None) -> None:
    unknown = unknown_labels(space, [_findings(file)])
    if unknown:
        listed = ", ".join(f"{raw} ({count:,} points)" for raw, count in list(unknown.items())[:SHOWN])
        raise UserError(f"{file.path}: labels that are no class of {classes}: {listed}; add or ignore them there")
