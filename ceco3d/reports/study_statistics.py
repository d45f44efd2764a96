"""Means over seeds, paired differences, and the power of a paired test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

POWER = 0.8  # of a test: the chance that it finds a difference


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation (n - 1 in the denominator; NaN for a single value)."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def paired(
    runs: Mapping[str, Mapping[str, float]], baseline: Mapping[str, Mapping[str, float]], key: str
) -> list[float]:
    """``runs - baseline`` of each shared seed that has ``key`` in both."""
    shared = [seed for seed in runs if key in runs[seed] and key in baseline.get(seed, {})]
    return [runs[seed][key] - baseline[seed][key] for seed in shared]


def paired_difference(
    runs: Mapping[str, Mapping[str, float]], baseline: Mapping[str, Mapping[str, float]], key: str
) -> tuple[float, float, float] | None:
    """Return the mean of ``runs - baseline`` over shared seeds and its 95 % interval (Student's t).

    None for fewer than two shared seeds.
    """
    differences = paired(runs, baseline, key)
    if len(differences) < 2:
        return None
    mean, deviation = mean_and_deviation(differences)
    half = _quantile(0.975, len(differences)) * deviation / math.sqrt(len(differences))
    return mean, mean - half, mean + half


def detectable(differences: Sequence[float]) -> float | None:
    """The smallest true difference whose 95 % interval leaves out 0 with a chance of POWER, at as many pairs as these.

    (t_0.975 + t_POWER) * deviation / sqrt(n), the usual approximation; None for fewer than two pairs.
    """
    if len(differences) < 2:
        return None
    quantiles = _quantile(0.975, len(differences)) + _quantile(POWER, len(differences))
    return quantiles * mean_and_deviation(differences)[1] / math.sqrt(len(differences))


def _quantile(probability: float, pairs: int) -> float:
    from scipy.stats import t as student  # takes half a second, which every command would pay

    return float(student.ppf(probability, pairs - 1))
