"""Tabulate the runs of a study: means over seeds, and paired differences from a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ceco3d.data.labels import GROUPS
from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.metrics.tables import PERCENT_HEADINGS, markdown_table
from ceco3d.runs.folder import read_collapse, read_config, read_scores
from ceco3d.utils.errors import UserError

SCORES = ("miou", *GROUPS)
FRAME = ("equiangularity", "separation")  # of the centered class centers
COLLAPSE = ("nc1", *FRAME, "self_duality", "nearest_center")
Results = dict[str, dict[str, dict[str, float]]]


def read_study(folder: Path, convention: str = "present") -> Results:
    """Read every finished run directly below ``folder``.

    Returns {name: {seed: {"miou", "head", "common", "tail" in percent, and the neural-collapse measures}}}. Raises
    UserError if there is no finished run or two runs share name and seed.
    """
    if convention not in CONVENTIONS:
        raise UserError(f"convention={convention}: choose one of {', '.join(CONVENTIONS)}")
    results: Results = {}
    for run in sorted(path.parent for path in folder.glob("*/metrics.json")):
        try:
            cfg, values = read_config(run), _scores(run, convention) | read_collapse(run, COLLAPSE, FRAME)
        except UserError as error:
            raise UserError(f"{run}: not a finished run of `python -m ceco3d.train` ({error}); remove it") from error
        seeds = results.setdefault(cfg.name, {})
        if cfg.seed in seeds:
            raise UserError(f"{run}: a second run of name={cfg.name} seed={cfg.seed} in {folder}; remove one of them")
        seeds[cfg.seed] = values
    if not results:
        raise UserError(f"{folder}: no finished runs (folders with metrics.json) below it; run the study first")
    return results


def _scores(run: Path, convention: str) -> dict[str, float]:
    scores = read_scores(run / "metrics.json", run, SCORES, CONVENTIONS)
    values = {key: scores[key][convention] for key in SCORES}
    return {key: 100 * value for key, value in values.items() if value is not None}


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation (n - 1 in the denominator; NaN for a single value)."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def paired_difference(
    runs: Mapping[str, Mapping[str, float]], baseline: Mapping[str, Mapping[str, float]], key: str
) -> tuple[float, float, float] | None:
    """Return the mean of ``runs - baseline`` over shared seeds and its 95 % interval (Student's t).

    None for fewer than two shared seeds.
    """
    from scipy.stats import t as student  # takes half a second, which every command would pay

    pairs = [(runs[seed][key], baseline[seed][key]) for seed in runs.keys() & baseline.keys()]
    if len(pairs) < 2:
        return None
    mean, deviation = mean_and_deviation([a - b for a, b in pairs])
    half = float(student.ppf(0.975, len(pairs) - 1)) * deviation / math.sqrt(len(pairs))
    return mean, mean - half, mean + half


def study_markdown(results: Results, baseline: str = "ce") -> str:
    """Return the tables of a study in Markdown; UserError if ``baseline`` is not one of its names."""
    if baseline not in results:
        raise UserError(f"baseline={baseline} is not among the names of the runs: {', '.join(results)}")
    names = [baseline, *(name for name in results if name != baseline)]
    lines = ["# Study", "", "IoU in percent on the validation vertices, mean ± standard deviation over seeds.", ""]
    rows = [(name, str(len(results[name])), *(_cell(results[name], key) for key in SCORES)) for name in names]
    lines += markdown_table(("loss", "seeds", *PERCENT_HEADINGS), rows)
    lines += [
        "",
        "Neural collapse of the centered class centers. 0 is a perfect simplex; nearest_center is best at 1.",
        "",
    ]
    rows = [(name, *(_cell(results[name], key, 3) for key in COLLAPSE)) for name in names]
    lines += markdown_table(("loss", *COLLAPSE), rows)
    lines += ["", f"Paired difference from {baseline} over shared seeds: mean [95 % interval].", ""]
    rows = [(name, *_differences(results[name], results[baseline])) for name in names[1:]]
    lines += markdown_table(("loss", *PERCENT_HEADINGS, *FRAME), rows)
    return "\n".join(lines) + "\n"


def _cell(runs: Mapping[str, Mapping[str, float]], key: str, digits: int = 2) -> str:
    values = [run[key] for run in runs.values() if key in run]
    if not values:
        return "-"
    mean, deviation = mean_and_deviation(values)
    return f"{mean:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")


def _differences(runs: Mapping[str, Mapping[str, float]], baseline: Mapping[str, Mapping[str, float]]) -> list[str]:
    cells = []
    for key in (*SCORES, *FRAME):
        found = paired_difference(runs, baseline, key)
        digits = 3 if key in FRAME else 2
        cells.append("-" if found is None else "{:+.{d}f} [{:+.{d}f}, {:+.{d}f}]".format(*found, d=digits))
    return cells
