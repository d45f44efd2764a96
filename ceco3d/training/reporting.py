"""What the training loop logs and shows: the values of a step, and those of a validation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from ceco3d.inference.evaluation import Evaluation
from ceco3d.runs.metrics_csv import LOOP_COLUMNS, VALIDATION
from ceco3d.sparse.engine import describe_engine
from ceco3d.training.settings import RunSettings
from ceco3d.utils.device import describe_precision
from ceco3d.utils.distributed import reduce
from ceco3d.utils.errors import UserError

POSITION = ("epoch", "seconds")  # where every row is in the run, besides its step


def describe_machinery(settings: RunSettings, device: torch.device, dtype: torch.dtype, augments: bool) -> str:
    """How a run computes and why, for its title; ``augments``: as in ``Prefetcher``."""
    parts = [f"engine {describe_engine(settings.engine, device, dtype)}"]
    parts += [describe_precision(settings.precision, device, dtype)]
    parts += [f"augmented {'there' if augments else 'by the loader'}"]
    return f"on {device}: {', '.join(parts)}"


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
    return {f"{VALIDATION}{key}": value for key, value in evaluation.values().items()}


def validation_text(values: Mapping[str, float]) -> str:
    """``validation_values`` for people, in percent."""
    names = {"miou": "mIoU"}
    shown = {key.removeprefix(VALIDATION): value for key, value in values.items()}
    return " ".join(f"{names.get(key, key)} {100 * value:.1f}%" for key, value in shown.items())


def step_texts(
    epoch: int, step: int, total: int, losses: Sequence[str], values: Mapping[str, float], rate: float
) -> list[str]:
    """What the progress line says about a step, the most important first."""
    terms = [f"{name} {values[name]:.3f}" for name in losses if name != "grad_norm"]
    speed = f"{values['voxels_per_second'] / 1000:.1f}k voxels/s"
    return [f"epoch {epoch} step {step}/{total}", *terms, speed, f"lr {rate:.2g}"]


class Clock:
    """The wall-clock seconds of a run: those ``before`` it was resumed, and those since this object was made."""

    def __init__(self, before: float = 0.0) -> None:
        self._start = time.monotonic() - before

    @property
    def seconds(self) -> float:
        """Seconds so far, to a hundredth."""
        return round(time.monotonic() - self._start, 2)


def tag(name: str) -> str:
    """The name of a value in its group: ``val/miou`` of ``val_miou``, ``train/loss`` of ``loss``."""
    for group in ("val", "test"):
        if name.startswith(f"{group}_"):
            return f"{group}/{name.removeprefix(f'{group}_')}"
    return f"train/{name}"


def flat_settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested settings by dotted key; lists as text, unset ones left out."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flat_settings(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat
