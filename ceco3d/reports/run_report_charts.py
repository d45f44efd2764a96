"""Charts of a run's report: inline SVG that scales with the page and is readable without scripts.

The lines are stretched to the width of the page; their labels are HTML, so that text keeps its size on a phone.
``run_report.js`` adds the values at the cursor and rescales a chart to the series that are shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ceco3d.runs.metrics_csv import LOOP_COLUMNS, VALIDATION
from ceco3d.utils.plain_text import html_text

MAX_POINTS = 1200  # of a line; longer ones keep the lowest and the highest point of each stretch
DOTS = 60  # lines of fewer points show each of them
TIMES = 300  # steps whose time is known to the page
EXTREME = 1e250  # values beyond this, and below its inverse, are drawn to scale
COLORS = 8  # in page.css; later series are dashed, then dotted
SCORES = {"val_miou": "mIoU", "val_head": "head", "val_common": "common", "val_tail": "tail"}
COLLAPSE = {
    "val_nc1": "NC1, within-class variability",
    "val_equiangularity": "Equiangularity",
    "val_separation": "Maximal separation",
}
MACHINE = {"voxels_per_second": ("Speed", "voxels per second"), "gpu_gib": ("GPU memory", "peak so far, GiB")}

NO_LOSSES = LOOP_COLUMNS | {"seconds"}

Curves = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Series:
    """A line: its name and (n, 2) float64 steps and values, n > 0."""

    name: str
    points: np.ndarray


def loss_terms(curves: Curves) -> list[str]:
    """Return the columns of a training log that hold the loss or one of its terms, in the order of the log."""
    return [name for name in curves if name not in NO_LOSSES and not name.startswith(VALIDATION)]


def training_charts(curves: Curves) -> str:
    """Return charts of the loss terms, validation scores, learning rate, gradient norm, speed and memory."""
    found = [
        _chart("Loss", "and its terms", [Series(name, curves[name]) for name in loss_terms(curves)], curves),
        _chart("Validation IoU", "percent, mean over the classes present", _scores(curves), curves, "%", zero=True),
        _chart("Learning rate", "of the first parameter group", _named(curves, {"lr": "lr"}), curves, zero=True),
        _chart("Gradient norm", "before clipping", _named(curves, {"grad_norm": "grad_norm"}), curves, zero=True),
    ]
    for name, (title, note) in MACHINE.items():
        found.append(_chart(title, note, _named(curves, {name: name}), curves, zero=True))
    return _together(found)


def collapse_charts(curves: Curves) -> str:
    """Return a chart of each neural-collapse measure of the class centers."""
    charts = [_chart(title, "", _named(curves, {name: title}), curves, zero=True) for name, title in COLLAPSE.items()]
    return _together(charts)


def _together(charts: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(charts)}</div>' if any(charts) else ""


def _named(curves: Curves, names: Mapping[str, str]) -> list[Series]:
    return [Series(label, curves[name]) for name, label in names.items() if name in curves]


def _scores(curves: Curves) -> list[Series]:
    return [Series(item.name, item.points * (1, 100)) for item in _named(curves, SCORES)]


def _chart(title: str, note: str, series: Sequence[Series], curves: Curves, unit: str = "", zero: bool = False) -> str:
    """Return a figure with ``series`` over the steps; "" without any. ``zero``: the axis starts at 0."""
    if not series:
        return ""
    steps = np.concatenate([item.points[:, 0] for item in series])
    left, right = float(steps.min()), float(steps.max())
    if left == right:
        left, right = left - 1, right + 1
    kept = [Series(item.name, thin(item.points)) for item in series]
    values = np.concatenate([item.points[:, 1] for item in kept])
    scale = _scale(values)
    low, high = _range(values * scale, zero)
    marks = [y for y in ticks(low, high) if math.isfinite(y / scale)]
    times = [x for x in ticks(left, right) if x == int(x)]
    grid = "".join(f"M0 {1000 * (high - y) / (high - low):.1f}H1000" for y in marks)
    lines = "".join(
        _lines(k, (item.points * (1, scale) - (left, high)) * (1000 / (right - left), 1000 / (low - high)))
        for k, item in enumerate(kept)
    )
    data = {"unit": unit, "zero": zero, "scale": scale, "x": [left, right], "series": [*map(_plain, kept)]}
    data |= {"epochs": _epochs(curves), "times": _times(curves)}
    ys = "".join(f'<span style="top:{100 * (high - y) / (high - low):.2f}%">{_number(y / scale)}</span>' for y in marks)
    xs = "".join(_below((x - left) / (right - left), f"{int(x):,}") for x in times)
    label = html_text(f"{title} over the steps; arrow keys move the cursor")
    return (
        f'<figure class="chart" data-chart="{html_text(json.dumps(data, separators=(",", ":")))}">'
        f"<figcaption>{html_text(title)} <span>{html_text(note)}</span></figcaption>"
        f'<div class="series">{"".join(_button(k, item, unit) for k, item in enumerate(kept))}</div>'
        f'<div class="frame"><div class="ys">{ys}</div>'
        f'<div class="plot" tabindex="0" role="group" aria-label="{label}">'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="grid" d="{grid}"/>{lines}</svg><div class="readout" role="status"></div></div>'
        f'<div class="xs">{xs}<span class="axis">step</span></div></div></figure>'
    )


def _below(share: float, text: str) -> str:
    """Return a label below the plot; the last one ends at its mark, so that it stays on the page."""
    return f'<span{" class=end" if share > 0.9 else ""} style="left:{100 * share:.2f}%">{text}</span>'


def thin(points: np.ndarray) -> np.ndarray:
    """Return about MAX_POINTS of ``points`` (n, 2): the lowest and the highest of each stretch, and both ends."""
    if len(points) <= MAX_POINTS:
        return points
    chosen = {0, len(points) - 1}
    for part in np.array_split(np.arange(len(points)), MAX_POINTS // 2):
        values = points[part, 1]
        chosen |= {int(part[values.argmin()]), int(part[values.argmax()])}
    return points[sorted(chosen)]


def ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers from ``low`` to ``high``."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _scale(values: np.ndarray) -> float:
    """Return a power of ten, 1 for usual values, at which differences stay within the range of numbers."""
    largest = float(np.abs(values).max())
    if not largest or 1 / EXTREME < largest < EXTREME:
        return 1.0
    return 1e-300 if largest > 1 else 1e300


def _range(values: np.ndarray, zero: bool) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    low = min(low, 0.0) if zero else low
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return (0.0 if zero and low == 0 else low - room), high + room


def _lines(k: int, points: np.ndarray) -> str:
    """Return the line number ``k`` through ``points`` (n, 2) in the units of the drawing, with dots if it is short."""
    pairs = [f"{x:.1f} {y:.1f}" for x, y in points]
    dash = f" d{min(k // COLORS, 2)}" if k >= COLORS else ""
    line = f'<path class="c{k % COLORS}{dash}" data-k="{k}" d="M{"L".join(pairs)}"/>'
    if len(pairs) > DOTS:
        return line
    return line + f'<path class="c{k % COLORS} dots" data-k="{k}" d="{"".join(f"M{pair}h0" for pair in pairs)}"/>'


def _button(k: int, item: Series, unit: str) -> str:
    return (
        f'<button type="button" class="c{k % COLORS}" aria-pressed="true"><i></i>{html_text(item.name)} '
        f"<b>{_number(float(item.points[-1, 1]))}{unit}</b></button>"
    )


def _plain(item: Series) -> dict[str, object]:
    x, y = item.points.T
    return {"name": item.name, "x": [int(step) for step in x], "y": [*map(_rounded, y)]}


def _rounded(value: float) -> float:
    """``value`` with five digits, as is where these would be beyond the largest number."""
    rounded = float(f"{value:.5g}")
    return rounded if math.isfinite(rounded) else float(value)


def _epochs(curves: Curves) -> list[list[int]]:
    """Return the first logged step of each epoch, with the epoch."""
    if "epoch" not in curves:
        return []
    steps, epochs = curves["epoch"].astype(np.int64).T
    first = np.flatnonzero(np.diff(epochs, prepend=epochs[0] - 1))
    return [[int(steps[k]), int(epochs[k])] for k in first]


def _times(curves: Curves) -> list[list[int]]:
    """Return the seconds since the start of the run at some of its steps; [] for logs without them."""
    times = curves.get("seconds")
    if times is None:
        return []
    chosen = np.unique(np.linspace(0, len(times) - 1, min(len(times), TIMES)).round().astype(np.int64))
    return [[int(step), round(seconds)] for step, seconds in times[chosen]]


def _number(value: float) -> str:
    """Format a value with four digits, very small and very large ones like 7.5e-5."""
    if value and not 1e-3 <= abs(value) < 1e6:
        digits, power = f"{value:.2e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{float(f'{value:.4g}'):g}"
