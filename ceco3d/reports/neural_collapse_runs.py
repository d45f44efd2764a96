"""Read finished runs for the figures of neural collapse."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ceco3d.data.labels import LabelSpace
from ceco3d.runs.checked import HUGE, counts, finite, how_to_finish, reading_file, require_file
from ceco3d.runs.folder import read_config, read_log, read_scores
from ceco3d.runs.naming import run_labels
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_npz

ARRAYS = ("centers", "classifiers", "counts", "train_counts", "features", "feature_labels")
MOST = 1e15  # of a feature channel; squares of more leave the range of float32
CURVES = ("val_equiangularity", "val_separation")


@dataclass(frozen=True)
class Run:
    """A finished run with K classes and d feature channels.

    label           display name
    curves          (V,) float64 for "epoch" and each of CURVES, at its V validations
    iou             (K,) float64, NaN where undefined
    centers         (K, d) float64 class centers: mean validation feature of each class, NaN for absent classes
    classifiers     (K, d) rows of the point classifier
    counts          (K,) validation points
    train_counts    (K,) training points
    features        (n, d) sample of point features
    feature_labels  (n,) training index of each sampled feature
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
        """The label in a form that fits into file names."""
        return re.sub(r"[^\w.]+", "-", self.label).strip("-")


def read_runs(folders: Sequence[Path], labels: Sequence[str] | None = None) -> list[Run]:
    """Read the runs in ``folders``, displayed as ``labels`` or by default as their names.

    Raises UserError if a file is missing or damaged, if two labels give the same file name, or if label spaces differ.
    """
    labels = run_labels(folders, labels)
    runs = [_read_run(folder, label) for folder, label in zip(folders, labels, strict=True)]
    if len({run.slug.lower() for run in runs} - {""}) < len(runs):
        raise UserError(f"labels={list(labels)}: file names need them to differ; set labels=[...]")
    if len({run.space.name for run in runs}) > 1:
        spaces = ", ".join(f"{run.label}: {run.space.name}" for run in runs)
        raise UserError(f"runs: label spaces differ ({spaces}); choose runs of one label space")
    return runs


def _read_run(folder: Path, label: str) -> Run:
    space = read_config(folder).space
    per_class = read_scores(require_file(folder, "metrics.json"), folder, ("per_class",))["per_class"]
    iou = np.array([per_class.get(name) for name in space.names], np.float64)  # None becomes NaN
    return Run(label=label, space=space, curves=_read_curves(folder), iou=iou, **_read_arrays(folder, space))


def _read_curves(folder: Path) -> dict[str, np.ndarray]:
    path = require_file(folder, "metrics.csv")
    columns = ("epoch", *CURVES)
    rows = read_log(folder)
    for column in columns:
        if not any(abs(row.get(column, HUGE)) < HUGE for row in rows):
            raise UserError(f"{path} has no values of {column}: {how_to_finish(folder)}")
    validations = [row for row in rows if row.keys() >= set(columns)]
    with reading_file(path, folder):
        return {column: _finite_or_nan(column, [row[column] for row in validations]) for column in columns}


def _finite_or_nan(column: str, values: list[float]) -> np.ndarray:
    """(V,) float64; ValueError if a value is infinite or beyond HUGE."""
    found = np.array(values, np.float64)
    finite(np.nan_to_num(found, nan=0.0, posinf=np.inf, neginf=-np.inf), column)
    return found


def _read_arrays(folder: Path, space: LabelSpace) -> dict[str, np.ndarray]:
    path = require_file(folder, "collapse.npz")
    with reading_file(path, folder):
        arrays = read_npz(path, ARRAYS)
    width = arrays["centers"].shape[1:]
    shapes = [(len(space), *width)] * 2 + [(len(space),)] * 2
    samples = len(arrays["features"]) if arrays["features"].ndim else 0
    shapes += [(samples, *width), (samples,)]
    if len(width) != 1 or [arrays[name].shape for name in ARRAYS] != shapes:
        raise UserError(f"{path} does not fit the {len(space)} classes of {space.name}: {how_to_finish(folder)}")
    with reading_file(path, folder):
        for name in ("counts", "train_counts"):
            arrays[name] = counts(arrays[name], name)
        for name in ("classifiers", "features", "feature_labels"):
            finite(arrays[name], name, MOST)
        if arrays["centers"].dtype.kind not in "iuf":
            raise ValueError("centers holds something other than numbers")
    present = arrays["counts"] > 0
    centers = arrays["centers"] = arrays["centers"].astype(np.float64)
    if present.sum() < 4 or not (np.abs(centers[present]) < MOST).all():
        raise UserError(f"{path}: the figures need finite centers of four classes; use a run on more scenes")
    if not (np.linalg.norm(centers[present] - centers[present].mean(0), axis=1) > 0).all():
        raise UserError(f"{path}: centers of classes coincide with their mean; use a run that was trained longer")
    return arrays
