"""Draw the figures of neural collapse with matplotlib and write them as PNG and SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]  # ships without types
from mpl_toolkits.mplot3d.proj3d import proj_transform  # type: ignore[import-untyped]  # ships without types

from ceco3d.metrics.neural_collapse import frame_distance
from ceco3d.reports.neural_collapse_geometry import TETRAHEDRON, Sticks, centered_centers, class_groups, project
from ceco3d.reports.neural_collapse_runs import Run
from ceco3d.utils.atomic import whole_file
from ceco3d.visualization.plain_figure import PlainLogFormatter, add_legend, plain_figures

FORMATS = ("png", "svg")
# Okabe and Ito's palette, safe for color-blind readers.
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
RUN_STYLES = ((RED, "o"), (BLUE, "s"), (GREEN, "^"), (ORANGE, "D"), (PURPLE, "v"))
GROUP_STYLES = {
    "head": (BLUE, "o", "-"),
    "common": (ORANGE, "s", "--"),
    "tail": (RED, "^", "-."),
    "all": (BLUE, "o", "-"),
}
STYLE: dict[Any, Any] = {  # matplotlib types its keys as literals
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 250,
    "svg.hashsalt": "ceco3d",  # same data, same file
}
MINUS = "\N{MINUS SIGN}"
HALO = [withStroke(linewidth=2.5, foreground="white")]


def write_figures(runs: Sequence[Run], classes: np.ndarray, out: Path) -> list[Path]:
    """Write all figures of ``runs`` to ``out`` as ``.png`` and ``.svg``; return the paths.

    The figures are ``training``, ``cosines-<label>`` and ``sticks-<label>`` for each run, and ``classes`` for two or
    more runs. ``classes`` (4,) are the training indices for the ball-and-stick figure.
    """
    out.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE), plain_figures():
        return [path for name, figure in _figures(runs, classes) for path in _save(figure, out, name)]


def _figures(runs: Sequence[Run], classes: np.ndarray) -> Iterator[tuple[str, Figure]]:
    yield "training", draw_training(runs)
    for run in runs:
        yield f"cosines-{run.slug}", draw_cosines(run)
        yield f"sticks-{run.slug}", draw_sticks(run, classes)
    if len(runs) > 1:
        yield "classes", draw_classes(runs[0], runs[-1])


def _save(figure: Figure, out: Path, name: str) -> Iterator[Path]:
    for extension in FORMATS:
        path = out / f"{name}.{extension}"
        # Omit the date and the version of matplotlib: files differ only where figures do.
        metadata = {"Date": None, "Creator": None} if extension == "svg" else {"Software": None}
        with whole_file(path) as file:
            figure.savefig(file, format=extension, metadata=metadata)
        yield path


def draw_training(runs: Sequence[Run]) -> Figure:
    """Plot equiangularity and maximal separation of the class centers over the epochs, one line per run."""
    figure = Figure((6.8, 2.8), layout=ConstrainedLayoutEngine(wspace=0.06))
    panels = figure.subplots(1, 2)
    texts = {
        "val_equiangularity": ("Equiangularity (lower is better)", "std of cosines"),
        "val_separation": ("Maximal separation (lower is better)", f"mean |cos + 1/(K {MINUS} 1)|"),
    }
    for axes, (column, (title, formula)) in zip(panels, texts.items(), strict=True):
        for run, (color, marker) in zip(runs, cycle(RUN_STYLES)):
            axes.plot(run.curves["epoch"], run.curves[column], color=color, marker=marker, ms=3.5)
        axes.set(title=title, xlabel="epoch", ylabel=formula)
        axes.set_ylim(0, 1.06 * axes.dataLim.ymax)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="0.9", linewidth=0.6)
    columns = min(len(runs), 4)
    names = [run.label for run in runs]
    add_legend(figure, panels[0].lines, names, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def draw_cosines(run: Run) -> Figure:
    """Draw the cosine matrix of the centered class centers, with classes sorted by group and lines between groups."""
    groups = class_groups(run)
    classes = np.concatenate(list(groups.values()))
    centers = centered_centers(run, classes)
    directions = centers / np.linalg.norm(centers, axis=1, keepdims=True)
    figure = Figure((5.2, 3.8))
    axes = figure.add_axes((0.155, 0.075, 0.58, 0.794))
    axes.imshow(directions @ directions.T, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    ends = np.cumsum([len(members) for members in groups.values()])
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="black", linewidth=0.8)
        axes.axvline(end - 0.5, color="black", linewidth=0.8)
    middles = [end - (len(members) + 1) / 2 for end, members in zip(ends, groups.values(), strict=True)]
    axes.set_xticks(middles, list(groups))
    axes.set_yticks(middles, [f"{name}\n{len(members)}" for name, members in groups.items()])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    distance = frame_distance(torch.from_numpy(centers), len(classes))
    measured = f"equiangularity {distance['equiangularity']:.3f}, separation {distance['separation']:.3f}"
    axes.set_title(f"{run.label}\n{measured}")
    _add_cosine_bar(axes, len(classes))
    return figure


def _add_cosine_bar(axes: Axes, num_classes: int) -> None:
    """Add the color bar and mark the cosine of the simplex ETF on it."""
    simplex = -1 / (num_classes - 1)
    bar = axes.figure.colorbar(axes.images[0], cax=axes.figure.add_axes((0.765, 0.075, 0.03, 0.794)))
    ticks = [tick for tick in (-1, -0.5, 0, 0.5, 1) if abs(tick - simplex) > 0.16]  # leave room for two lines of text
    labels = [f"{tick:g}" for tick in ticks] + [f"simplex\n-1/{num_classes - 1}"]
    bar.set_ticks([*ticks, simplex], labels=[label.replace("-", MINUS) for label in labels])
    bar.ax.axhline(simplex, color=GREEN, linewidth=2)
    bar.ax.get_yticklabels()[-1].set_color(GREEN)
    bar.set_label("cosine of class centers", labelpad=8)


def draw_sticks(run: Run, classes: np.ndarray) -> Figure:
    """Draw the simplex ETF, classifiers, centers and features of four ``classes`` as balls and sticks (``project``).

    The legend counts the features that lie too far outside to be drawn.
    """
    sticks = project(run, classes)
    distances = np.linalg.norm(sticks.features, axis=1)
    longest = np.linalg.norm([*sticks.centers, *sticks.classifiers], axis=1).max()
    # Show nine features of ten, but never shrink the sticks to less than half the view.
    reach = max(longest + 0.15, min(2, np.quantile([0, *distances], 0.9)))
    seen = distances < reach
    figure = Figure((4.2, 4.8))
    axes: Axes3D = figure.add_axes((0, 0.12, 1, 0.84), projection="3d", proj_type="ortho", computed_zorder=False)
    axes.scatter(*sticks.features[seen].T, s=7, color=BLUE, alpha=0.4, linewidths=0, depthshade=False, zorder=1)
    for vertex, center in zip(TETRAHEDRON, sticks.centers, strict=True):
        axes.plot(*np.stack([np.zeros(3), vertex], 1), color=GREEN, linewidth=4.5, zorder=2)
        axes.plot(*np.stack([vertex, center], 1), color="0.4", linewidth=1, linestyle=":", zorder=2)
    # Upper layers are thinner and smaller, so all stay visible where they coincide.
    layers = ((sticks.classifiers, RED, 2.6, 110, 3), (sticks.centers, BLUE, 1.2, 40, 5))
    for balls, color, width, size, order in layers:
        for ball in balls:
            axes.plot(*np.stack([np.zeros(3), ball], 1), color=color, linewidth=width, zorder=order)
        axes.scatter(*balls.T, s=size, color=color, linewidths=0, depthshade=False, zorder=order + 1)
    limits = (-reach, reach)
    axes.set(xlim=limits, ylim=limits, zlim=limits)
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.view_init(elev=10, azim=-79)
    axes.set_axis_off()
    _name_vertices(axes, sticks, seen, [run.space.names[k] for k in classes])
    figure.suptitle(run.label, fontsize=10)
    outside = f" ({(~seen).sum()} of {len(seen)} outside)" if not seen.all() else ""
    handles = [
        Line2D([], [], color=GREEN, linewidth=4.5, label="simplex ETF"),
        Line2D([], [], color=RED, linewidth=2.6, marker="o", markersize=10, label="classifiers"),
        Line2D([], [], color=BLUE, linewidth=1.2, marker="o", markersize=6, label="class centers"),
        Line2D([], [], color=BLUE, marker="o", markersize=2.6, linestyle="", label=f"features{outside}"),
        Line2D([], [], color="0.4", linewidth=1, linestyle=":", label="center to its vertex"),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=2, frameon=False)
    return figure


def _name_vertices(axes: Axes3D, sticks: Sticks, seen: np.ndarray, names: Sequence[str]) -> None:
    """Write class names above the upper and below the lower vertices, clear of the marks of the class."""
    camera = axes.get_proj()
    for i, name in enumerate(names):
        features = sticks.features[seen & (sticks.feature_classes == i)]
        drawn = np.stack([TETRAHEDRON[i], sticks.centers[i], sticks.classifiers[i], *features])
        x, y, _ = proj_transform(*drawn.T, camera)
        upper = TETRAHEDRON[i, 2] > 0
        axes.annotate(
            fill(name, 14),
            (x[0], y.max() if upper else y.min()),
            xytext=(0, 7 if upper else -7),
            textcoords="offset points",
            ha="center",
            va="bottom" if upper else "top",
            path_effects=HALO,
        )


def draw_classes(first: Run, last: Run) -> Figure:
    """Plot the change in IoU from ``first`` to ``last`` of each class over its number of training points.

    Classes without training points, or without an IoU in both runs, are omitted, also from the group means.
    """
    figure = Figure((6.8, 3.5), layout="constrained")
    axes = figure.add_subplot()
    change = 100 * (last.iou - first.iou)
    shown = np.isfinite(change) & (last.train_counts > 0)
    for name, group in (last.space.groups or {"all": tuple(range(len(last.space)))}).items():
        members = np.array([k for k in group if shown[k]], np.int64)
        if len(members):
            color, marker, dashes = GROUP_STYLES[name]
            label = f"{name} ({len(members)}), mean {change[members].mean():+.1f}".replace("-", MINUS)
            axes.scatter(last.train_counts[members], change[members], s=16, color=color, marker=marker, alpha=0.75)
            axes.axhline(change[members].mean(), color=color, linestyle=dashes, linewidth=1.4)
            axes.plot([], [], color=color, linestyle=dashes, marker=marker, markersize=4, label=label)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(PlainLogFormatter())
    axes.xaxis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(1, 0.4)))
    axes.margins(x=0.06, y=0.12)
    axes.set(xlabel="training points of the class (vertices)", ylabel="change in IoU (percentage points)")
    axes.set_title(f"{last.label} minus {first.label}")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, handlelength=3)
    _name_extremes(axes, last, change, np.flatnonzero(shown))
    return figure


def _name_extremes(axes: Axes, run: Run, change: np.ndarray, classes: np.ndarray, most: int = 5) -> None:
    """Label the classes that gain or lose most, wherever the text fits beside the point."""
    assert isinstance(axes.figure, Figure)
    canvas: Any = FigureCanvasAgg(axes.figure)  # its methods are untyped
    canvas.draw()  # computes the layout
    spots = axes.transData.transform(np.stack([run.train_counts[classes], change[classes]], 1))
    order = classes[np.argsort(change[classes], kind="stable")]
    taken: list[Bbox] = []
    for k in dict.fromkeys([*order[::-1][:most], *order[:most]]):
        for side, shift in (("left", 5), ("right", -5)):
            note = axes.annotate(
                run.space.names[k],
                (run.train_counts[k], change[k]),
                xytext=(shift, 0),
                textcoords="offset points",
                fontsize=7,
                ha=side,
                va="center",
                path_effects=HALO,
            )
            box = note.get_window_extent(canvas.get_renderer()).padded(4)
            free = not box.count_overlaps(taken) and not box.count_contains(spots)
            if free and axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1:
                taken.append(box)
                break
            note.remove()
