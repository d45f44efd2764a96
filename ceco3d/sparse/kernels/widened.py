"""Kernels for 16-bit types by way of float32, for processors that multiply those no faster."""

from __future__ import annotations

import torch
from torch import Tensor

from ceco3d.sparse.kernels import cpu
from ceco3d.sparse.maps.kernel_map import KernelMap


def supports(dtype: torch.dtype) -> bool:
    """Whether these kernels run here in ``dtype``."""
    return dtype in (torch.bfloat16, torch.float16) and cpu.supports(torch.float32)


def forward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    kernel_map: KernelMap,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """See ``Kernels.forward``."""
    residual = None if residual is None else residual.float()
    return cpu.forward(features.float(), weight, bias, kernel_map, residual, relu).to(features.dtype)


def backward(
    grad_out: Tensor, features: Tensor, weight: Tensor, kernel_map: KernelMap, needs_features: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """See ``Kernels.backward``."""
    grad_features, grad_weight = cpu.backward(
        grad_out.float(), features.float(), weight, kernel_map, needs_features, needs_weight
    )
    return None if grad_features is None else grad_features.to(features.dtype), grad_weight
