"""Draw the figures of a run's report as PNG: curves over training and the confusion between classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle, product

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ceco3d.reports.neural_collapse_figures import BLUE, GREEN, GROUP_STYLES, ORANGE, PURPLE, RED, STYLE
from ceco3d.runs.metrics_csv import LOOP_COLUMNS, VALIDATION

DPI = 130
# The loop's own columns and those of validation; every other column of a log is the loss or one of its terms.
SCORES = {"val_miou": ("mIoU", "black"), **{f"val_{g}": (g, GROUP_STYLES[g][0]) for g in ("head", "common", "tail")}}
COLLAPSE = {
    "val_equiangularity": "Equiangularity",
    "val_separation": "Maximal separation",
    "val_nc1": "NC1, within-class variability",
}
WORST, COLUMNS = 10, 12  # rows and columns of the confusion matrix
TERM_STYLES = [(color, line) for line, color in product(("-", "--", ":"), (BLUE, ORANGE, GREEN, RED, PURPLE, "0.5"))]

Curves = Mapping[str, np.ndarray]


def loss_terms(curves: Curves) -> list[str]:
    """Return the columns of a training log that hold the loss or one of its terms, in the order of the log."""
    return [name for name in curves if name not in LOOP_COLUMNS and not name.startswith(VALIDATION)]


@matplotlib.rc_context(STYLE)
def draw_curves(curves: Curves) -> bytes:
    """Draw ``curves_figure`` as PNG."""
    return _png(curves_figure(curves))


def curves_figure(curves: Curves) -> Figure:
    """Plot every loss term, the learning rate and the validation scores over the steps (``runs.read_curves``)."""
    figure, (left, middle, right) = _panels(3)
    for name, (color, line) in zip(loss_terms(curves), cycle(TERM_STYLES)):
        _plot(left, curves[name], color, name, linestyle=line)
    if "lr" in curves:
        _plot(middle, curves["lr"], BLUE, "lr")
    for name, (label, color) in SCORES.items():
        if name in curves:
            _plot(right, curves[name] * (1, 100), color, label, marker=".")
    for axes, title in zip((left, middle, right), ("Loss", "Learning rate", "Validation IoU (%)"), strict=True):
        axes.set(title=title, xlabel="step")
    for axes in (left, right):
        if axes.lines:
            axes.legend(framealpha=0.7, edgecolor="none", fontsize=8)
    return figure


@matplotlib.rc_context(STYLE)
def draw_collapse(curves: Curves) -> bytes:
    """Plot each neural-collapse measure of the class centers over the steps in its own panel."""
    figure, panels = _panels(len(COLLAPSE))
    for axes, (name, title) in zip(panels, COLLAPSE.items(), strict=True):
        if name in curves:
            _plot(axes, curves[name], BLUE, name, marker=".")
        axes.set(title=title, xlabel="step", ylim=(0, None))
    return _png(figure)


@matplotlib.rc_context(STYLE)
def draw_confusion(counts: np.ndarray, iou: np.ndarray, names: Sequence[str]) -> bytes:
    """Draw what the classes with the lowest IoU are mistaken for, in percent of their points.

    counts  (K, K + 1) points by ground truth and prediction; the last column is "no prediction"
    iou     (K,); among equal values, the class with more points comes first
    """
    points = counts.sum(1)
    order = np.lexsort((-points, np.nan_to_num(iou)))
    rows = order[points[order] > 0][:WORST]
    shares = 100 * counts[rows] / points[rows, None]
    columns = np.argsort(-shares.sum(0), kind="stable")[:COLUMNS]
    columns = columns[shares[:, columns].sum(0) > 0]
    figure = Figure((9.6, 1.5 + 0.28 * len(rows)), layout="constrained")
    axes = figure.subplots()
    labels = [*names, "no prediction"]
    axes.imshow(shares[:, columns], cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (i, j), share in np.ndenumerate(shares[:, columns]):
        if share >= 0.5:
            axes.text(j, i, f"{share:.0f}", ha="center", va="center", color="white" if share > 55 else "black")
    axes.set_xticks(range(len(columns)), [labels[k] for k in columns], rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), [f"{labels[k]} ({100 * np.nan_to_num(iou[k]):.0f})" for k in rows])
    axes.tick_params(length=0)
    axes.set(xlabel="predicted", ylabel="ground truth (IoU in %)")
    return _png(figure)


def _panels(number: int) -> tuple[Figure, np.ndarray]:
    figure = Figure((9.6, 2.7), layout="constrained")
    panels = figure.subplots(1, number)
    for axes in panels:
        axes.grid(color="0.9", linewidth=0.6)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    return figure, panels


def _plot(axes: Axes, curve: np.ndarray, color: str, label: str, marker: str = "", linestyle: str = "-") -> None:
    axes.plot(*curve.T, color=color, label=label, linewidth=1.2, marker=marker, linestyle=linestyle)


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()
