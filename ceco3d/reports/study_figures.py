"""Draw the curves of a study with matplotlib: training loss, and neural collapse of each group over the training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ceco3d.data.labels import GROUPS
from ceco3d.reports.neural_collapse_figures import RUN_STYLES, STYLE
from ceco3d.reports.study import Results, StudyRun
from ceco3d.utils.atomic import whole_file
from ceco3d.visualization.plain_figure import PlainLogFormatter, add_legend, plain_figures

COLLAPSE = {"equiangularity": "equiangularity", "separation": "separation", "self_duality": "self-duality"}


def write_study_figures(study: Mapping[str, Results], out: Path) -> list[Path]:
    """Write ``study-training.png`` and ``study-collapse.png``, with "-IMBALANCE" behind where there is one.

    A line is the mean over the seeds of a loss, the band reaches from the lowest to the highest. Figures without any
    values, of logs of older versions, are left out. Returns the paths.
    """
    paths = []
    with matplotlib.rc_context(STYLE), plain_figures():
        for imbalance, results in study.items():
            end = re.sub(r"[^\w.]+", "-", f"-{imbalance}") if imbalance else ""
            for name, figure in (("training", draw_losses(results)), ("collapse", draw_collapse(results))):
                if figure is not None:
                    path = out / f"study-{name}{end}.png"
                    with whole_file(path) as file:
                        figure.savefig(file, format="png", metadata={"Software": None})
                    paths.append(path)
    return paths


def draw_losses(results: Results) -> Figure | None:
    """The training loss over the steps."""
    figure = Figure((6.8, 3.2), layout="constrained")
    axes = figure.subplots()
    if not _draw(axes, results, "loss"):
        return None
    axes.set(yscale="log", xlabel="step", ylabel="training loss")
    axes.yaxis.set_major_formatter(PlainLogFormatter())
    axes.yaxis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(1, 0.4)))
    _finish(figure, axes, results)
    return figure


def draw_collapse(results: Results) -> Figure | None:
    """Measures of the centered class centers at every validation, of head, common and tail."""
    figure = Figure((6.8, 6.2), layout="constrained")
    panels = figure.subplots(len(COLLAPSE), len(GROUPS), sharex=True, sharey="row")
    drawn = 0
    for row, (measure, title) in zip(panels, COLLAPSE.items(), strict=True):
        for axes, group in zip(row, GROUPS, strict=True):
            drawn += _draw(axes, results, f"val_{measure}_{group}")
        row[0].set_ylabel(title)
    for first, last, group in zip(panels[0], panels[-1], GROUPS, strict=True):
        first.set_title(group)
        last.set_xlabel("step")
    if not drawn:
        return None
    _finish(figure, panels[0][0], results)
    return figure


def _draw(axes: Axes, results: Results, column: str) -> int:
    """Draw one line for each loss; the number of those that have values."""
    drawn = 0
    for runs, (color, marker) in zip(results.values(), cycle(RUN_STYLES)):
        steps, values = _over_seeds(runs, column)
        drawn += bool(len(steps))
        few = len(steps) <= 40
        axes.plot(steps, values.mean(0), color=color, marker=marker if few else None, ms=3.5, linewidth=1.2)
        axes.fill_between(steps, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)
    axes.grid(color="0.9", linewidth=0.6)
    return drawn


def _over_seeds(runs: Mapping[str, StudyRun], column: str) -> tuple[np.ndarray, np.ndarray]:
    """The steps (n,) that all runs have, and the values (runs, n) there."""
    found = [run.curves[column] for run in runs.values() if column in run.curves]
    if not found:
        return np.zeros(0), np.zeros((1, 0))
    tables = [dict(curve.tolist()) for curve in found]
    steps = sorted(set.intersection(*map(set, tables)))
    return np.array(steps), np.array([[one[step] for step in steps] for one in tables])


def _finish(figure: Figure, axes: Axes, results: Results) -> None:
    names = list(results)
    add_legend(figure, axes.lines, names, loc="outside lower center", ncols=min(len(names), 4), frameon=False)
