"""The convolution of each channel by itself."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ceco3d.minkowski.kernel_layer import KernelLayer
from ceco3d.minkowski.kernels import KernelGenerator
from ceco3d.minkowski.modes import RegionType
from ceco3d.minkowski.reduce import weighted_pairs
from ceco3d.minkowski.sparse_tensor import SparseTensor


class MinkowskiChannelwiseConvolution(KernelLayer):
    """Convolution of each channel by itself: ``kernel`` (K, C), ``bias`` (1, C) or None."""

    def __init__(
        self,
        in_channels: int,
        kernel_size: Any = -1,
        stride: Any = 1,
        dilation: Any = 1,
        bias: bool = False,
        kernel_generator: KernelGenerator | None = None,
        dimension: int | None = -1,
    ) -> None:
        super().__init__(kernel_size, stride, dilation, kernel_generator, dimension)
        self.in_channels = in_channels
        self.kernel = nn.Parameter(torch.empty(self.kernel_generator.kernel_volume, in_channels))
        self.bias = nn.Parameter(torch.empty(1, in_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self, is_transpose: bool = False) -> None:
        """Uniform in +-1/sqrt(channels * offsets)."""
        bound = 1 / math.sqrt(self.in_channels * self.kernel_generator.kernel_volume)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, input: SparseTensor, coords: Any = None) -> SparseTensor:
        """(N, C) -> (M, C). ``coords`` is not read, as in MinkowskiEngine."""
        self._check(input)
        if input.shape[1] != self.in_channels:
            raise AssertionError(f"Channel size mismatch {self.in_channels} != {input.shape[1]}")
        manager, key = input.coordinate_manager, input.coordinate_map_key
        out = manager.stride(key, self.kernel_generator.kernel_stride)
        rows = weighted_pairs(input.rows, self.kernel, manager.offset_map(key, out, self.kernel_generator.shape()))
        return SparseTensor._on(manager, out, rows if self.bias is None else rows + self.bias)

    def __repr__(self) -> str:
        generator = self.kernel_generator
        size = f"kernel_size={generator.kernel_size}"
        if generator.region_type == RegionType.CUSTOM:
            size = f"kernel_volume={generator.kernel_volume}"
        return (
            f"{type(self).__name__}(in={self.in_channels}, region_type={generator.region_type.name}, {size}, "
            f"stride={generator.kernel_stride}, dilation={generator.kernel_dilation})"
        )
