"""What the training loop logs and shows: the values of a step, and those of a validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from ceco3d.inference.evaluation import Evaluation
from ceco3d.runs.metrics_csv import LOOP_COLUMNS, VALIDATION
from ceco3d.utils.distributed import reduce
from ceco3d.utils.errors import UserError


def check_terms(names: Iterable[str]) -> None:
    """UserError if a loss returns a value by a name that the log needs for something else."""
    for name in names:
        if name in LOOP_COLUMNS or name.startswith(VALIDATION):
            raise UserError(f"loss: returns {name!r}, a name that the log uses for something else; rename that value")


def mean_over_processes(values: Mapping[str, float]) -> dict[str, float]:
    """The mean of each value over all processes."""
    means = reduce(torch.tensor(list(values.values()), dtype=torch.float64), "mean").tolist()
    return dict(zip(values, means, strict=True))


def gpu_memory(device: torch.device) -> dict[str, float]:
    """``gpu_gib``, the peak memory of tensors so far, and ``gpu_reserved_gib``, what torch holds; empty on a CPU."""
    if device.type != "cuda":
        return {}
    sizes = torch.cuda.max_memory_allocated(device), torch.cuda.memory_reserved(device)
    return dict(zip(("gpu_gib", "gpu_reserved_gib"), (size / 2**30 for size in sizes), strict=True))


def validation_values(evaluation: Evaluation) -> dict[str, float]:
    """``val_miou``, ``val_head``, ``val_common``, ``val_tail`` and ``val_accuracy``, where the scenes have labels."""
    scores = evaluation.scores
    values = {f"{VALIDATION}{key}": scores[key]["present"] for key in ("miou", "head", "common", "tail")}
    values[f"{VALIDATION}accuracy"] = scores["accuracy"]
    return {key: value for key, value in values.items() if value is not None}
