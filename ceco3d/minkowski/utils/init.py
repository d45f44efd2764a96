"""Initial values of kernels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fill a kernel (K, Cin, Cout) or (Cin, Cout) with draws of variance gain^2 / fan (He et al., ICCV 2015).

    The fan is Cin * K, or Cout * K for ``mode="fan_out"``. With two axes it is that of a linear weight (Cout, Cin), as
    in MinkowskiEngine. ValueError for another mode and for fewer than two axes.
    """
    with torch.no_grad():
        gain = nn.init.calculate_gain(nonlinearity, a)  # type: ignore[arg-type]  # torch lists the names
        return tensor.normal_(0, gain / math.sqrt(_fan(tensor.shape, mode.lower())))


def _fan(shape: torch.Size, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode {mode!r} must be fan_in or fan_out")
    if len(shape) < 2:
        raise ValueError(f"the kernel must have two axes or more, got {tuple(shape)}")
    if len(shape) == 2:
        return shape[1] if mode == "fan_in" else shape[0]
    return shape[0] * (shape[1] if mode == "fan_in" else shape[2])
