"""Read the files of a finished run as checked plain values. UserError names the file and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.labels import LabelSpace, restored_space
from ceco3d.runs import metrics_csv
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_json, read_yaml

Scores = dict[str, dict[str, float | None]]  # IoU 0..1 by table and name, None where undefined
CLASSES = "classes.json"  # of a run: what the network predicts
HUGE = 1e30  # scores and measures beyond this are damage


@dataclass(frozen=True)
class RunConfig:
    """The identity of a run, from its ``config.yaml``.

    data   name of the dataset; for generated data also its size and seed
    space  label space that the run predicts
    """

    name: str
    seed: str
    data: str
    space: LabelSpace


def require_file(folder: Path, name: str) -> Path:
    """Return the path of the file ``name`` of the run in ``folder``; UserError if it is missing."""
    path = folder / name
    if not path.is_file():
        raise UserError(f"{path} is missing: {how_to_finish(folder)}")
    return path


def how_to_finish(folder: Path) -> str:
    """Return the advice that ends errors about missing or damaged files."""
    return f"finish the run with `python -m ceco3d.train run_dir={folder} resume=auto` and its other keys"


def damaged_file(path: Path, folder: Path, error: Exception) -> UserError:
    """Return the error to raise for the damaged file ``path`` of the run in ``folder``."""
    return UserError(f"{path} is damaged: {how_to_finish(folder)} ({one_line(error)})")


def read_config(folder: Path) -> RunConfig:
    """Read ``config.yaml`` of the run in ``folder``."""
    path = require_file(folder, "config.yaml")
    try:
        cfg = read_yaml(path)
    except (OSError, ValueError) as error:
        raise damaged_file(path, folder, error) from error
    name, seed = _text(path, cfg, "name"), _text(path, cfg, "seed", optional=True)
    dataset = cfg.get("dataset")
    data = [_text(path, dataset, "name", optional=True), _text(path, dataset, "size", optional=True)]
    generator_seed = _text(path, dataset, "seed", optional=True)
    space = _read_space(folder, path, dataset)
    return RunConfig(name, seed, " ".join(filter(None, [*data, generator_seed and f"seed {generator_seed}"])), space)


def _read_space(folder: Path, path: Path, dataset: Any) -> LabelSpace:
    """The classes in ``classes.json`` of a run, or in its configuration, as older versions have it."""
    classes = folder / CLASSES
    if not classes.exists():
        try:
            return restored_space(_text(path, dataset, "label_space"))
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    try:
        return restored_space(read_json(classes))
    except (OSError, ValueError) as error:
        raise damaged_file(classes, folder, error) from error


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
    try:
        content = read_json(path)
        found = {name: content[name] for name in tables}
        for table in found.values():
            if not all(value is None or _is_number(value) for value in table.values()):
                raise ValueError("an IoU is not a number")
            for column in columns:
                table[column]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged_file(path, folder, error) from error
    return found


@dataclass(frozen=True)
class EvaluationRecord:
    """How scores were measured, from ``evaluation.json``: the split, the number of views, and meters of a voxel."""

    split: str
    views: int
    voxel_size: float


def read_evaluation(folder: Path) -> EvaluationRecord | None:
    """Read ``evaluation.json`` beside a ``metrics.json``; None if there is none, as in folders of older versions."""
    path = folder / "evaluation.json"
    try:
        content = read_json(path)
        split, views, voxel_size = content["split"], content["views"], content["voxel_size"]
        if not (isinstance(split, str) and isinstance(views, list) and _is_number(voxel_size)):
            raise ValueError("it is not the record of an evaluation")
        return EvaluationRecord(one_line(split), len(views), float(voxel_size))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged_file(path, folder, error) from error


def read_collapse(folder: Path, keys: Sequence[str], of_centers: Sequence[str]) -> dict[str, float]:
    """Read neural-collapse measures over all classes: ``keys``, and ``of_centers`` of the centered class means.

    ``keys`` that the file lacks are omitted. Returns {} if the run had too few classes to measure.
    """
    path = require_file(folder, "neural_collapse.json")
    try:
        found = read_json(path)["all"]
        if found is None:
            return {}
        values = {key: found[key] for key in keys if key in found}
        values |= {key: found["centers"]["centred"][key] for key in of_centers}
        if not all(_is_number(value) for value in values.values()):
            raise ValueError("a measure is not a number")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged_file(path, folder, error) from error
    return values


def read_log(folder: Path) -> list[metrics_csv.Row]:
    """Read ``metrics.csv`` of the run in ``folder``; [] if it has none."""
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    try:
        return metrics_csv.read_rows(path)
    except (OSError, ValueError) as error:
        raise damaged_file(path, folder, error) from error


def read_curves(folder: Path) -> dict[str, np.ndarray]:
    """Return (n, 2) float64 step and value by column of ``metrics.csv``, where the value is finite; {} without it."""
    return metrics_csv.curves(read_log(folder))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and -HUGE < value < HUGE  # false for NaN
