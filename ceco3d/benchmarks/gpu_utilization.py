"""How much of the time a GPU computes in a real training run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch.autograd import DeviceType
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.profiler import ProfilerActivity, profile, schedule

from ceco3d.utils.errors import UserError

WARMUP = 2  # updates for the profiler to start
COPIES = ("Memcpy", "Memset")


def time_busy(train: Callable[[], object], skip: int, steps: int) -> dict[str, Any]:
    """Watch the GPU while ``train`` runs, over ``steps`` updates of its optimiser after ``skip``, from WARMUP up.

    {"steps", "seconds": from the first kernel to the end of the last, "busy": the share in which any kernel ran}.
    UserError when there are fewer updates, or no kernels.
    """
    kernels: list[tuple[float, float]] = []

    def collect(profiler: profile) -> None:
        kernels.extend(
            (event.time_range.start, event.time_range.end)
            for event in profiler.events()
            if event.device_type == DeviceType.CUDA
            and not event.is_user_annotation
            and not event.name.startswith(COPIES)
        )

    plan = schedule(wait=skip - WARMUP, warmup=WARMUP, active=steps, repeat=1)
    with profile(activities=[ProfilerActivity.CUDA], schedule=plan, on_trace_ready=collect) as profiler:
        hook = register_optimizer_step_post_hook(lambda *_: profiler.step())
        try:
            train()
        finally:
            hook.remove()
    if profiler.step_num < skip + steps:
        raise UserError(f"busy: training took {profiler.step_num} updates, {skip + steps} are needed; see busy.train")
    if not kernels:
        raise UserError("busy: no kernel ran on a GPU in these updates")
    seconds, busy = busy_share(kernels)
    return {"steps": steps, "seconds": seconds / 1e6, "busy": busy}


def busy_share(intervals: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """(time from the first start to the last end, the share of it that ``intervals``, which may overlap, cover)."""
    intervals = sorted(intervals)
    first = end = intervals[0][0]
    covered = 0.0
    for start, stop in intervals:
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return end - first, covered / (end - first)
