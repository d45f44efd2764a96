"""What the center loss costs, next to a full training step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ceco3d.benchmarks.engines import training_step
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.timing import Times, alternate, clock
from ceco3d.benchmarks.workload import Workload
from ceco3d.losses import CenterCollapseLoss

HEADER = ("system", "training step", "center loss", "share")


def compare_loss(workload: Workload, system: System, repeats: int) -> dict[str, Any]:
    """Seconds of a training step with cross-entropy alone, and of the center loss on features of the same size.

    The center loss is timed forward and backward, down to the gradient of the (N, C) features.
    """
    network = workload.network(system)
    torch.manual_seed(0)
    features = torch.randn(len(workload), network.feature_channels, device=workload.device, requires_grad=True)
    criterion = CenterCollapseLoss(workload.classes, network.feature_channels).to(workload.device)

    def center_loss() -> None:
        features.grad = None
        criterion(features, workload.labels).backward()

    runs: dict[str, Callable[[], None]] = {
        "training_step": partial(training_step, network, workload, system),
        "center_loss": center_loss,
    }
    times = alternate({name: partial(clock, run, workload.device) for name, run in runs.items()}, repeats)
    return {
        "voxels": len(workload),
        "classes": workload.classes,
        "system": str(system),
        "seconds": {name: list(measured.seconds) for name, measured in times.items()},
        "share": times["center_loss"].median / times["training_step"].median,
    }


def loss_title(workload: Workload) -> str:
    """The title of the table."""
    return f"Center loss on {len(workload):,} voxels, {workload.classes} classes, forward and backward"


def loss_row(result: dict[str, Any]) -> tuple[str, ...]:
    """The table row of one result, under HEADER."""
    step, loss = (str(Times(tuple(result["seconds"][name]))) for name in ("training_step", "center_loss"))
    return result["system"], step, loss, f"{100 * result['share']:.2f} %"
