"""Residual blocks with MinkowskiEngine's parameter names."""

from __future__ import annotations

from torch import nn

from ceco3d.sparse import Convolution, Engine, Layer, SparseTensor, TransposedConvolution


def conv_norm(
    convolution: Convolution | TransposedConvolution,
    norm: nn.Module,
    x: SparseTensor,
    residual: SparseTensor | None = None,
    relu: bool = False,
) -> SparseTensor:
    """``relu(norm(convolution(x)) + residual)``; the convolution does it all once its norm is folded into it."""
    if isinstance(norm, nn.Identity):
        return convolution(x, residual, relu)
    out: SparseTensor = norm(convolution(x), residual, relu)
    return out


def _shortcut(engine: Engine, in_channels: int, out_channels: int, bn_momentum: float) -> nn.Sequential | None:
    """A 1x1x1 projection if the block changes the number of channels, else None."""
    if in_channels == out_channels:
        return None
    projection = engine.Convolution(in_channels, out_channels, 1)
    return nn.Sequential(projection, engine.BatchNorm(out_channels, bn_momentum))


class BasicBlock(Layer):
    """Two 3^3 convolutions and a shortcut; ``final_relu=False`` omits the ReLU after their sum."""

    expansion = 1

    def __init__(
        self, engine: Engine, in_channels: int, planes: int, bn_momentum: float, final_relu: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = engine.Convolution(in_channels, planes, 3)
        self.norm1 = engine.BatchNorm(planes)
        self.conv2 = engine.Convolution(planes, planes, 3)
        self.norm2 = engine.BatchNorm(planes)
        self.downsample = _shortcut(engine, in_channels, planes, bn_momentum)
        self.final_relu = final_relu

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, in_channels) -> (N, planes)."""
        out = conv_norm(self.conv1, self.norm1, x, relu=True)
        residual = x if self.downsample is None else self.downsample(x)
        return conv_norm(self.conv2, self.norm2, out, residual, self.final_relu)


class Bottleneck(Layer):
    """1^3, 3^3 and 1^3 convolutions, the last four times as wide, and a shortcut."""

    expansion = 4

    def __init__(
        self, engine: Engine, in_channels: int, planes: int, bn_momentum: float, final_relu: bool = True
    ) -> None:
        super().__init__()
        width = planes * self.expansion
        self.conv1 = engine.Convolution(in_channels, planes, 1)
        self.norm1 = engine.BatchNorm(planes)
        self.conv2 = engine.Convolution(planes, planes, 3)
        self.norm2 = engine.BatchNorm(planes)
        self.conv3 = engine.Convolution(planes, width, 1)
        self.norm3 = engine.BatchNorm(width)
        self.downsample = _shortcut(engine, in_channels, width, bn_momentum)
        self.final_relu = final_relu

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, in_channels) -> (N, 4 * planes)."""
        out = conv_norm(self.conv1, self.norm1, x, relu=True)
        out = conv_norm(self.conv2, self.norm2, out, relu=True)
        residual = x if self.downsample is None else self.downsample(x)
        return conv_norm(self.conv3, self.norm3, out, residual, self.final_relu)
