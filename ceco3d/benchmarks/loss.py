"""What the centre loss costs beside the training step it is part of."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from ceco3d.benchmarks.engines import training_step
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.timing import Times, alternate, clock
from ceco3d.benchmarks.workload import Work
from ceco3d.losses import CenterCollapseLoss

HEADER = ("system", "training step", "centre loss", "share")


def compare_loss(work: Work, system: System, repeats: int) -> dict[str, Any]:
    """Seconds of a training step with cross-entropy alone, and of the centre loss on features of the same size.

    The centre loss is timed forward and backward, down to the gradient of the (N, C) features.
    """
    network = work.network(system)
    torch.manual_seed(0)
    features = torch.randn(len(work), network.feature_channels, device=work.device, requires_grad=True)
    criterion = CenterCollapseLoss(work.classes, network.feature_channels).to(work.device)

    def center_loss() -> None:
        features.grad = None
        criterion(features, work.labels).backward()

    runs = {
        "training_step": partial(training_step, network, work, system),
        "center_loss": center_loss,
    }
    times = alternate({name: partial(clock, run, work.device) for name, run in runs.items()}, repeats)
    return {
        "voxels": len(work),
        "classes": work.classes,
        "system": str(system),
        "seconds": {name: list(found.seconds) for name, found in times.items()},
        "share": times["center_loss"].median / times["training_step"].median,
    }


def loss_title(work: Work) -> str:
    """The line above the table."""
    return f"Centre loss of {len(work):,} voxels, {work.classes} classes, forward and backward"


def loss_row(result: dict[str, Any]) -> tuple[str, ...]:
    """A result as a line of the table with HEADER."""
    step, loss = (str(Times(tuple(result["seconds"][name]))) for name in ("training_step", "center_loss"))
    return result["system"], step, loss, f"{100 * result['share']:.2f} %"
