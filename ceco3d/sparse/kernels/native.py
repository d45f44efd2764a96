"""The kernels of ``engine=native``: C++ where it supports the device and dtype, plain torch elsewhere."""

from __future__ import annotations

from torch import Tensor

from ceco3d.sparse.kernels import cpu, gather_gemm, tiles
from ceco3d.sparse.kernels.protocol import Kernels
from ceco3d.sparse.maps.kernel_map import KernelMap


def forward(features: Tensor, weight: Tensor, bias: Tensor | None, kernel_map: KernelMap) -> Tensor:
    """See ``Kernels.forward``."""
    return _choose(features).forward(features, weight, bias, kernel_map)


def backward(
    grad_out: Tensor, features: Tensor, weight: Tensor, kernel_map: KernelMap, needs_features: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """See ``Kernels.backward``."""
    return _choose(features).backward(grad_out, features, weight, kernel_map, needs_features, needs_weight)


def _choose(features: Tensor) -> Kernels[KernelMap]:
    if features.device.type == "cpu":
        for kernels in (tiles, cpu):
            if kernels.supports(features.dtype):
                return kernels
    return gather_gemm
