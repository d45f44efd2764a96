"""Draw a segmented scene: original, ground truth and predictions side by side, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ceco3d.visualization.plain_figure import add_legend, plain_figures
from ceco3d.visualization.render import Frame, fit_camera, paint, point_radius, render, without_ceiling
from ceco3d.visualization.segmented import Panel, SegmentedScene

SIZE = (360, 480)  # pixels of one view
CAMERAS = {"from above": (0.0, 0.0, -1.0), "from a corner": (0.62, 0.62, -0.62)}  # viewing direction
RIGHT, WRONG, UNKNOWN = (214, 219, 224), (213, 60, 40), (92, 104, 128)
DPI = 150
LEGEND_COLUMNS, LEGEND_LINE = 6, 0.165  # inches

Row = tuple[str, list[np.ndarray | None]]  # name and images
Color = Sequence[int] | np.ndarray


def scene_picture(scene: SegmentedScene) -> bytes:
    """Return a PNG with one row per camera and one column each for the original, the ground truth and predictions.

    With ground truth, a last row shows where the predictions are wrong. The legend lists the classes that occur, most
    frequent first.
    """
    frames = scene_frames(scene)
    columns = [("Original", scene.original), *((p.title, scene.palette[p.labels]) for p in scene.panels)]
    rows: list[Row] = [(name, [paint(frame, colors) for _, colors in columns]) for name, frame in frames.items()]
    if scene.truth is not None and scene.predictions:
        above = frames["from above"]
        wrong = [paint(above, error_colors(scene.truth, panel)) for panel in scene.predictions]
        rows.append(("errors", [None, None, *wrong]))
    with plain_figures():
        return _compose(scene, [title for title, _ in columns], rows)


def scene_frames(scene: SegmentedScene) -> dict[str, Frame]:
    """Return what each of CAMERAS sees of the scene, without the ceiling of a room."""
    kept = np.flatnonzero(without_ceiling(scene.coord))
    return {name: _view(scene, kept, forward) for name, forward in CAMERAS.items()}


def error_colors(truth: Panel, panel: Panel) -> np.ndarray:
    """Return (N, 3) uint8 colors: RIGHT, WRONG, or UNKNOWN where there is no ground truth."""
    colors = np.where((panel.labels == truth.labels)[:, None], np.array(RIGHT, np.uint8), np.array(WRONG, np.uint8))
    return np.where((truth.labels < 0)[:, None], np.array(UNKNOWN, np.uint8), colors)


def _view(scene: SegmentedScene, kept: np.ndarray, forward: tuple[float, float, float]) -> Frame:
    """Render the points at ``kept`` (M,); the frame holds indices into the whole scene."""
    coord = scene.coord[kept]
    normal = None if scene.normal is None else scene.normal[kept]
    frame = render(coord, normal, point_radius(coord), fit_camera(coord, np.array(forward), SIZE), SIZE)
    return Frame(np.where(frame.point >= 0, kept[frame.point], -1), frame.shade)


def _compose(scene: SegmentedScene, titles: list[str], rows: list[Row]) -> bytes:
    cell = np.array(SIZE[::-1]) / DPI
    legend_lines = len(scene.classes) // LEGEND_COLUMNS + 1
    top, left, legend = 0.5, 0.25, 0.15 + LEGEND_LINE * legend_lines
    width, height = left + cell[0] * len(titles), top + cell[1] * len(rows) + legend
    figure = Figure((width, height), dpi=DPI, facecolor="white")
    figure.text(left / width, 1 - 0.16 / height, scene.title, fontsize=10, fontweight="bold", va="center")
    for j, title in enumerate(titles):
        x = (left + cell[0] * (j + 0.5)) / width
        figure.text(x, 1 - (top - 0.13) / height, title, fontsize=10, ha="center", va="center")
    for i, (name, images) in enumerate(rows):
        bottom = height - top - cell[1] * (i + 1)
        figure.text(
            0.12 / width, (bottom + cell[1] / 2) / height, name, fontsize=9, rotation=90, ha="center", va="center"
        )
        for j, image in enumerate(images):
            if image is not None:
                place = ((left + cell[0] * j) / width, bottom / height, cell[0] / width, cell[1] / height)
                axes = figure.add_axes(place)
                axes.imshow(image, interpolation="none", aspect="auto")
                axes.set_axis_off()
    if rows[-1][0] == "errors":
        meanings: list[tuple[str, Color]] = [("correct", RIGHT), ("wrong", WRONG), ("no ground truth", UNKNOWN)]
        middle = ((left + cell[0]) / width, (legend + cell[1] / 2) / height)
        _legend(figure, meanings, loc="center", bbox_to_anchor=middle, fontsize=9)
    classes: list[tuple[str, Color]] = [(scene.space.names[k], scene.palette[k]) for k in scene.classes]
    if scene.counts[:, -1].any():
        classes.append(("no label", scene.palette[-1]))
    below = (left / width, (legend - 0.05) / height, 1 - 2 * left / width, 0)
    _legend(figure, classes, loc="upper left", bbox_to_anchor=below, ncols=LEGEND_COLUMNS, mode="expand", fontsize=7.5)
    file = BytesIO()
    canvas: Any = FigureCanvasAgg(figure)  # its methods are untyped
    canvas.print_png(file, metadata={"Software": None})
    return file.getvalue()


def _legend(figure: Figure, entries: list[tuple[str, Color]], **options: Any) -> None:
    handles = [Patch(facecolor=tuple(np.array(color) / 255), edgecolor="0.5", linewidth=0.4) for _, color in entries]
    names = [name for name, _ in entries]
    size = {"handlelength": 1.1, "handleheight": 1.0, "labelspacing": 0.35}
    add_legend(figure, handles, names, frameon=False, **size, **options)
