"""What MinkowskiEngine keeps in MinkowskiCommon and programs import from there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ceco3d.minkowski.kernels import int_list


class MinkowskiModuleBase(nn.Module):
    """Base of the layers, for ``isinstance``."""


def convert_to_int_list(arg: Any, dimension: int) -> list[int]:
    """One integer for each axis, from an integer or a sequence. AssertionError for another length."""
    return int_list(arg, dimension)


def convert_to_int_tensor(arg: Any, dimension: int) -> Tensor:
    """(D,) int32: one integer for each axis, from an integer or a sequence. AssertionError for another length."""
    return torch.tensor(int_list(arg, dimension), dtype=torch.int32)
