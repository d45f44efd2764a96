"""Times and rates on a machine that may be doing other work."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Times:
    """Seconds of repeated runs, and of the untimed ``first`` one, which compiles and fills caches."""

    seconds: tuple[float, ...]
    first: float = math.nan

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the range from fastest to slowest, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / 2 / self.median

    def __str__(self) -> str:
        digits = 2 if self.median >= 0.1 else 4
        return f"{self.median:.{digits}f} s ±{100 * self.spread:.0f} %"


def alternate(runs: Mapping[Name, Callable[[], float]], repeats: int) -> dict[Name, Times]:
    """Call the ``runs`` in turn, ``repeats`` times, so that a slow moment of the machine hits all of them.

    Each run returns its own seconds. It is called once more before, untimed.
    """
    first = {name: run() for name, run in runs.items()}
    seconds: dict[Name, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            gc.collect()
            seconds[name].append(run())
    return {name: Times(tuple(values), first[name]) for name, values in seconds.items()}


def clock(function: Callable[[], object], device: torch.device, calls: int = 1) -> float:
    """Mean seconds of ``calls`` consecutive calls; on a GPU, until the GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def gemm_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations per second of torch's product of two large square matrices, best of 9.

    2048 rows keep a few cores busy; a GPU needs 8192.
    """
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = alternate({"gemm": lambda: clock(lambda: a @ b, device)}, 9)["gemm"]
    return 2 * size**3 / min(times.seconds)


def copy_rate(device: torch.device, size: int = 1 << 28) -> float:
    """Bytes per second that a copy of ``size`` bytes reads and writes, best of 9; ``size`` must exceed the caches."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    times = alternate({"copy": lambda: clock(lambda: target.copy_(source), device, calls=4)}, 9)["copy"]
    return 2 * size / min(times.seconds)
