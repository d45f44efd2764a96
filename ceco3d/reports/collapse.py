"""What the pictures of neural collapse show: runs read from their folders, and the geometry of their classes."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.runs.folder import damaged, existing, read_config, read_scores, remedy
from ceco3d.runs.naming import run_labels
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_npz

ARRAYS = ("centers", "classifiers", "counts", "train_counts", "features", "feature_labels")
CURVES = ("val_equiangularity", "val_separation")
# One class per stick: the default choice takes so many of each group.
QUOTA = {"head": 1, "common": 2, "tail": 1}
# The simplex ETF of 4 classes in space: (4, 3) unit rows, pairwise cosines -1/3; every other corner of a cube.
TETRAHEDRON = np.array([[-1, -1, 1], [1, 1, 1], [-1, 1, -1], [1, -1, -1]]) / 3**0.5


@dataclass(frozen=True)
class Run:
    """A finished run, K classes, d feature channels.

    label           what pictures call it
    curves          (V,) float64 of "epoch" and each of CURVES, at its V validations
    iou             (K,) float64, NaN where undefined
    centers         (K, d) float64 class means of the features of the validation split, NaN for absent classes
    classifiers     (K, d) rows of the point classifier
    counts          (K,) validation points; ``train_counts`` (K,) training points
    features        (n, d) sample of point features; ``feature_labels`` (n,) their training indices
    """

    label: str
    space: LabelSpace
    curves: dict[str, np.ndarray]
    iou: np.ndarray
    centers: np.ndarray
    classifiers: np.ndarray
    counts: np.ndarray
    train_counts: np.ndarray
    features: np.ndarray
    feature_labels: np.ndarray

    @property
    def slug(self) -> str:
        """The label as a part of file names."""
        return re.sub(r"[^\w.]+", "-", self.label).strip("-")


def read_runs(folders: Sequence[Path], labels: Sequence[str] | None = None) -> list[Run]:
    """The runs in ``folders``, called ``labels`` or else by their names (and folders, where names repeat).

    UserError when a file is missing or damaged, when two labels give the same file names, or label spaces differ.
    """
    labels = run_labels(folders, labels)
    runs = [_read_run(folder, label) for folder, label in zip(folders, labels, strict=True)]
    if len({run.slug.lower() for run in runs} - {""}) < len(runs):
        raise UserError(f"labels={list(labels)}: file names need them to differ; set labels=[...]")
    if len({run.space.name for run in runs}) > 1:
        raise UserError(f"runs: of different classes, {', '.join(f'{run.label} {run.space.name}' for run in runs)}")
    return runs


def _read_run(folder: Path, label: str) -> Run:
    space = read_config(folder).space
    per_class = read_scores(existing(folder, "metrics.json"), folder, ("per_class",))["per_class"]
    iou = np.array([per_class.get(name) for name in space.names], np.float64)  # None becomes NaN
    return Run(label=label, space=space, curves=_read_curves(folder), iou=iou, **_read_arrays(folder, space))


def _read_curves(folder: Path) -> dict[str, np.ndarray]:
    path = existing(folder, "metrics.csv")
    columns = ("epoch", *CURVES)
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for column in columns:
            if not any(row.get(column) for row in rows):
                raise UserError(f"{path} has no values of {column}: {remedy(folder)}")
        validated = [row for row in rows if all(row[column] for column in columns)]
        return {column: np.array([float(row[column]) for row in validated]) for column in columns}
    except (OSError, ValueError, csv.Error) as error:
        raise damaged(path, folder, error) from error


def _read_arrays(folder: Path, space: LabelSpace) -> dict[str, np.ndarray]:
    path = existing(folder, "collapse.npz")
    try:
        arrays = read_npz(path, ARRAYS)
    except (OSError, ValueError) as error:
        raise damaged(path, folder, error) from error
    width = arrays["centers"].shape[1:]
    shapes = [(len(space), *width)] * 2 + [(len(space),)] * 2
    samples = len(arrays["features"]) if arrays["features"].ndim else 0
    shapes += [(samples, *width), (samples,)]
    if len(width) != 1 or [arrays[name].shape for name in ARRAYS] != shapes:
        raise UserError(f"{path} is not of the {len(space)} classes of {space.name}: {remedy(folder)}")
    if any(array.dtype.kind not in "fiu" for array in arrays.values()):
        raise damaged(path, folder, ValueError("arrays of other things than numbers"))
    present = arrays["counts"] > 0
    if present.sum() < 4 or not np.isfinite(arrays["centers"][present]).all():
        raise UserError(f"{path}: the pictures need finite centres of four classes; use a run on more scenes")
    return arrays


def class_groups(run: Run) -> dict[str, np.ndarray]:
    """Training indices of the classes with validation points by group, the most frequent in training first.

    Head, common, tail; "all" in a label space without groups. Empty groups are left out.
    """
    groups = {}
    for name, members in (run.space.groups or {"all": range(len(run.space))}).items():
        present = np.array([k for k in members if run.counts[k] > 0], np.int64)
        if len(present):
            groups[name] = present[np.argsort(-run.train_counts[present], kind="stable")]
    return groups


def centred_centers(run: Run, classes: np.ndarray) -> np.ndarray:
    """(S, d) centres of ``classes`` minus the mean of the centres of all classes with validation points."""
    return run.centers[classes] - run.centers[run.counts > 0].mean(0)


def choose_classes(runs: Sequence[Run], names: Sequence[str] | None = None) -> np.ndarray:
    """(4,) training indices of ``names``; by default QUOTA of each group, those with most validation points.

    Where a group has too few (or the label space no groups), the other classes with the most points fill up. Only
    classes that occur in all runs; UserError for names that are unknown or absent, or not four.
    """
    space, points = runs[0].space, np.min([run.counts for run in runs], axis=0)
    if names is None:
        frequent = [int(k) for k in np.argsort(-points, kind="stable") if points[k] > 0]
        chosen = []
        for group, number in QUOTA.items():
            chosen += [k for k in frequent if k in space.groups.get(group, ())][:number]
        chosen += [k for k in frequent if k not in chosen][: 4 - len(chosen)]
    else:
        unknown = [name for name in names if name not in space.names]
        if unknown:
            raise UserError(f"classes: {', '.join(map(repr, unknown))} not in {space.name}; names are as in scores.md")
        chosen = [space.names.index(name) for name in names]
        absent = [space.names[k] for k in chosen if not points[k]]
        if absent:
            raise UserError(f"classes: no validation points of {', '.join(absent)}; choose others")
    if len(set(chosen)) != 4:
        raise UserError(f"classes={[space.names[k] for k in chosen]}: the figure needs four different classes")
    return np.array(chosen)


@dataclass(frozen=True)
class Sticks:
    """Four classes in space, in the frame of TETRAHEDRON, their simplex ETF.

    centers (4, 3), classifiers (4, 3), features (m, 3), feature_classes (m,) int64 rows 0..3 of the others
    """

    centers: np.ndarray
    classifiers: np.ndarray
    features: np.ndarray
    feature_classes: np.ndarray


def project(run: Run, classes: np.ndarray) -> Sticks:
    """The (4,) ``classes`` of a run, and their features, projected to space.

    M, the centres minus their mean, spans three dimensions: the projection onto these keeps all their angles and
    lengths. It is turned to the tetrahedron T by orthogonal Procrustes (Schönemann 1966): of all P (d, 3) with
    orthonormal columns in that span, the one that minimises ``|s M P - T|``. Classifiers, minus their own mean, go
    through the same P; what of them lies outside the span is not seen. Centres and classifiers are scaled to a mean
    length of 1 in d dimensions, features like the centres.
    """
    origin = run.centers[classes].mean(0)
    centers = run.centers[classes] - origin
    classifiers = run.classifiers[classes] - run.classifiers[classes].mean(0)
    rows, feature_classes = np.nonzero(run.feature_labels[:, None] == classes)
    left, _, right = np.linalg.svd(centers.T @ TETRAHEDRON, full_matrices=False)
    projection = left @ right
    length, classifier_length = (np.linalg.norm(vectors, axis=1).mean() for vectors in (centers, classifiers))
    return Sticks(
        centers=centers @ projection / length,
        classifiers=classifiers @ projection / classifier_length,
        features=(run.features[rows] - origin) @ projection / length,
        feature_classes=feature_classes,
    )
