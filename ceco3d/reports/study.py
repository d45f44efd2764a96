"""Tabulate the runs of a study: means over seeds, and paired differences from a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ceco3d.data.labels import GROUPS, LabelSpace
from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.metrics.tables import PERCENT_HEADINGS, markdown_table
from ceco3d.reports.study_power import noise_rows, power_rows
from ceco3d.reports.study_statistics import mean_and_deviation, paired_difference
from ceco3d.runs.checked import HUGE
from ceco3d.runs.folder import (
    RoomSums,
    read_adjusted,
    read_collapse,
    read_config,
    read_curves,
    read_room_sums,
    read_scores,
)
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_text import visible

SCORES = ("miou", *GROUPS)
ADJUSTED = tuple(f"adjusted_{key}" for key in SCORES)  # with logits adjusted after the training
FRAME = ("equiangularity", "separation")  # of the centered class centers
COLLAPSE = ("nc1", *FRAME, "self_duality", "nearest_center")
COMPARED = (*FRAME, "self_duality")
TENTHS = ((0.8, 0.9), (0.9, 1.0))  # of the steps


@dataclass(frozen=True)
class StudyRun:
    """A finished run.

    values  "miou", "head", "common", "tail" in percent, the same with logits adjusted after the training as
            "adjusted_miou", ... where ``python -m ceco3d.diagnose`` measured them, and the neural-collapse measures
    curves  (n, 2) step and value by column of ``metrics.csv``
    rooms   what it was scored on; None in runs of older versions
    space   its classes
    """

    values: Mapping[str, float]
    curves: Mapping[str, np.ndarray]
    rooms: RoomSums | None
    space: LabelSpace


Results = dict[str, dict[str, StudyRun]]  # runs of one imbalance by name and seed


def read_study(folder: Path, convention: str = "present") -> dict[str, Results]:
    """Read every finished run directly below ``folder``: by imbalance of its data ("" where there is none), name, seed.

    UserError if there is no finished run or two runs share all three.
    """
    if convention not in CONVENTIONS:
        raise UserError(f"convention={convention}: choose one of {', '.join(CONVENTIONS)}")
    study: dict[str, Results] = {}
    for run in sorted(path.parent for path in folder.glob("*/metrics.json")):
        try:
            cfg = read_config(run)
            values = _scores(run, convention) | _adjusted(run) | read_collapse(run, COLLAPSE, FRAME)
            found = StudyRun(values, read_curves(run), read_room_sums(run, cfg.space), cfg.space)
        except UserError as error:
            raise UserError(f"{run}: not a finished run of `python -m ceco3d.train` ({error}); remove it") from error
        seeds = study.setdefault(cfg.imbalance, {}).setdefault(cfg.name, {})
        if cfg.seed in seeds:
            raise UserError(f"{run}: a second run of name={cfg.name} seed={cfg.seed} in {folder}; remove one of them")
        seeds[cfg.seed] = found
    if not study:
        raise UserError(f"{folder}: no finished runs (folders with metrics.json) below it; run the study first")
    return dict(sorted(study.items(), key=lambda item: (not item[0].isdigit(), len(item[0]), item[0])))


def _scores(run: Path, convention: str) -> dict[str, float]:
    scores = read_scores(run / "metrics.json", run, SCORES, CONVENTIONS)
    values = {key: scores[key][convention] for key in SCORES}
    return {key: 100 * value for key, value in values.items() if value is not None}


def _adjusted(run: Path) -> dict[str, float]:
    found = read_adjusted(run)
    values = {key: found.get("all" if key == "miou" else key) for key in SCORES}
    return {f"adjusted_{key}": 100 * value for key, value in values.items() if value is not None}


def study_markdown(study: Mapping[str, Results], baseline: str = "ce") -> str:
    """Return the tables of a study in Markdown; UserError if ``baseline`` is not one of its names."""
    lines = ["# Study", "", "IoU in percent on the validation vertices, mean ± standard deviation over seeds."]
    for imbalance, results in study.items():
        if baseline not in results:
            where = f" with imbalance {imbalance}" if imbalance else ""
            raise UserError(f"baseline={baseline} is not among the names of the runs{where}: {', '.join(results)}")
        lines += ["", f"## Imbalance {visible(imbalance)}"] if imbalance else []
        lines += ["", *_tables({baseline: results[baseline]} | results, baseline)]
    return "\n".join(lines) + "\n"


def _tables(results: Results, baseline: str) -> list[str]:
    values = {name: {seed: run.values for seed, run in runs.items()} for name, runs in results.items()}
    rows = [(name, str(len(runs)), *(_cell(runs, key) for key in SCORES)) for name, runs in values.items()]
    lines = markdown_table(("loss", "seeds", *PERCENT_HEADINGS), rows)
    lines += [
        "",
        "Neural collapse of the centered class centers. 0 is a perfect simplex; nearest_center is best at 1.",
        "",
    ]
    rows = [(name, *(_cell(runs, key, 3) for key in COLLAPSE)) for name, runs in values.items()]
    lines += markdown_table(("loss", *COLLAPSE), rows)
    lines += ["", f"Paired difference from {baseline} over shared seeds: mean [95 % interval].", ""]
    keys = (*SCORES, *COMPARED)
    rows = [(name, *_differences(runs, values[baseline], keys)) for name, runs in values.items() if name != baseline]
    lines += markdown_table(("loss", *PERCENT_HEADINGS, *COMPARED), rows)
    lines += _adjusted_tables(values, baseline)
    rows = power_rows(values, baseline, SCORES)
    if rows:
        lines += ["", f"Smallest difference from {baseline} that this test finds in four of five studies.", ""]
        lines += markdown_table(("loss", *PERCENT_HEADINGS), rows)
    rows = noise_rows(results, baseline)
    if rows:
        lines += [
            "",
            "Noise: standard deviation over seeds, and over rooms drawn again (bootstrap), of one run and of the",
        ]
        lines += [f"difference from {baseline} of the same seed.", ""]
        lines += markdown_table(("loss", "over", *PERCENT_HEADINGS), rows)
    rows = [row for name, runs in results.items() if (row := _convergence(name, runs)) is not None]
    if rows:
        lines += ["", "Training loss, mean over seeds: in the last tenth of the steps, and in the tenth before.", ""]
        lines += markdown_table(("loss", "last tenth", "before", "change %"), rows)
    return lines


def _adjusted_tables(values: Mapping[str, Mapping[str, Mapping[str, float]]], baseline: str) -> list[str]:
    """The same scores and differences with adjusted logits; [] if none were measured."""
    found = {name: runs for name, runs in values.items() if any(ADJUSTED[0] in run for run in runs.values())}
    if baseline not in found:
        return []
    lines = ["", "With logits adjusted after the training, `logits - log(share of the training points)`: all losses"]
    lines += ["with the same balance of classes, so that what differs are the features.", ""]
    rows = [(name, *(_cell(runs, key) for key in ADJUSTED)) for name, runs in found.items()]
    lines += markdown_table(("loss", *PERCENT_HEADINGS), rows)
    rows = [(name, *_differences(runs, found[baseline], ADJUSTED)) for name, runs in found.items() if name != baseline]
    return [*lines, "", *markdown_table((f"minus {baseline}", *PERCENT_HEADINGS), rows)] if rows else lines


def _cell(runs: Mapping[str, Mapping[str, float]], key: str, digits: int = 2) -> str:
    values = [run[key] for run in runs.values() if key in run]
    if not values:
        return "-"
    mean, deviation = mean_and_deviation(values)
    return f"{mean:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")


def _differences(
    runs: Mapping[str, Mapping[str, float]], baseline: Mapping[str, Mapping[str, float]], keys: Sequence[str]
) -> list[str]:
    cells = []
    for key in keys:
        found = paired_difference(runs, baseline, key)
        digits = 3 if key in COMPARED else 2
        cells.append("-" if found is None else "{:+.{d}f} [{:+.{d}f}, {:+.{d}f}]".format(*found, d=digits))
    return cells


def _convergence(name: str, runs: Mapping[str, StudyRun]) -> tuple[str, ...] | None:
    """The training loss in the last two tenths of the steps; None where the logs are too short."""
    last, before = [], []
    for run in runs.values():
        curve = run.curves.get("loss", np.zeros((0, 2)))
        steps, loss = curve[np.abs(curve[:, 1]) < HUGE].T
        parts = [loss[(steps > a * steps.max(initial=0)) & (steps <= b * steps.max(initial=0))] for a, b in TENTHS]
        if all(len(part) for part in parts):
            before.append(parts[0].mean())
            last.append(parts[1].mean())
    if not last:
        return None
    new, old = float(np.mean(last)), float(np.mean(before))
    return name, f"{new:.3f}", f"{old:.3f}", f"{100 * (new / old - 1):+.1f}" if old else "-"
