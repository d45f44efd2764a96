"""Convolutions. Parameter names, shapes and initial values are MinkowskiEngine's."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor as Values
from torch import nn

from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.kernel_layer import KernelLayer
from ceco3d.minkowski.kernels import KernelGenerator
from ceco3d.minkowski.modes import ConvolutionMode, RegionType
from ceco3d.minkowski.sparse_tensor import SparseTensor
from ceco3d.sparse.convolution import check_features, convolve, product_dtype


def coordinates_of(x: SparseTensor, coordinates: Any) -> CoordinateMapKey | None:
    """The map that a layer was told to compute on: a key, a tensor's, or a new one of (N, 1 + D) coordinates."""
    if coordinates is None or isinstance(coordinates, CoordinateMapKey):
        return coordinates
    if isinstance(coordinates, SparseTensor):
        if coordinates.coordinate_manager is not x.coordinate_manager:
            raise ValueError("the coordinates must come from a tensor of the same coordinate manager")
        return coordinates.coordinate_map_key
    if not isinstance(coordinates, Values):
        raise AssertionError(f"coordinates must be a tensor, a SparseTensor or a key, not {type(coordinates).__name__}")
    return x.coordinate_manager.insert_and_map(coordinates.long(), 1)[0]


def output_key(
    manager: CoordinateManager, key: CoordinateMapKey, generator: KernelGenerator, transpose: bool
) -> CoordinateMapKey:
    """The map that a layer leads to from the map ``key``. ValueError where a stride does not divide the tensor's."""
    strides, steps = key.name[0], generator.kernel_stride
    if not transpose:
        if not generator.expand_coordinates:
            return manager.stride(key, steps)
        out = [a * b for a, b in zip(strides, steps, strict=True)]
        return manager.expand(key, generator.shape(), strides, out, anew=True)
    if any(a % b for a, b in zip(strides, steps, strict=True)):
        raise ValueError(f"a tensor stride of {list(strides)} cannot be divided by the stride {steps} of this layer")
    out = [a // b for a, b in zip(strides, steps, strict=True)]
    return manager.expand(key, generator.shape(), out, out, anew=generator.expand_coordinates)


def _convolve(
    rows: Values,
    weight: Values,
    bias: Values | None,
    generator: KernelGenerator,
    transpose: bool,
    key: CoordinateMapKey,
    out: CoordinateMapKey,
    manager: CoordinateManager,
) -> Values:
    """Output rows in key order; ``out`` is set if it does not name a map yet."""
    if not out.is_key_set():
        out.set_key(*output_key(manager, key, generator, transpose).name)
    fine, coarse = (out, key) if transpose else (key, out)
    kernel_map, kernels = manager.find_map(fine, coarse, generator.shape(), rows.device, product_dtype(rows))
    kernel_map = kernel_map.transposed() if transpose else kernel_map
    return convolve(rows, weight, kernel_map, kernels, None if bias is None else bias.flatten())


class _Function:
    """A convolution of features, as a function with ``apply``."""

    transpose = False

    @classmethod
    def apply(
        cls,
        input_features: Values,
        kernel_weights: Values,
        kernel_generator: KernelGenerator,
        convolution_mode: ConvolutionMode,
        in_coordinate_map_key: CoordinateMapKey,
        out_coordinate_map_key: CoordinateMapKey | None = None,
        coordinate_manager: CoordinateManager | None = None,
    ) -> Values:
        """(N, Cin), (K, Cin, Cout) -> (M, Cout), rows in the order of coordinates; sets the output's key."""
        if coordinate_manager is None:
            raise AssertionError("coordinate_manager is missing")
        key, out = in_coordinate_map_key, out_coordinate_map_key or CoordinateMapKey(coordinate_manager.D + 1)
        rows = coordinate_manager.level(key).keyed(input_features)
        result = _convolve(rows, kernel_weights, None, kernel_generator, cls.transpose, key, out, coordinate_manager)
        return coordinate_manager.level(out).featured(result)


class MinkowskiConvolutionFunction(_Function):
    """A convolution of features, as a function with ``apply``."""


class MinkowskiConvolutionTransposeFunction(_Function):
    """A transposed convolution of features, as a function with ``apply``."""

    transpose = True


class MinkowskiConvolutionBase(KernelLayer):
    """Base of the convolutions: ``kernel`` (K, Cin, Cout), or (Cin, Cout) if K = 1; ``bias`` (1, Cout) or None."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = -1,
        stride: Any = 1,
        dilation: Any = 1,
        bias: bool = False,
        kernel_generator: KernelGenerator | None = None,
        is_transpose: bool = False,
        expand_coordinates: bool = False,
        convolution_mode: ConvolutionMode = ConvolutionMode.DEFAULT,
        dimension: int | None = -1,
    ) -> None:
        super().__init__(kernel_size, stride, dilation, kernel_generator, dimension)
        self.kernel_generator.expand_coordinates = expand_coordinates
        self.is_transpose, self.convolution_mode = is_transpose, convolution_mode
        self.in_channels, self.out_channels = in_channels, out_channels
        volume = self.kernel_generator.kernel_volume
        self.use_mm = volume == 1 and self.kernel_generator.requires_strided_coordinates
        shape = (in_channels, out_channels) if self.use_mm else (volume, in_channels, out_channels)
        self.kernel = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(1, out_channels)) if bias else None
        self.reset_parameters(is_transpose)

    def reset_parameters(self, is_transpose: bool = False) -> None:
        """Uniform in +-1/sqrt(channels * offsets): input channels, or output channels if transposed."""
        channels = self.out_channels if is_transpose else self.in_channels
        bound = 1 / math.sqrt(channels * self.kernel_generator.kernel_volume)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, input: SparseTensor, coordinates: Any = None) -> SparseTensor:
        """(N, Cin) -> (M, Cout), on ``coordinates`` if given: a tensor (M, 1 + D), a SparseTensor or a key."""
        self._check(input)
        if self.use_mm:
            rows = input.rows.to(torch.promote_types(input.dtype, self.kernel.dtype))
            product = rows @ self.kernel if self.bias is None else torch.addmm(self.bias, rows, self.kernel)
            return input.with_rows(product)
        out = coordinates_of(input, coordinates) or CoordinateMapKey(input.D + 1)
        rows = _convolve(
            input.rows, self.kernel, self.bias, self.kernel_generator, self.is_transpose, input.coordinate_map_key, out,
            input.coordinate_manager,
        )  # fmt: skip
        return SparseTensor._on(input.coordinate_manager, out, rows)

    def _check(self, x: SparseTensor) -> None:
        super()._check(x)
        check_features(x.rows, self.kernel, self.in_channels)

    def __repr__(self) -> str:
        generator = self.kernel_generator
        size = f"kernel_size={generator.kernel_size}, "
        if generator.region_type == RegionType.CUSTOM:
            size = f"region_type={generator.region_type}, kernel_volume={generator.kernel_volume}, "
        return (
            f"{type(self).__name__}(in={self.in_channels}, out={self.out_channels}, {size}"
            f"stride={generator.kernel_stride}, dilation={generator.kernel_dilation})"
        )


class _Convolution(MinkowskiConvolutionBase):
    """A convolution whose class says if it is transposed."""

    transpose: ClassVar[bool]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = -1,
        stride: Any = 1,
        dilation: Any = 1,
        bias: bool = False,
        kernel_generator: KernelGenerator | None = None,
        expand_coordinates: bool = False,
        convolution_mode: ConvolutionMode = ConvolutionMode.DEFAULT,
        dimension: int | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, dilation, bias, kernel_generator, self.transpose,
            expand_coordinates, convolution_mode, dimension,
        )  # fmt: skip


class MinkowskiConvolution(_Convolution):
    """Convolution. Stride 1 keeps the voxels, unless ``expand_coordinates`` adds all that the kernel reaches."""

    transpose = False


class MinkowskiConvolutionTranspose(_Convolution):
    """The transpose of a strided convolution: returns to the map of the finer stride, or makes it."""

    transpose = True


class MinkowskiGenerativeConvolutionTranspose(MinkowskiConvolutionBase):
    """The transpose of a strided convolution onto all voxels that its kernel reaches."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = -1,
        stride: Any = 1,
        dilation: Any = 1,
        bias: bool = False,
        kernel_generator: KernelGenerator | None = None,
        convolution_mode: ConvolutionMode = ConvolutionMode.DEFAULT,
        dimension: int | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, dilation, bias, kernel_generator, True, True,
            convolution_mode, dimension,
        )  # fmt: skip
