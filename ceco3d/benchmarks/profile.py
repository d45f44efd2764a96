"""Where a training step goes: the time of the host, and every kernel with its launches and time.

On a CPU, which has no kernels, torch's operators take their place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from ceco3d.benchmarks.engines import training_step
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.workload import Workload

HEADER = ("kernel", "ms", "launches", "share")
WARMUP = 3  # steps
STEPS = 2  # profiled
MOST = 30  # lines of the table


def profile_step(workload: Workload, system: System) -> dict[str, Any]:
    """{"system", "voxels", "step", "host", "busy", "launches", "kernels": {name: {"seconds", "launches"}}} of one step.

    step      seconds until the GPU is done
    host      seconds until the host has queued everything
    busy      seconds of all kernels together
    """
    network = workload.network(system)
    for _ in range(WARMUP):
        training_step(network, workload, system)
    cuda = workload.device.type == "cuda"
    wait = torch.cuda.synchronize if cuda else (lambda: None)
    wait()
    start = time.perf_counter()
    training_step(network, workload, system)
    host = time.perf_counter() - start
    wait()
    step = time.perf_counter() - start
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as profiler:
        for _ in range(STEPS):
            training_step(network, workload, system)
        wait()
    kernels = _kernels(profiler, cuda)
    return {
        "system": str(system),
        "voxels": len(workload),
        "step": step,
        "host": host,
        "busy": sum(kernel["seconds"] for kernel in kernels.values()),
        "launches": sum(kernel["launches"] for kernel in kernels.values()),
        "kernels": kernels,
    }


def _kernels(profiler: profile, cuda: bool) -> dict[str, dict[str, float]]:
    """{name: seconds and launches of a step}, the slowest first."""
    found: dict[str, dict[str, float]] = {}
    for event in profiler.events():
        if cuda and (event.device_type.name != "CUDA" or event.is_user_annotation):
            continue
        microseconds = event.time_range.elapsed_us() if cuda else event.self_cpu_time_total
        kernel = found.setdefault(event.name, {"seconds": 0.0, "launches": 0.0})
        kernel["seconds"] += microseconds / 1e6 / STEPS
        kernel["launches"] += 1 / STEPS
    return dict(sorted(found.items(), key=lambda item: -item[1]["seconds"]))


def profile_title(result: dict[str, Any]) -> str:
    """The title of the table."""
    return (
        f"{result['system']}, {result['voxels']:,} voxels: step {1e3 * result['step']:.1f} ms, queued by the host "
        f"after {1e3 * result['host']:.1f} ms, kernels {1e3 * result['busy']:.1f} ms in "
        f"{result['launches']:,.0f} launches"
    )


def profile_rows(result: dict[str, Any]) -> Sequence[tuple[str, ...]]:
    """The table, under HEADER: the MOST kernels that take longest."""
    return [
        (
            name[:80],
            f"{1e3 * kernel['seconds']:.2f}",
            f"{kernel['launches']:,.0f}",
            f"{100 * kernel['seconds'] / result['busy']:.1f} %",
        )
        for name, kernel in list(result["kernels"].items())[:MOST]
    ]
