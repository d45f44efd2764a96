"""Facts about a run in words: how it was scored, what it consists of, what its log shows."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ceco3d.data.labels import GROUPS
from ceco3d.data.labels.label_blocks import PART_NAME
from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.runs.checked import number, reading_file, table
from ceco3d.runs.folder import Scores, read_environment, read_evaluation, read_scores
from ceco3d.runs.metrics_csv import Row
from ceco3d.utils.plain_text import html_text
from ceco3d.utils.untrusted import read_json

MEANS = ("miou", *GROUPS)
SPLITS = {
    "train": "the scenes that the network was trained on, so the scores say nothing about new scenes",
    "val": "scenes that the network was not trained on, used to choose among checkpoints",
    "test": "scenes kept for the last evaluation",
}


def how_scored(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Return how the scores in ``folder`` were measured, by what it is called; {} if nothing says so.

    From ``evaluation.json``, or else from the ``config`` of a training, which scores the validation split as it is.
    """
    record = read_evaluation(folder)
    if record is None and not config:
        return {}
    views, split = (1, "val") if record is None else (record.views, record.split)
    tta = "none: each scene is predicted once, as it is"
    if views > 1:
        tta = f"{views} views: each scene is turned, mirrored or scaled; the probabilities of all views are averaged"
    if record is not None and record.fragments != 1:
        most = "as many as the fullest voxel has points" if record.fragments is None else f"{record.fragments} at most"
        tta += f"; fragments: passes with other points of the voxels, {most}"
    facts = {
        "split": f"{split}: {SPLITS[split]}" if split in SPLITS else split,
        "test-time augmentation": tta,
        "scored on": "the vertices of the original meshes, not on voxels",
    }
    voxel_size = _voxel_size(folder, config) if record is None or record.voxel_size is None else record.voxel_size
    if voxel_size is not None:
        facts["voxel size"] = f"{voxel_size:g} m: the grid on which the network sees a scene; smaller shows more detail"
    return facts


def _voxel_size(folder: Path, config: Mapping[str, Any]) -> float | None:
    if "voxel_size" not in config:
        return None
    with reading_file(folder / "config.yaml", folder):
        return number(config["voxel_size"], "voxel_size")


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
    with reading_file(path, folder):
        content = table(read_json(path))
        return [name for name in (table(content, "parts") if "parts" in content else ()) if PART_NAME.fullmatch(name)]


def _means(path: Path, folder: Path) -> Scores:
    return read_scores(path, folder, MEANS, CONVENTIONS)


def _tta(folder: Path) -> str:
    """Return the test-time augmentation of an evaluation in brackets: its record's, or what its command names."""
    record = read_evaluation(folder)
    if record is not None:
        return f" ({record.views} views of each scene)" if record.views > 1 else " (no test-time augmentation)"
    try:
        words = shlex.split(read_environment(folder).get("command", ""))
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
    skipped = max((int(row["skipped"]) for row in rows if "skipped" in row), default=0)
    notes = []
    if bad:
        listed = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        notes.append(
            f"The loss was not finite at {len(bad)} of the logged steps ({listed}); the charts leave them out."
        )
    if skipped:
        notes.append(f"Steps skipped because their loss or gradient was not finite: {skipped}.")
    return f"<p>{html_text(' '.join(notes))}</p>" if notes else ""


def duration(seconds: float) -> str:
    """Format seconds as "2 h 5 min", "3 min 20 s" or "42 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
