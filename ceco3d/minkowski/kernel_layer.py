"""What layers with a kernel share."""

from __future__ import annotations

from typing import Any

from ceco3d.minkowski.common import MinkowskiModuleBase
from ceco3d.minkowski.kernels import KernelGenerator
from ceco3d.minkowski.sparse_tensor import SparseTensor


class KernelLayer(MinkowskiModuleBase):
    """Base of layers that compute over a kernel, ``kernel_generator``, of ``dimension`` axes.

    AssertionError, as MinkowskiEngine raises, without a dimension and for a tensor of other axes.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any,
        dilation: Any,
        kernel_generator: KernelGenerator | None,
        dimension: int | None,
    ) -> None:
        super().__init__()
        if dimension is None or dimension < 1:
            raise AssertionError(f"Invalid dimension. Please provide a valid dimension argument. dimension={dimension}")
        if kernel_generator is None:
            kernel_generator = KernelGenerator(kernel_size, stride, dilation, dimension=dimension)
        self.kernel_generator, self.dimension = kernel_generator, dimension

    def _check(self, x: SparseTensor) -> None:
        if not isinstance(x, SparseTensor):
            raise AssertionError(f"expected a SparseTensor, got {type(x).__name__}")
        if self.dimension != x.D:
            raise AssertionError(f"the tensor has {x.D} axes, the layer {self.dimension}")
