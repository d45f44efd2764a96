"""The files of a finished run that tables and pictures read, as checked plain values; UserError names what is wrong."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.scenes.labels import LabelSpace, label_space
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_json, read_yaml

HUGE = 1e30


@dataclass(frozen=True)
class RunConfig:
    """What ``config.yaml`` says of a run: its name and seed, the data set (of a generated one size and seed, too)."""

    name: str
    seed: str
    data: str
    space: LabelSpace


def existing(folder: Path, name: str) -> Path:
    """The path of a file of the run in ``folder``; UserError when it is missing."""
    path = folder / name
    if not path.is_file():
        raise UserError(f"{path} is missing: {remedy(folder)}")
    return path


def remedy(folder: Path) -> str:
    """What to do about a missing or damaged file."""
    return f"finish the run with `python -m ceco3d.train run_dir={folder} resume=auto` and its other keys"


def damaged(path: Path, folder: Path, error: Exception) -> UserError:
    """The error for a damaged file of the run in ``folder``."""
    return UserError(f"{path} is damaged: {remedy(folder)} ({one_line(error)})")


def read_config(folder: Path) -> RunConfig:
    """The configuration of the run in ``folder``."""
    path = existing(folder, "config.yaml")
    try:
        cfg = read_yaml(path)
    except (OSError, ValueError) as error:
        raise damaged(path, folder, error) from error
    name, seed = _text(path, cfg, "name"), _text(path, cfg, "seed", optional=True)
    dataset = cfg.get("dataset")
    data = [_text(path, dataset, "name", optional=True), _text(path, dataset, "size", optional=True)]
    drawn = _text(path, dataset, "seed", optional=True)
    try:
        space = label_space(_text(path, dataset, "label_space"))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return RunConfig(name, seed, " ".join(filter(None, [*data, drawn and f"seed {drawn}"])), space)


def _text(path: Path, mapping: Any, key: str, optional: bool = False) -> str:
    """The text or number at ``key``, as text; "" where it is optional and not there."""
    value = mapping.get(key) if isinstance(mapping, Mapping) else None
    if value is None and optional:
        return ""
    text = str(value) if isinstance(value, str | int | float) else ""
    if not text or len(text) > 100 or not text.isprintable():
        raise UserError(f"{path} has no {key} in one line: pass the folder of a run of `python -m ceco3d.train`")
    return text


def read_scores(path: Path, folder: Path, tables: Sequence[str], columns: Sequence[str] = ()) -> dict[str, dict]:
    """Of a ``metrics.json`` the ``tables`` (miou, per_class, ...): IoU in 0..1 by name, None where it is undefined.

    Each table has the ``columns`` at least.
    """
    try:
        content = read_json(path)
        found = {name: content[name] for name in tables}
        for table in found.values():
            if not all(value is None or _number(value) for value in table.values()):
                raise ValueError("an IoU is not a number")
            for column in columns:
                table[column]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, folder, error) from error
    return found


def read_collapse(folder: Path, keys: Sequence[str], of_centers: Sequence[str]) -> dict[str, float]:
    """The neural-collapse measures ``keys``, and those of the centred class centres, over all classes.

    Measures that are not there are left out; none at all where the run had too few classes.
    """
    path = existing(folder, "neural_collapse.json")
    try:
        found = read_json(path)["all"]
        if found is None:
            return {}
        values = {key: found[key] for key in keys if key in found}
        values |= {key: found["centers"]["centred"][key] for key in of_centers}
        if not all(_number(value) for value in values.values()):
            raise ValueError("a measure is not a number")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, folder, error) from error
    return values


def read_curves(folder: Path) -> dict[str, np.ndarray]:
    """By column of ``metrics.csv``: (n, 2) float64 step and value, where it has a finite one; {} without the file."""
    path = folder / "metrics.csv"
    if not path.exists():
        return {}
    curves = defaultdict(list)
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for name, text in row.items():
                    if text and math.isfinite(value := float(text)):
                        curves[name].append((float(row["step"]), value))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise damaged(path, folder, error) from error
    return {name: np.array(points) for name, points in curves.items()}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and -HUGE < value < HUGE  # not NaN
