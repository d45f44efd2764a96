"""What a study could have found: detectable differences, and noise over seeds and over rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from ceco3d.data.labels import GROUPS, LabelSpace
from ceco3d.reports.study_statistics import detectable, mean_and_deviation, paired
from ceco3d.runs.folder import RoomSums

DRAWS = 1000  # of the bootstrap


class ScoredRun(Protocol):
    """What the noise is computed from, see ``study.StudyRun``."""

    @property
    def values(self) -> Mapping[str, float]: ...
    @property
    def rooms(self) -> RoomSums | None: ...
    @property
    def space(self) -> LabelSpace: ...


def power_rows(
    values: Mapping[str, Mapping[str, Mapping[str, float]]], baseline: str, keys: Sequence[str]
) -> list[tuple[str, ...]]:
    """For each other name: the smallest differences from ``baseline`` that a study of these seeds finds."""
    rows = []
    for name, runs in values.items():
        found = [detectable(paired(runs, values[baseline], key)) for key in keys]
        if name != baseline and any(value is not None for value in found):
            rows.append((name, *("-" if value is None else f"{value:.2f}" for value in found)))
    return rows


def noise_rows(results: Mapping[str, Mapping[str, ScoredRun]], baseline: str) -> list[tuple[str, ...]]:
    """Standard deviations of one run over seeds and over rooms, and of the difference from ``baseline``.

    Rooms are drawn with replacement, the same for all runs. [] if no runs share the rooms that they were scored on.
    """
    samples = {name: {seed: bootstrap(run) for seed, run in runs.items()} for name, runs in results.items()}
    rows = []
    for name, runs in results.items():
        drawn = [sample for sample in samples[name].values() if sample is not None]
        if drawn:
            rows.append((name, "rooms", *_cells(np.mean([sample.std(0) for sample in drawn], 0))))
            if len(runs) > 1:
                keys = ("miou", *GROUPS)
                seeds = [[run.values[key] for run in runs.values() if key in run.values] for key in keys]
                rows.append((name, "seeds", *_cells([mean_and_deviation(one)[1] if one else np.nan for one in seeds])))
        pairs = []
        for seed, sample in samples[name].items():
            other = samples[baseline].get(seed)
            if sample is not None and other is not None and _same_rooms(runs[seed], results[baseline][seed]):
                pairs.append(sample - other)
        if name != baseline and pairs:
            rows.append((f"{name} - {baseline}", "rooms", *_cells(np.mean([pair.std(0) for pair in pairs], 0))))
    return rows


def _same_rooms(first: ScoredRun, second: ScoredRun) -> bool:
    """Whether two runs were scored on rooms with the same numbers of labeled points."""
    labeled = [run.rooms.sums[:, 1].sum(1) for run in (first, second) if run.rooms is not None]
    return np.array_equal(*labeled)


def bootstrap(run: ScoredRun) -> np.ndarray | None:
    """(DRAWS, 4) mIoU, head, common and tail in percent (classes present) on rooms drawn again; None without rooms.

    Draws depend on the number of rooms alone, so that runs on the same rooms are scored on the same draws. A group
    without classes is NaN.
    """
    if run.rooms is None or len(run.rooms.sums) < 2:
        return None
    rooms = len(run.rooms.sums)
    weights = np.random.default_rng(0).multinomial(rooms, np.full(rooms, 1 / rooms), DRAWS)
    correct, truth, predicted = np.moveaxis(np.tensordot(weights, run.rooms.sums.astype(np.float64), 1), 1, 0)
    union = truth + predicted - correct
    iou = np.where(truth > 0, correct / np.maximum(union, 1), np.nan)
    members = [np.isin(run.rooms.classes, run.space.groups.get(group, ())) for group in GROUPS]
    return 100 * np.stack([_mean(iou), *(_mean(iou[:, own]) for own in members)], 1)


def _mean(iou: np.ndarray) -> np.ndarray:
    """The mean over the second axis of the values that are numbers; NaN without any."""
    known = np.isfinite(iou)
    total = np.where(known, iou, 0).sum(1)
    return np.divide(total, known.sum(1), out=np.full(len(iou), np.nan), where=known.any(1))


def _cells(values: Sequence[float] | np.ndarray) -> list[str]:
    return [f"{value:.2f}" if np.isfinite(value) else "-" for value in values]
