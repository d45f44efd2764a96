"""Learning-rate schedules: pure functions of training progress, so resuming needs no state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# progress in [0, 1] -> factor of the peak learning rate
Schedule = Callable[[float], float]


@dataclass(frozen=True)
class OneCycle:
    """Cosine rise from 1/start_divisor to 1 during ``warmup``, then cosine fall to 1/final_divisor (Smith & Topin)."""

    warmup: float = 0.05
    start_divisor: float = 10.0
    final_divisor: float = 1e5

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return _cosine(1 / self.start_divisor, 1.0, progress / self.warmup)
        return _cosine(1.0, 1 / self.final_divisor, (progress - self.warmup) / (1 - self.warmup))


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
