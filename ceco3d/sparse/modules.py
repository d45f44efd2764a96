"""Layers on sparse tensors. Parameter names and shapes are MinkowskiEngine's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ceco3d.sparse import operators
from ceco3d.sparse.convolution import check_features, convolve, product_dtype
from ceco3d.sparse.kernels import native, normalize
from ceco3d.sparse.kernels.gather_gemm import prepare
from ceco3d.sparse.kernels.protocol import Kernels, NormKernels
from ceco3d.sparse.maps.kernel_map import CoordinateManager
from ceco3d.sparse.normalization import batch_norm
from ceco3d.sparse.tensor import SparseTensor, check_same_voxels


class Layer(nn.Module):
    """A module that maps one sparse tensor to another."""

    if TYPE_CHECKING:  # nn.Module.__call__ returns Any

        def __call__(self, x: SparseTensor) -> SparseTensor: ...


class ConvolutionBase(Layer):
    """Base of both convolutions: ``kernel`` (K^3, Cin, Cout), or (Cin, Cout) for K = 1; ``bias`` (1, Cout) or None.

    ``cast`` is a copy of the kernel in the dtype of the products, where ``cast_weights`` made one.

    Both parameters start uniform in +-1/sqrt(channels * K^3) as in MinkowskiEngine, with channels = Cin,
    or Cout if transposed. ``engine`` is the name by which a graph of torch finds the kernels.
    """

    engine: ClassVar[str] = "native"
    cast: Tensor | None = None

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, bias: bool) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = kernel_size, stride
        volume = kernel_size**3
        self.kernel = nn.Parameter(
            torch.empty((volume, in_channels, out_channels) if volume > 1 else (in_channels, out_channels))
        )
        self.bias = nn.Parameter(torch.empty(1, out_channels)) if bias else None
        bound = 1 / math.sqrt(self._fan() * volume)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    if TYPE_CHECKING:

        def __call__(
            self, x: SparseTensor, residual: SparseTensor | None = None, relu: bool = False
        ) -> SparseTensor: ...

    def _fan(self) -> int:
        return self.in_channels

    def _check(self, x: SparseTensor) -> None:
        if not isinstance(x, SparseTensor):
            raise TypeError(
                f"expected a SparseTensor, got {type(x).__name__}: pass SparseTensor(features, coordinates)"
            )
        check_features(x.rows, self.kernel, self.in_channels)

    @staticmethod
    def _finish(rows: Tensor, residual: SparseTensor | None, relu: bool) -> Tensor:
        """``rows``, overwritten, with the residual and the ReLU of kernels that have none."""
        rows = rows if residual is None else rows.add_(residual.rows)
        return rows.relu_() if relu else rows

    def _convolve(
        self,
        x: SparseTensor,
        fine: int,
        coarse: int,
        residual: SparseTensor | None,
        relu: bool,
        transpose: bool = False,
    ) -> Tensor:
        """Output rows of a convolution from the level of stride ``fine`` to ``coarse``, or of its transpose."""
        weight = self.kernel.reshape(-1, self.in_channels, self.out_channels)
        bias = None if self.bias is None else self.bias.flatten()
        rows = None if residual is None else residual.rows
        if torch.compiler.is_compiling():
            features, out = x.rows.to(product_dtype(x.rows)), x.manager.keys(fine if transpose else coarse)
            where = operators.held(x.manager), out.shape[0], fine, coarse, self.kernel_size, transpose
            product: Tensor = operators.convolve(features, weight, bias, rows, *where, relu, self.engine)
            return product
        kernel_map, kernels = self._kernel_map(x, fine, coarse)
        kernel_map = kernel_map.transposed() if transpose else kernel_map
        return convolve(x.rows, weight, kernel_map, kernels, bias, rows, relu, self.cast)

    def takes_cast(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether ``cast`` saves a conversion of the weight to ``dtype``. An engine overrides this."""
        return False

    def _kernel_map(self, x: SparseTensor, fine: int, coarse: int) -> tuple[Any, Kernels[Any]]:
        return self.find_map(x.manager, fine, coarse, self.kernel_size, x.rows.device, product_dtype(x.rows))

    # Any: the kernel map has the type that its kernels take, which differs between engines.
    @classmethod
    def find_map(
        cls,
        manager: CoordinateManager,
        fine: int,
        coarse: int,
        kernel_size: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> tuple[Any, Kernels[Any]]:
        """The map between two levels and the kernels that use it. An engine overrides this.

        dtype  in which the products are computed
        """
        kernel_map = manager.kernel_map(fine, coarse, kernel_size)
        prepare(kernel_map)
        return kernel_map, native

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"


class Convolution(ConvolutionBase):
    """Sparse convolution. Stride 1 keeps the voxels (submanifold); stride s makes the level s times coarser."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = False
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias)

    def forward(self, x: SparseTensor, residual: SparseTensor | None = None, relu: bool = False) -> SparseTensor:
        """(N, Cin) at stride t -> (M, Cout) at stride t * stride.

        In inference, adds ``residual``, which lies on the output's voxels, and ends with a ReLU, if asked to.
        """
        self._check(x)
        if self.kernel_size == 1 and self.stride == 1:
            product = x.rows @ self.kernel if self.bias is None else torch.addmm(self.bias, x.rows, self.kernel)
            return x.with_rows(self._finish(product, residual, relu))
        out_stride = x.manager.downsample(x.stride, self.stride)
        return x.at_stride(out_stride, self._convolve(x, x.stride, out_stride, residual, relu))

    def build_map(self, x: SparseTensor, stride: int) -> int:
        """Build the map that ``forward`` needs for an input at ``stride`` on the voxels of ``x``.

        Returns the stride of the output. On a GPU the host waits here, and then not in ``forward``.
        """
        out_stride = x.manager.downsample(stride, self.stride)
        self._kernel_map(x, stride, out_stride)
        return out_stride


class TransposedConvolution(ConvolutionBase):
    """The transpose of a strided convolution: returns to the voxels of the existing finer level."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias)

    def _fan(self) -> int:
        return self.out_channels

    def forward(self, x: SparseTensor, residual: SparseTensor | None = None, relu: bool = False) -> SparseTensor:
        """(M, Cin) at stride t -> (N, Cout) at stride t / stride. ValueError when that level does not exist.

        In inference, adds ``residual``, which lies on the output's voxels, and ends with a ReLU, if asked to.
        """
        self._check(x)
        out_stride, rest = divmod(x.stride, self.stride)
        if rest:
            raise ValueError(f"cannot go from stride {x.stride} up by a factor of {self.stride}")
        return x.at_stride(out_stride, self._convolve(x, out_stride, x.stride, residual, relu, transpose=True))


class BatchNorm(Layer):
    """Batch normalization over all voxels of the batch; ``bn`` holds the statistics.

    A level with fewer than two voxels has no variance: it uses the running statistics, in training too.
    """

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels, momentum=momentum, eps=eps)

    if TYPE_CHECKING:

        def __call__(
            self, x: SparseTensor, residual: SparseTensor | None = None, relu: bool = False
        ) -> SparseTensor: ...

    def forward(self, x: SparseTensor, residual: SparseTensor | None = None, relu: bool = False) -> SparseTensor:
        """(N, C) -> (N, C). Adds ``residual``, which lies on the same voxels, and ends with a ReLU, if asked to.

        Together they take less time and memory than one by one.
        """
        if residual is not None:
            check_same_voxels([x, residual])
        rows = None if residual is None else residual.rows
        return x.with_rows(batch_norm(self.bn, x.rows, rows, relu, self._kernels(x.rows)))

    def _kernels(self, x: Tensor) -> NormKernels:
        """The kernels for the rows ``x``. An engine overrides this."""
        return normalize


class ReLU(Layer):
    """max(x, 0) on every voxel; ``inplace`` overwrites the features of ``x``, which saves a tensor in training."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, C) -> (N, C)."""
        return x.with_rows(F.relu(x.rows, inplace=self.inplace))
