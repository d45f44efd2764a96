"""Text of figures as it is: matplotlib reads "$" as mathematics and drops names that begin with "_"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import LogFormatter

from ceco3d.utils.plain_text import LINES, visible

STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
}  # the keys are typed as literals


@contextmanager
def plain_figures() -> Iterator[None]:
    """In the body, texts are made and drawn without mathematics."""
    with matplotlib.rc_context(STYLE):
        yield


def add_legend(figure: Figure, handles: Sequence[Artist], names: Sequence[str], **options: Any) -> Legend:
    """Add a legend with ``names``, whatever they begin with."""
    legend = figure.legend(handles, ["-"] * len(handles), **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(visible(name, LINES))
    return legend


class PlainLogFormatter(LogFormatter):
    """Labels powers of ten as plain numbers, as in 10,000 and 0.01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of the tick at ``x``."""
        shown = f"{x:,.0f}" if x >= 1 else f"{x:g}"
        return shown if super().__call__(x, pos) else ""
