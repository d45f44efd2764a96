"""Kernels: which offsets a convolution or a pooling reads, and how far it moves on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from ceco3d.minkowski.modes import RegionType


def int_list(value: Any, dimension: int) -> list[int]:
    """``value`` for each axis: an integer, or a list, array or tensor with one for each. AssertionError otherwise."""
    if isinstance(value, Tensor) or hasattr(value, "tolist"):
        value = value.tolist()
    values = [int(item) for item in value] if isinstance(value, Sequence) else [int(value)] * dimension
    if len(values) != dimension:
        raise AssertionError(f"expected one value or {dimension}, got {values}")
    return values


@dataclass(frozen=True)
class Shape:
    """What a kernel map depends on, apart from its levels: offsets are multiples of the tensor stride.

    size, dilation  for each axis
    offsets         for a custom region: one tuple for each weight
    """

    size: tuple[int, ...]
    dilation: tuple[int, ...]
    region: RegionType = RegionType.HYPER_CUBE
    offsets: tuple[tuple[int, ...], ...] = ()

    def cubic(self) -> int | None:
        """The size, if this is a cube without dilation."""
        plain = self.region == RegionType.HYPER_CUBE and set(self.dilation) == {1} and len(set(self.size)) == 1
        return self.size[0] if plain else None

    def volume(self) -> int:
        """The number of offsets."""
        if self.region == RegionType.CUSTOM:
            return len(self.offsets)
        return prod(self.size) if self.region == RegionType.HYPER_CUBE else 1 + sum(self.size) - len(self.size)

    def steps(self, strides: Sequence[int]) -> Tensor:
        """(K, D) int64 offsets on a tensor of the given stride; for a cube the first axis is fastest.

        Odd sizes are centered, even ones start at the coordinate itself. A cross has its center first, then for each
        axis the positive and then the negative offsets.
        """
        scale = torch.tensor(self.dilation) * torch.tensor(list(strides))
        if self.region == RegionType.CUSTOM:
            return torch.tensor(self.offsets, dtype=torch.int64) * scale
        axes = [torch.arange(size) - (size // 2 if size % 2 else 0) for size in self.size]
        if self.region == RegionType.HYPER_CUBE:
            offsets = torch.stack(torch.meshgrid(*reversed(axes), indexing="ij")[::-1], dim=-1).reshape(-1, len(axes))
        else:
            offsets = torch.zeros(self.volume(), len(axes), dtype=torch.int64)
            place = 1
            for axis, values in enumerate(axes):
                arms = torch.cat([values[values > 0], values[values < 0]])
                offsets[place : place + len(arms), axis] = arms
                place += len(arms)
        return offsets * scale


class KernelGenerator:
    """The kernel of a layer: size, stride and dilation (one value, or one for each axis), and its region.

    ``region_offsets`` (K, D) integer are those of ``RegionType.CUSTOM``, in units of dilation times tensor stride.
    AssertionError for sizes that are not positive and for even sizes of a cross.
    """

    def __init__(
        self,
        kernel_size: Any = -1,
        stride: Any = 1,
        dilation: Any = 1,
        is_transpose: bool = False,
        region_type: RegionType = RegionType.HYPER_CUBE,
        region_offsets: Tensor | None = None,
        expand_coordinates: bool = False,
        axis_types: Sequence[RegionType] | None = None,
        dimension: int = -1,
    ) -> None:
        if dimension < 1:
            raise AssertionError(f"Invalid dimension. Please provide a valid dimension argument. dimension={dimension}")
        if not isinstance(region_type, RegionType):
            raise AssertionError(f"region_type must be a RegionType, not {region_type!r}")
        if axis_types is not None:
            raise AssertionError("axis_types must be None: give the offsets to RegionType.CUSTOM instead")
        self.kernel_size = int_list(kernel_size, dimension)
        self.kernel_stride = int_list(stride, dimension)
        self.kernel_dilation = int_list(dilation, dimension)
        self.region_type = region_type
        self.region_offsets = torch.IntTensor() if region_offsets is None else region_offsets
        self.axis_types = axis_types
        self.dimension = dimension
        self.expand_coordinates = expand_coordinates
        self.requires_strided_coordinates = all(step == 1 for step in self.kernel_stride)
        self.kernel_volume = get_kernel_volume(region_type, self.kernel_size, region_offsets, axis_types, dimension)

    def shape(self) -> Shape:
        """The offsets of this kernel."""
        offsets = self.region_offsets.tolist() if self.region_type == RegionType.CUSTOM else []
        return Shape(tuple(self.kernel_size), tuple(self.kernel_dilation), self.region_type, tuple(map(tuple, offsets)))

    def get_kernel(self, tensor_stride: Sequence[int], is_transpose: bool) -> tuple[RegionType, Tensor, int]:
        """The region, its custom offsets and its volume."""
        return self.region_type, self.region_offsets, self.kernel_volume

    def __repr__(self) -> str:
        return (
            f"KernelGenerator(kernel_size={self.kernel_size}, kernel_stride={self.kernel_stride}, "
            f"kernel_dilation={self.kernel_dilation}, region_type={self.region_type}, "
            f"expand_coordinates={self.expand_coordinates}, dimension={self.dimension})"
        )


def get_kernel_volume(
    region_type: RegionType, kernel_size: Any, region_offset: Tensor | None, axis_types: Any, dimension: int
) -> int:
    """The number of offsets of a kernel. AssertionError where there is no such kernel."""
    sizes = int_list(kernel_size, dimension)
    if region_type == RegionType.CUSTOM:
        if region_offset is None or region_offset.numel() == 0:
            raise AssertionError("region_offset must be non empty when region_type is CUSTOM")
        if region_offset.ndim != 2 or region_offset.shape[1] != dimension:
            raise AssertionError("region_offset must have the same dimension as the network")
        if len(set(map(tuple, region_offset.tolist()))) < len(region_offset):
            raise AssertionError("region_offset must not repeat an offset")
        return len(region_offset)
    if any(size < 1 for size in sizes):
        raise AssertionError(f"kernel_size must be positive, got {sizes}")
    if region_offset is not None and region_offset.numel():
        raise AssertionError("region_offset must be None unless region_type is CUSTOM")
    if region_type == RegionType.HYPER_CROSS and not all(size % 2 for size in sizes):
        raise AssertionError("kernel_size must be odd for region_type HYPER_CROSS")
    return Shape(tuple(sizes), (1,) * dimension, region_type).volume()
