"""A scene with the labels that people and networks gave it: what pictures and the viewer show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.visualization.palette import NO_LABEL, distinct_colors

UNCOLORED = 170  # grey of scans without colours


@dataclass(frozen=True)
class Panel:
    """Labels of the N points of a scene.

    title       what a picture calls it
    labels      (N,) training index, -1 = none
    confidence  (N,) float32 probability of the label, or None where it is not known
    """

    title: str
    labels: np.ndarray
    confidence: np.ndarray | None = None


@dataclass(frozen=True)
class SegmentedScene:
    """N points and their labels.

    coord        (N, 3) float, metres, z up
    color        (N, 3) uint8, or None
    normal       (N, 3) float32, unit length or zero where unknown, or None
    truth        ground truth, or None
    predictions  one panel each
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
    def panels(self) -> list[Panel]:
        """The ground truth, where there is one, and the predictions."""
        return [*([self.truth] if self.truth else []), *self.predictions]

    @cached_property
    def counts(self) -> np.ndarray:
        """(P, K + 1) int64: points of each class in each panel, those without a label last."""
        width = len(self.space) + 1
        return np.stack([np.bincount(panel.labels % width, minlength=width) for panel in self.panels])

    @property
    def classes(self) -> np.ndarray:
        """Training indices of the classes that occur in a panel, those with the most points first."""
        points = self.counts[:, :-1].max(0)
        order = np.argsort(-points, kind="stable")
        return order[points[order] > 0]

    @cached_property
    def palette(self) -> np.ndarray:
        """(K + 1, 3) uint8: colours of the classes, told apart in this scene; the last one is of no label."""
        colors = distinct_colors(self.space.colors, self.classes)
        return np.concatenate([colors, np.array([NO_LABEL], np.uint8)])

    @property
    def original(self) -> np.ndarray:
        """(N, 3) uint8: the colours of the scan, grey where it has none."""
        return np.full((len(self), 3), UNCOLORED, np.uint8) if self.color is None else self.color

    def select(self, index: np.ndarray) -> SegmentedScene:
        """The points at ``index`` (M,)."""

        def part(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[index]

        def of(panel: Panel) -> Panel:
            return Panel(panel.title, panel.labels[index], part(panel.confidence))

        truth = of(self.truth) if self.truth else None
        predictions = [of(panel) for panel in self.predictions]
        return SegmentedScene(
            self.name, self.coord[index], part(self.color), part(self.normal), self.space, truth, predictions
        )
