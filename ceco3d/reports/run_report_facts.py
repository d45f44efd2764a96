"""Facts about a run in words: how it was scored, what it consists of, what its log shows."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ceco3d.data.labels import GROUPS
from ceco3d.data.labels.label_blocks import PART_NAME
from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.runs.folder import Scores, damaged_file, read_scores
from ceco3d.runs.metrics_csv import Row
from ceco3d.utils.untrusted import read_json

MEANS = ("miou", *GROUPS)
SPLITS = {
    "train": "the scenes that the network was trained on, so the scores say nothing about new scenes",
    "val": "scenes that the network was not trained on, used to choose among checkpoints",
    "test": "scenes kept for the last evaluation",
}


def environment(folder: Path) -> dict[str, str]:
    """Return ``environment.json`` as text by name; {} without the file. UserError if it is damaged."""
    path = folder / "environment.json"
    if not path.exists():
        return {}
    try:
        return {str(name): str(value) for name, value in dict(read_json(path)).items()}
    except (OSError, ValueError, TypeError) as error:
        raise damaged_file(path, folder, error) from error


def how_scored(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Return how the scores in ``folder`` were measured, by what it is called; {} if nothing says so.

    From ``evaluation.json``, or else from the ``config`` of a training, which scores the validation split as it is.
    """
    record = _record(folder)
    if not record and not config:
        return {}
    views = record.get("views")
    number, split = len(views) if isinstance(views, list) else 1, str(record.get("split", "val"))
    tta = "none: each scene is predicted once, as it is"
    if number > 1:
        tta = f"{number} views: each scene is turned, mirrored or scaled; the probabilities of all views are averaged"
    facts = {
        "split": f"{split}: {SPLITS[split]}" if split in SPLITS else split,
        "test-time augmentation": tta,
        "scored on": "the vertices of the original meshes, not on voxels",
    }
    voxel_size = record.get("voxel_size", config.get("voxel_size"))
    if isinstance(voxel_size, int | float):
        facts["voxel size"] = f"{voxel_size:g} m: the grid on which the network sees a scene; smaller shows more detail"
    return facts


def _record(folder: Path) -> dict[str, Any]:
    path = folder / "evaluation.json"
    if not path.exists():
        return {}
    try:
        return dict(read_json(path))
    except (OSError, ValueError, TypeError) as error:
        raise damaged_file(path, folder, error) from error


def evaluations(folder: Path, trained: bool) -> dict[str, Scores]:
    """Return the means of ``metrics.json`` and of every ``evaluate-*/metrics.json`` by name; {} without the first.

    Of a joint training also those of the parts after the first.
    """
    if not (folder / "metrics.json").is_file():
        return {}
    found = {"this run" if trained else "this evaluation": _means(folder / "metrics.json", folder)}
    for part in joint_parts(folder)[1:]:
        found[f"this run, {part}"] = _means(folder / part / "metrics.json", folder)
    for path in sorted(folder.glob("evaluate-*/metrics.json")):
        found[f"{path.parent.name}{_tta(path.parent)}"] = _means(path, folder)
    return found


def joint_parts(folder: Path) -> list[str]:
    """Return the parts of a joint training by their folders, in order; [] of any other."""
    path = folder / "metrics.json"
    try:
        names = [str(name) for name in read_json(path).get("parts", {})]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise damaged_file(path, folder, error) from error
    return [name for name in names if PART_NAME.fullmatch(name)]


def _means(path: Path, folder: Path) -> Scores:
    return read_scores(path, folder, MEANS, CONVENTIONS)


def _tta(folder: Path) -> str:
    """Return the test-time augmentation of an evaluation in brackets: its record's, or what its command names."""
    views = _record(folder).get("views")
    if isinstance(views, list):
        return f" ({len(views)} views of each scene)" if len(views) > 1 else " (no test-time augmentation)"
    try:
        words = shlex.split(environment(folder).get("command", ""))
    except ValueError:
        return ""
    names = [word.removeprefix("tta=") for word in words if word.startswith("tta=")]
    return f" (tta={names[-1]})" if names else ""


def model_facts(config: Mapping[str, Any], facts: Mapping[str, str]) -> list[str]:
    """Return the line below the title: network, loss, voxel size, features, epochs."""
    found = []
    for key, form in (("model", "{}"), ("loss", "loss {}")):
        part = config.get(key)
        if isinstance(part, Mapping) and isinstance(part.get("name"), str):
            found.append(form.format(part["name"]))
    if "voxel size" in facts:
        found.append(f"voxels of {facts['voxel size'].split(':')[0]}")
    trainer = config.get("trainer")
    if isinstance(trainer, Mapping) and isinstance(trainer.get("epochs"), int):
        found.append(f"{trainer['epochs']} epochs")
    return found


def log_notes(rows: Sequence[Row]) -> str:
    """Return what to know about a log before reading its charts: steps without a finite loss."""
    bad = [int(row["step"]) for row in rows if not math.isfinite(row.get("loss", 0.0))]
    skipped = max((int(row["skipped"]) for row in rows if math.isfinite(row.get("skipped", math.nan))), default=0)
    notes = []
    if bad:
        listed = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        notes.append(
            f"The loss was not finite at {len(bad)} of the logged steps ({listed}); the charts leave them out."
        )
    if skipped:
        notes.append(f"Steps skipped because their loss or gradient was not finite: {skipped}.")
    return f"<p>{escape(' '.join(notes))}</p>" if notes else ""


def duration(seconds: float) -> str:
    """Format seconds as "2 h 5 min", "3 min 20 s" or "42 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
