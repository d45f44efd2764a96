"""Weights of the classes in the point loss: from a file, or from the training points of each class."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line


def weights_from_counts(points: Tensor, beta: float, power: float) -> Tensor:
    """(K,) float64 weights of classes with ``points`` (K,) > 0, up to a factor.

    (1 - beta) / (1 - beta^n) of Cui et al. (CVPR 2019), which is flat above about 1 / (1 - beta) points, times
    n^-power: 1 is the inverse frequency, 0.5 its square root.
    """
    return (1 - beta) / (1 - beta**points) * points**-power


def read_weights(path: Path, names: Sequence[str]) -> Tensor:
    """(K,) float64: the weight of each of the classes ``names`` from a CSV file with the columns name and weight.

    Other classes in the file do not count. UserError if the file is missing or not such a table, if it lacks a class,
    and for weights that are negative or not finite.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        found = {row["name"].strip(): float(row["weight"]) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"loss.point.weights={path}: cannot be read ({error})") from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"loss.point.weights={path}: not a table of weights ({one_line(error, 60)}); it needs the columns name and "
            "weight"
        ) from error
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"loss.point.weights={path}: has no weight for {', '.join(missing[:5])}; add a line for each")
    for name in names:
        if not math.isfinite(found[name]) or found[name] < 0:
            raise UserError(f"loss.point.weights={path}: {name} has the weight {found[name]}; it must be 0 or more")
    return torch.tensor([found[name] for name in names], dtype=torch.float64)
