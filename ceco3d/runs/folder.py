"""Read the files of a finished run as checked plain values. UserError names the file and what to do."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.labels import GROUPS, LabelSpace, restored_space
from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.runs import metrics_csv
from ceco3d.runs.checked import counts, entry, number, reading_file, require_file, share, table
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_json, read_npz, read_yaml

Scores = dict[str, dict[str, float | None]]  # IoU 0..1 by table and name, None where undefined
CLASSES = "classes.json"  # of a run: what the network predicts
MOST_BINS = 1000  # of confidence


@dataclass(frozen=True)
class RunConfig:
    """The identity of a run, from its ``config.yaml``.

    data       name of the dataset; for generated data also its size, imbalance and seed
    space      label space that the run predicts
    imbalance  of the training objects, "" if the data set has no such key
    """

    name: str
    seed: str
    data: str
    space: LabelSpace
    imbalance: str = ""


def read_config(folder: Path) -> RunConfig:
    """Read ``config.yaml`` of the run in ``folder``."""
    path = require_file(folder, "config.yaml")
    with reading_file(path, folder):
        cfg = read_yaml(path)
    name, seed = _text(path, cfg, "name"), _text(path, cfg, "seed", optional=True)
    dataset = cfg.get("dataset")
    data = [_text(path, dataset, "name", optional=True), _text(path, dataset, "size", optional=True)]
    imbalance = _text(path, dataset, "imbalance", optional=True)
    generator_seed = _text(path, dataset, "seed", optional=True)
    data += [imbalance and f"imbalance {imbalance}", generator_seed and f"seed {generator_seed}"]
    return RunConfig(name, seed, " ".join(filter(None, data)), _read_space(folder, path, dataset), imbalance)


def _read_space(folder: Path, path: Path, dataset: Any) -> LabelSpace:
    """The classes in ``classes.json`` of a run, or in its configuration, as older versions have it."""
    classes = folder / CLASSES
    if not classes.exists():
        try:
            return restored_space(_text(path, dataset, "label_space"))
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    with reading_file(classes, folder):
        return restored_space(read_json(classes))


def _text(path: Path, mapping: Any, key: str, optional: bool = False) -> str:
    """Return the string or number at ``key`` as text; "" if it is optional and absent."""
    value = mapping.get(key) if isinstance(mapping, Mapping) else None
    if value is None and optional:
        return ""
    text = str(value) if isinstance(value, str | int | float) else ""
    if not text or len(text) > 100 or not text.isprintable():
        raise UserError(f"{path} has no {key} in one line: pass the folder of a run of `python -m ceco3d.train`")
    return text


def read_scores(path: Path, folder: Path, tables: Sequence[str], columns: Sequence[str] = ()) -> Scores:
    """Read ``tables`` (miou, per_class, ...) of a ``metrics.json``: IoU in 0..1 by name, None where undefined.

    Every table must have at least ``columns``.
    """
    with reading_file(path, folder):
        content = read_json(path)
        for name in tables:
            for column in columns:
                entry(content, name, column)
        return {name: _shares(table(content, name), f"{name}.") for name in tables}


@dataclass(frozen=True)
class Bin:
    """Points of about the same confidence: how many, their mean confidence, and the share that is right, 0..1."""

    points: int
    confidence: float
    accuracy: float


def read_calibration(folder: Path) -> list[Bin]:
    """The bins of ``metrics.json``, the least confident first; [] if there are none."""
    path = folder / "metrics.json"
    if not path.is_file():
        return []
    with reading_file(path, folder):
        rows = table(read_json(path)).get("calibration", [])
        if not isinstance(rows, list) or len(rows) > MOST_BINS:
            raise ValueError(f"calibration is not a list of at most {MOST_BINS} bins")
        return [_bin(row, f"calibration.{k}") for k, row in enumerate(rows)]


def _bin(row: Any, key: str) -> Bin:
    points = number(entry(row, "points"), f"{key}.points")
    if points < 0 or points != int(points):
        raise ValueError(f"{key}.points={points} is no number of points")
    return Bin(int(points), *(share(entry(row, name), f"{key}.{name}") for name in ("confidence", "accuracy")))


def read_all_scores(folder: Path) -> dict[str, Any]:
    """Read the whole ``metrics.json`` of a run, also the parts of a joint training, as it was written."""
    path = require_file(folder, "metrics.json")
    with reading_file(path, folder):
        content = dict(table(read_json(path)))
        for scores in (content, *(table(content, "parts").values() if "parts" in content else ())):
            for mean in ("miou", *GROUPS):
                for convention in CONVENTIONS:
                    entry(scores, mean, convention)
                _shares(table(scores, mean), f"{mean}.")
            _shares(table(scores, "per_class"), "per_class.")
        return content


def _shares(values: Mapping[str, Any], prefix: str = "") -> dict[str, float | None]:
    return {key: None if value is None else share(value, prefix + key) for key, value in values.items()}


def read_scene_scores(folder: Path) -> dict[str, float] | None:
    """Read ``scenes.json``: mIoU in 0..1 by scene, for the scenes that have one; None without the file."""
    path = folder / "scenes.json"
    if not path.is_file():
        return None
    with reading_file(path, folder):
        return {name: value for name, value in _shares(table(read_json(path))).items() if value is not None}


@dataclass(frozen=True)
class RoomSums:
    """Of every scored scene: points of each of the C ``classes`` that occur in them, see ``metrics.Confusion.sums``.

    classes  (C,) training indices
    sums     (scenes, 3, C) int64
    """

    classes: np.ndarray
    sums: np.ndarray


def read_room_sums(folder: Path, space: LabelSpace) -> RoomSums | None:
    """Read the scenes of ``confusion.npz``; None without any, as in runs of older versions."""
    path = folder / "confusion.npz"
    if not path.exists():
        return None
    with reading_file(path, folder):
        with zipfile.ZipFile(path) as archive:
            if "scenes.npy" not in archive.namelist():
                return None
        arrays = read_npz(path, ("classes", "scenes"))
        classes, sums = counts(arrays["classes"], "classes"), counts(arrays["scenes"], "scenes")
        if classes.ndim != 1 or sums.ndim != 3 or sums.shape[1:] != (3, len(classes)):
            raise ValueError(f"scenes has the shape {sums.shape}, with {classes.shape} classes")
        if (classes >= len(space)).any() or len(set(classes.tolist())) < len(classes):
            raise ValueError("classes are not different training indices")
        return RoomSums(classes, sums) if sums.size else None


def read_environment(folder: Path) -> dict[str, str]:
    """Read ``environment.json`` as text by name; {} without the file."""
    path = folder / "environment.json"
    if not path.exists():
        return {}
    with reading_file(path, folder):
        return {name: str(value) for name, value in table(read_json(path)).items()}


@dataclass(frozen=True)
class EvaluationRecord:
    """How scores were measured, from ``evaluation.json``.

    split       that was scored
    views       of each scene, whose probabilities were averaged
    voxel_size  meters; None if the record does not say
    fragments   passes in each view at most, None for as many as the fullest voxel had points
    """

    split: str
    views: int
    voxel_size: float | None
    fragments: int | None = 1


def read_evaluation(folder: Path) -> EvaluationRecord | None:
    """Read ``evaluation.json`` beside a ``metrics.json``; None if there is none, as in folders of older versions."""
    path = folder / "evaluation.json"
    if not path.exists():
        return None
    with reading_file(path, folder):
        content = read_json(path)
        split, views, voxel_size = entry(content, "split"), entry(content, "views"), content.get("voxel_size")
        if not isinstance(split, str) or not isinstance(views, list):
            raise ValueError("split is not a text, or views is not a list")
        size = None if voxel_size is None else number(voxel_size, "voxel_size")
        fragments = content.get("fragments", 1)  # older versions had none
        if fragments is not None and (isinstance(fragments, bool) or not isinstance(fragments, int)):
            raise ValueError("fragments is neither a whole number nor null")
        return EvaluationRecord(one_line(split), len(views), size, fragments)


def read_collapse(folder: Path, keys: Sequence[str], of_centers: Sequence[str]) -> dict[str, float]:
    """Read neural-collapse measures over all classes: ``keys``, and ``of_centers`` of the centered class means.

    ``keys`` that the file lacks are omitted. Returns {} if the run had too few classes to measure.
    """
    path = require_file(folder, "neural_collapse.json")
    with reading_file(path, folder):
        content = read_json(path)
        if entry(content, "all") is None:
            return {}
        found = table(content, "all")
        values = {key: number(found[key], f"all.{key}") for key in keys if key in found}
        centers = {key: entry(content, "all", "centers", "centred", key) for key in of_centers}
        return values | {key: number(value, f"all.centers.centred.{key}") for key, value in centers.items()}


def read_adjusted(folder: Path, tau: float = 1.0) -> dict[str, float | None]:
    """Read scores with logits adjusted after the training: IoU in 0..1, for "all" classes and for each group.

    {} unless ``python -m ceco3d.diagnose`` measured them at this ``tau``.
    """
    path = folder / "diagnose" / "diagnosis.json"
    if not path.exists():
        return {}
    with reading_file(path, folder, "run `python -m ceco3d.diagnose` again"):
        sweep = table(read_json(path), "sweep")
        return _shares(table(sweep, str(tau)), "sweep.") if str(tau) in sweep else {}


def read_log(folder: Path) -> list[metrics_csv.Row]:
    """Read ``metrics.csv`` of the run in ``folder``; [] if it has none."""
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    with reading_file(path, folder):
        return metrics_csv.read_rows(path)


def read_curves(folder: Path) -> dict[str, np.ndarray]:
    """Return (n, 2) float64 step and value by column of ``metrics.csv``, where the value is finite; {} without it."""
    return metrics_csv.curves(read_log(folder))
