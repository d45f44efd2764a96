"""A scene with its ground truth and predictions, as pictures and the viewer show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ceco3d.data.labels import LabelSpace
from ceco3d.data.labels.palette import NO_LABEL, distinct_colors
from ceco3d.utils.plain_text import visible

UNCOLORED = 170  # gray of scans without colors
ROUNDING = 1e-3  # by which an averaged probability may leave 0..1


@dataclass(frozen=True)
class Panel:
    """One labeling of the N points of a scene.

    title       display name
    labels      (N,) training index, -1 = none
    confidence  (N,) float32 probability of the label, or None if unknown
    Raises ValueError if the confidence is not a probability.
    """

    title: str
    labels: np.ndarray
    confidence: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.confidence is not None and not is_probability(self.confidence):
            raise ValueError(f"{self.title}: the confidence leaves 0..1")


def is_probability(values: np.ndarray) -> bool:
    """Return whether all values lie within 0..1, up to rounding; NaN does not."""
    return bool(((values >= -ROUNDING) & (values <= 1 + ROUNDING)).all())


@dataclass(frozen=True)
class SegmentedScene:
    """N points with their labelings in one label space.

    coord        (N, 3) float, meters, z up
    color        (N, 3) uint8, or None
    normal       (N, 3) float32, unit length or zero where unknown, or None
    truth        ground truth, or None
    predictions  one panel per network
    """

    name: str
    coord: np.ndarray
    color: np.ndarray | None
    normal: np.ndarray | None
    space: LabelSpace
    truth: Panel | None = None
    predictions: Sequence[Panel] = field(default=())

    def __len__(self) -> int:
        return len(self.coord)

    @property
    def title(self) -> str:
        """The name, with escapes for what is no text."""
        return visible(self.name)

    @property
    def panels(self) -> list[Panel]:
        """The ground truth, if there is one, then the predictions."""
        return [*([self.truth] if self.truth else []), *self.predictions]

    @cached_property
    def counts(self) -> np.ndarray:
        """(P, K + 1) int64 number of points of each class in each panel; points without a label come last."""
        width = len(self.space) + 1
        return np.stack([np.bincount(panel.labels % width, minlength=width) for panel in self.panels])

    @property
    def classes(self) -> np.ndarray:
        """Training indices of the classes that occur in some panel, most points first."""
        points = self.counts[:, :-1].max(0)
        order = np.argsort(-points, kind="stable")
        occurring: np.ndarray = order[points[order] > 0]
        return occurring

    @cached_property
    def palette(self) -> np.ndarray:
        """(K + 1, 3) uint8 class colors, distinct within this scene; the last one means "no label"."""
        colors = distinct_colors(self.space.colors, self.classes)
        return np.concatenate([colors, np.array([NO_LABEL], np.uint8)])

    @property
    def original(self) -> np.ndarray:
        """(N, 3) uint8 colors of the scan, gray if it has none."""
        return np.full((len(self), 3), UNCOLORED, np.uint8) if self.color is None else self.color

    def select(self, index: np.ndarray) -> SegmentedScene:
        """Return the scene reduced to the points at ``index`` (M,)."""

        def part(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[index]

        def of(panel: Panel) -> Panel:
            return Panel(panel.title, panel.labels[index], part(panel.confidence))

        truth = of(self.truth) if self.truth else None
        predictions = [of(panel) for panel in self.predictions]
        return SegmentedScene(
            self.name, self.coord[index], part(self.color), part(self.normal), self.space, truth, predictions
        )
