"""How much of the time a GPU computes in a real training run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

from torch.autograd import DeviceType
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.profiler import ProfilerActivity, profile, schedule

from ceco3d.config import compose_config
from ceco3d.errors import UserError
from ceco3d.training.run import train

COPIES = ("Memcpy", "Memset")


def time_busy(overrides: Sequence[str], skip: int, steps: int) -> dict[str, Any]:
    """Run ``python -m ceco3d.train`` with ``overrides`` and watch the GPU over ``steps`` updates, after ``skip``.

    {"steps", "seconds": from the first kernel to the end of the last, "busy": the share in which any kernel ran}.
    UserError when the run is over before, or for what ``train`` refuses.
    """
    found: list[tuple[float, float]] = []

    def collect(profiler: profile) -> None:
        found.extend(
            (event.time_range.start, event.time_range.end)
            for event in profiler.events()
            if event.device_type == DeviceType.CUDA
            and not event.is_user_annotation
            and not event.name.startswith(COPIES)
        )

    plan = schedule(wait=max(skip - 2, 0), warmup=2, active=steps, repeat=1)
    with tempfile.TemporaryDirectory() as folder:
        cfg = compose_config("train", ["device=cuda", *overrides, f"run_dir={folder}"])
        with profile(activities=[ProfilerActivity.CUDA], schedule=plan, on_trace_ready=collect) as profiler:
            hook = register_optimizer_step_post_hook(lambda *_: profiler.step())
            try:
                train(cfg)
            finally:
                hook.remove()
    if profiler.step_num < skip + steps:
        raise UserError(f"busy: the run took {profiler.step_num} updates; {skip + steps} are needed: busy.train=[...]")
    seconds, busy = busy_share(found)
    return {"steps": steps, "seconds": seconds / 1e6, "busy": busy}


def busy_share(intervals: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """(time from the first start to the last end, the share of it that ``intervals``, which may overlap, cover)."""
    intervals = sorted(intervals)
    first, covered, end = intervals[0][0], 0.0, intervals[0][0]
    for start, stop in intervals:
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return end - first, covered / (end - first)
