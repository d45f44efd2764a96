"""GPU utilization: the share of time in which kernels run during real training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.profiler import ProfilerActivity, profile, schedule

from ceco3d.utils.errors import UserError

WARMUP = 2  # training steps that the profiler needs to start
COPIES = ("Memcpy", "Memset")


def measure_utilization(train: Callable[[], object], skip: int, steps: int) -> dict[str, Any]:
    """Profile the GPU while ``train`` runs, for ``steps`` optimizer steps after the first ``skip`` (>= WARMUP).

    Returns {"steps", "seconds", "utilization"}: the seconds from the start of the first kernel to the end of the last,
    and the share of them in which a kernel ran; copies do not count. UserError if training has too few steps or runs
    no kernel.
    """
    kernels: list[tuple[float, float]] = []
    plan = schedule(wait=skip - WARMUP, warmup=WARMUP, active=steps, repeat=1)
    with profile(
        activities=[ProfilerActivity.CUDA],
        schedule=plan,
        on_trace_ready=lambda profiler: kernels.extend(_kernel_intervals(profiler)),
    ) as profiler:
        hook = register_optimizer_step_post_hook(lambda *_: profiler.step())
        try:
            train()
        finally:
            hook.remove()
    if profiler.step_num < skip + steps:
        raise UserError(
            f"utilization: training took {profiler.step_num} steps but {skip + steps} are needed; "
            "train longer with utilization.train"
        )
    if not kernels:
        raise UserError("utilization: no kernel ran on a GPU in the profiled steps")
    microseconds, utilization = covered_share(kernels)
    return {"steps": steps, "seconds": microseconds / 1e6, "utilization": utilization}


def _kernel_intervals(profiler: profile) -> list[tuple[float, float]]:
    """(start, end) of every GPU kernel, in microseconds."""
    return [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type.name == "CUDA" and not event.is_user_annotation and not event.name.startswith(COPIES)
    ]


def covered_share(intervals: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """(first start to last end, the share of it that ``intervals`` cover); intervals may overlap."""
    intervals = sorted(intervals)
    first = end = intervals[0][0]
    covered = 0.0
    for start, stop in intervals:
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return end - first, covered / (end - first)
