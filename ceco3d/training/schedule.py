"""Schedules of learning rate and momentum: pure functions of training progress, so resuming needs no state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# progress in [0, 1] -> factor of the peak learning rate
Schedule = Callable[[float], float]


@dataclass(frozen=True)
class OneCycle:
    """Cosine rise from 1/start_divisor to 1 during ``warmup``, then cosine fall to 1/final_divisor (Smith & Topin).

    momentum: the optimizer's at the start and at the peak of the rate, which it follows inversely, as torch's
    ``OneCycleLR`` does by default; None leaves it as it is.
    """

    warmup: float = 0.05
    start_divisor: float = 10.0
    final_divisor: float = 1e5
    momentum: tuple[float, float] | None = None

    def __call__(self, progress: float) -> float:
        return self._cycle(1 / self.start_divisor, 1.0, 1 / self.final_divisor, progress)

    def momentum_at(self, progress: float) -> float | None:
        """The momentum, or beta1 of Adam, at ``progress``; None: that of the optimizer."""
        return None if self.momentum is None else self._cycle(*self.momentum, self.momentum[0], progress)

    def _cycle(self, start: float, peak: float, end: float, progress: float) -> float:
        if progress < self.warmup:
            return _cosine(start, peak, progress / self.warmup)
        return _cosine(peak, end, (progress - self.warmup) / (1 - self.warmup))


@dataclass(frozen=True)
class Poly:
    """``(1 - progress) ** power``."""

    power: float = 0.9

    def __call__(self, progress: float) -> float:
        return (1 - progress) ** self.power


@dataclass(frozen=True)
class MultiStep:
    """Multiplies by ``gamma`` after each of ``milestones`` (fractions of training)."""

    milestones: Sequence[float]
    gamma: float

    def __call__(self, progress: float) -> float:
        return self.gamma ** sum(progress >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Exponential:
    """Multiplies by ``gamma`` after each of ``drops`` equal parts of training."""

    gamma: float
    drops: int

    def __call__(self, progress: float) -> float:
        return self.gamma ** math.floor(progress * self.drops)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
