"""Residual blocks with squeeze and excitation (Hu et al., CVPR 2018)."""

from __future__ import annotations

from torch import nn

from ceco3d.minkowski.broadcast import MinkowskiBroadcastMultiplication
from ceco3d.minkowski.linear import MinkowskiLinear
from ceco3d.minkowski.modules.resnet_block import BasicBlock, Bottleneck
from ceco3d.minkowski.nonlinearity import MinkowskiReLU, MinkowskiSigmoid
from ceco3d.minkowski.pooling import MinkowskiGlobalPooling
from ceco3d.minkowski.sparse_tensor import SparseTensor


class SELayer(nn.Module):
    """Scales the channels of each batch item by a number in (0, 1) that depends on their means."""

    def __init__(self, channel: int, reduction: int = 16, D: int = -1) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            MinkowskiLinear(channel, channel // reduction),
            MinkowskiReLU(inplace=True),
            MinkowskiLinear(channel // reduction, channel),
            MinkowskiSigmoid(),
        )
        self.pooling = MinkowskiGlobalPooling()
        self.broadcast_mul = MinkowskiBroadcastMultiplication()

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, channel) -> (N, channel) on the same coordinates."""
        return self.broadcast_mul(x, self.fc(self.pooling(x)))


class SEBasicBlock(BasicBlock):
    """``BasicBlock`` with an ``SELayer`` before the sum."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        reduction: int = 16,
        D: int = -1,
    ) -> None:
        super().__init__(inplanes, planes, stride, dilation, downsample, dimension=D)
        self.se = SELayer(planes, reduction=reduction, D=D)

    def body(self, x: SparseTensor) -> SparseTensor:
        """(N, inplanes) -> (M, planes)."""
        return self.se(super().body(x))


class SEBottleneck(Bottleneck):
    """``Bottleneck`` with an ``SELayer`` before the sum."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        D: int = 3,
        reduction: int = 16,
    ) -> None:
        super().__init__(inplanes, planes, stride, dilation, downsample, dimension=D)
        self.se = SELayer(planes * self.expansion, reduction=reduction, D=D)

    def body(self, x: SparseTensor) -> SparseTensor:
        """(N, inplanes) -> (M, planes * expansion)."""
        return self.se(super().body(x))
