"""The kernels of ``engine=native``: on the CPU the fastest C++ ones for the dtype, plain torch elsewhere."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from ceco3d.sparse.kernels import gather_gemm
from ceco3d.sparse.kernels.cpu_rates import fastest
from ceco3d.sparse.kernels.protocol import Kernels
from ceco3d.sparse.maps.kernel_map import KernelMap

NARROW = 16  # channels


def forward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    kernel_map: KernelMap,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """See ``Kernels.forward``."""
    return _choose(features).forward(features, weight, bias, kernel_map, residual, relu)


def backward(
    grad_out: Tensor, features: Tensor, weight: Tensor, kernel_map: KernelMap, needs_features: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """See ``Kernels.backward``."""
    return _choose(features).backward(grad_out, features, weight, kernel_map, needs_features, needs_weight)


def _choose(features: Tensor) -> Kernels[KernelMap]:
    found = fastest(features.dtype, features.shape[1] < NARROW) if features.device.type == "cpu" else None
    return cast(Kernels[KernelMap], found or gather_gemm)
