"""Draw the panel of the CeCo poster: image, ground truth, prediction with CE, prediction with CE + CeCo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ceco3d.data.labels import LabelSpace
from ceco3d.utils.errors import UserError

TITLES = ("Image", "Ground truth", "CE", "CeCo")
BLANK = 255  # gray value of pixels without ground truth, also in predictions: nothing is correct there
LEGEND = 24  # largest number of classes in the legend


def need_matplotlib() -> None:
    """Raise UserError if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError("the panel needs matplotlib: pip install 'ceco3d[plot]'") from None


def paint(label: np.ndarray, space: LabelSpace, where: np.ndarray) -> np.ndarray:
    """Color (H, W) labels as (H, W, 3) uint8 in the colors of ``space``, white outside the mask ``where`` (H, W)."""
    colors: np.ndarray = np.where(where[..., None], space.colors[label], BLANK).astype(np.uint8)
    return colors


def write_panel(path: Path, rows: Sequence[tuple[np.ndarray, ...]], space: LabelSpace) -> None:
    """Write a PNG with one row per (color (H, W, 3), truth, CE, CeCo), the last three (H, W) training indices."""
    need_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = largest_classes(rows)
    legend_rows = -(-len(shown) // 6)
    height, width = rows[0][0].shape[:2]
    inches = 2.4 * height / width * len(rows)
    below = 0.1 + 0.21 * legend_rows
    figure = Figure(figsize=(9.8, inches + below + 0.3), layout="constrained")
    pictures, legend = figure.subfigures(2, 1, height_ratios=(inches + 0.3, below))
    axes = pictures.subplots(len(rows), len(TITLES), squeeze=False)
    for line, (color, truth, *predictions) in zip(axes, rows, strict=True):
        maps = [paint(label, space, truth >= 0) for label in (truth, *predictions)]
        for axis, picture in zip(line, (color, *maps), strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.axis("off")
    for axis, title in zip(axes[0], TITLES, strict=True):
        axis.set_title(title)
    patches = [Patch(facecolor=space.colors[i] / 255, label=space.names[i]) for i in shown]
    legend.legend(handles=patches, loc="center", ncols=6, frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def largest_classes(rows: Sequence[tuple[np.ndarray, ...]]) -> list[int]:
    """Return the classes that cover most of the label maps where there is ground truth, largest first."""
    labels = [label[truth >= 0] for _, truth, *predictions in rows for label in (truth, *predictions)]
    count = np.bincount(np.concatenate(labels))
    return [int(i) for i in np.argsort(-count, kind="stable")[:LEGEND] if count[i]]
