"""The residual blocks of ResNets (He et al., CVPR 2016) with sparse convolutions."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from ceco3d.minkowski.convolution import MinkowskiConvolution
from ceco3d.minkowski.nonlinearity import MinkowskiReLU
from ceco3d.minkowski.normalization import MinkowskiBatchNorm
from ceco3d.minkowski.sparse_tensor import SparseTensor


class _Block(nn.Module):
    """``relu(body(x) + shortcut(x))``; the shortcut is ``downsample`` or the identity."""

    expansion: ClassVar[int]

    def __init__(self, downsample: nn.Module | None, dimension: int) -> None:
        super().__init__()
        if dimension < 1:
            raise AssertionError(f"dimension must be positive, got {dimension}")
        self.relu = MinkowskiReLU(inplace=True)
        self.downsample = downsample

    def body(self, x: SparseTensor) -> SparseTensor:
        """Everything before the sum."""
        raise NotImplementedError

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, inplanes) -> (M, planes * expansion)."""
        out = self.body(x)
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class BasicBlock(_Block):
    """Two convolutions of size 3, the first with the stride."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        bn_momentum: float = 0.1,
        dimension: int = -1,
    ) -> None:
        super().__init__(downsample, dimension)
        self.conv1 = MinkowskiConvolution(
            inplanes, planes, kernel_size=3, stride=stride, dilation=dilation, dimension=dimension
        )
        self.norm1 = MinkowskiBatchNorm(planes, momentum=bn_momentum)
        self.conv2 = MinkowskiConvolution(
            planes, planes, kernel_size=3, stride=1, dilation=dilation, dimension=dimension
        )
        self.norm2 = MinkowskiBatchNorm(planes, momentum=bn_momentum)

    def body(self, x: SparseTensor) -> SparseTensor:
        """(N, inplanes) -> (M, planes)."""
        return self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))


class Bottleneck(_Block):
    """Convolutions of size 1, 3 (with the stride) and 1; the last has ``expansion`` times the channels."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        bn_momentum: float = 0.1,
        dimension: int = -1,
    ) -> None:
        super().__init__(downsample, dimension)
        wide = planes * self.expansion
        self.conv1 = MinkowskiConvolution(inplanes, planes, kernel_size=1, dimension=dimension)
        self.norm1 = MinkowskiBatchNorm(planes, momentum=bn_momentum)
        self.conv2 = MinkowskiConvolution(
            planes, planes, kernel_size=3, stride=stride, dilation=dilation, dimension=dimension
        )
        self.norm2 = MinkowskiBatchNorm(planes, momentum=bn_momentum)
        self.conv3 = MinkowskiConvolution(planes, wide, kernel_size=1, dimension=dimension)
        self.norm3 = MinkowskiBatchNorm(wide, momentum=bn_momentum)

    def body(self, x: SparseTensor) -> SparseTensor:
        """(N, inplanes) -> (M, planes * expansion)."""
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.relu(self.norm2(self.conv2(out)))
        return self.norm3(self.conv3(out))
