"""Times and rates of a machine that does other things as well."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Times:
    """Seconds of repeated runs."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance from fastest to slowest, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / 2 / self.median

    def __str__(self) -> str:
        digits = 2 if self.median >= 0.1 else 4
        return f"{self.median:.{digits}f} s ±{100 * self.spread:.0f} %"


def alternate(runs: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, Times]:
    """Times of every run, which returns its seconds, by turns: what slows the machine down hits all of them.

    Each runs once before, untimed.
    """
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            gc.collect()
            seconds[name].append(run())
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def clock(function: Callable[[], object], device: torch.device, calls: int = 1) -> float:
    """Seconds one call takes, on a GPU until it is done; the mean of ``calls`` that follow each other."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def gemm_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations per second of torch's product of two square matrices, the best of 9.

    2048 rows occupy a few cores; a GPU needs 8192.
    """
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = alternate({"gemm": lambda: clock(lambda: a @ b, device)}, 9)["gemm"]
    return 2 * size**3 / min(times.seconds)


def copy_rate(device: torch.device, size: int = 1 << 28) -> float:
    """Bytes per second that a copy of ``size`` bytes, more than caches hold, reads and writes; the best of 9."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    times = alternate({"copy": lambda: clock(lambda: target.copy_(source), device, calls=4)}, 9)["copy"]
    return 2 * size / min(times.seconds)
