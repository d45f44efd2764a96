"""The MinkUNet family: residual U-Nets of sparse convolutions (Choy et al., CVPR 2019).

Layout, parameter names and shapes are those of MinkowskiEngine's examples/minkunet.py, so weights load in both
directions. The encoder halves the resolution four times; the decoder doubles it again and concatenates the skips::

    p1 = conv0p1s1                 b1 = block1(conv1p1s2(p1))     b2 = block2(conv2p2s2(b1))
    b3 = block3(conv3p4s2(b2))     b4 = block4(conv4p8s2(b3))     x  = block5([convtr4p16s2(b4), b3])
    x  = block6([.., b2])          x  = block7([.., b1])          x  = block8([.., p1]);  final(x)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import nn

from ceco3d import sparse
from ceco3d.models.blocks import BasicBlock, Bottleneck, conv_norm
from ceco3d.models.initial import INITIAL
from ceco3d.models.network import Network
from ceco3d.sparse import Engine, SparseTensor, cast_weights, cat

STEM_CHANNELS = 32


@dataclass(frozen=True)
class Variant:
    """What distinguishes the members of the family."""

    block: type[BasicBlock] | type[Bottleneck]
    layers: tuple[int, ...]  # blocks per stage, stages 1..8
    planes: tuple[int, ...]  # channels per stage, before the block's expansion
    final_relu: bool = True  # 34D ends without one: its 512 features have both signs
    widens: bool = False  # strided convolutions widen to the channels of their stage, which its first block does else
    eps: float = 1e-5  # of the batch norms


_L14, _L18, _L34, _L101 = (1,) * 8, (2,) * 8, (2, 3, 4, 6, 2, 2, 2, 2), (2, 3, 4, 23, 2, 2, 2, 2)
_ENCODER = (32, 64, 128, 256)
_DEFAULT = (*_ENCODER, 256, 128, 96, 96)

# MinkowskiEngine examples/minkunet.py; 34D is Res16UNet34D of the ScanNet200 baselines.
VARIANTS = {
    "MinkUNet14A": Variant(BasicBlock, _L14, (*_ENCODER, 128, 128, 96, 96)),
    "MinkUNet14B": Variant(BasicBlock, _L14, (*_ENCODER, 128, 128, 128, 128)),
    "MinkUNet14C": Variant(BasicBlock, _L14, (*_ENCODER, 192, 192, 128, 128)),
    "MinkUNet14D": Variant(BasicBlock, _L14, (*_ENCODER, 384, 384, 384, 384)),
    "MinkUNet18A": Variant(BasicBlock, _L18, (*_ENCODER, 128, 128, 96, 96)),
    "MinkUNet18B": Variant(BasicBlock, _L18, (*_ENCODER, 128, 128, 128, 128)),
    "MinkUNet18D": Variant(BasicBlock, _L18, (*_ENCODER, 384, 384, 384, 384)),
    "MinkUNet34A": Variant(BasicBlock, _L34, (*_ENCODER, 256, 128, 64, 64)),
    "MinkUNet34B": Variant(BasicBlock, _L34, (*_ENCODER, 256, 128, 64, 32)),
    "MinkUNet34C": Variant(BasicBlock, _L34, _DEFAULT),
    "MinkUNet34D": Variant(BasicBlock, _L34, (*_ENCODER, 256, 256, 256, 512), final_relu=False),
    "MinkUNet50": Variant(Bottleneck, _L34, _DEFAULT),
    "MinkUNet101": Variant(Bottleneck, _L101, _DEFAULT),
    "SpUNet34C": Variant(BasicBlock, _L34, _DEFAULT, widens=True, eps=1e-3),  # Pointcept's SpUNet-v1m1
}


class MinkUNet(Network):
    """A residual sparse U-Net with a linear classifier ``final``.

    stem_kernel  side of the first convolution: 5 in MinkowskiEngine's examples, 3 in the ScanNet200 baselines
    bn_momentum  of the batch norms outside the residual blocks (Res16UNet: 0.02); inside them it is always 0.1, but in
                 SpUNet, where it is that of all
    engine       provides the layers
    init         the initial weights, one of ``INITIAL``; ValueError for another name
    """

    def __init__(
        self,
        variant: Variant,
        in_channels: int,
        out_channels: int,
        stem_kernel: int = 5,
        bn_momentum: float = 0.1,
        engine: Engine = sparse,
        init: str = "uniform",
    ) -> None:
        super().__init__()
        if init not in INITIAL:
            raise ValueError(f"unknown init {init!r}; choose one of {', '.join(INITIAL)}")
        planes, expansion = variant.planes, variant.block.expansion
        skips = [STEM_CHANNELS] + [width * expansion for width in planes[:3]]
        self.conv0p1s1 = engine.Convolution(in_channels, STEM_CHANNELS, stem_kernel)
        self.bn0 = engine.BatchNorm(STEM_CHANNELS, bn_momentum)
        width = STEM_CHANNELS
        for stage in range(4):
            stride = 2**stage
            wide = planes[stage] if variant.widens else width
            setattr(self, f"conv{stage + 1}p{stride}s2", engine.Convolution(width, wide, 2, stride=2))
            width = wide
            setattr(self, f"bn{stage + 1}", engine.BatchNorm(width, bn_momentum))
            setattr(self, f"block{stage + 1}", _stage(engine, variant, stage, width, bn_momentum))
            width = planes[stage] * expansion
        for stage in range(4, 8):
            stride = 2 ** (8 - stage)
            setattr(self, f"convtr{stage}p{stride}s2", engine.TransposedConvolution(width, planes[stage], 2, stride=2))
            setattr(self, f"bntr{stage}", engine.BatchNorm(planes[stage], bn_momentum))
            joined = planes[stage] + skips[7 - stage]
            setattr(self, f"block{stage + 1}", _stage(engine, variant, stage, joined, bn_momentum))
            width = planes[stage] * expansion
        self.feature_channels = width
        self.final = engine.Convolution(width, out_channels, 1, bias=True)
        for norm in (layer for layer in self.modules() if isinstance(layer, nn.BatchNorm1d)):
            norm.eps = variant.eps
            norm.momentum = bn_momentum if variant.widens else norm.momentum
        INITIAL[init](self)

    def forward_features(self, x: SparseTensor) -> SparseTensor:
        """(N, in_channels) at stride 1 -> (N, feature_channels): the input of the classifier and of the center loss."""
        with cast_weights(self, x):
            return self._features(x)

    def _features(self, x: SparseTensor) -> SparseTensor:
        x = conv_norm(self.conv0p1s1, self.bn0, x, relu=True)
        skips = []
        for stage in range(4):
            skips.append(x)
            x = self._sampled(x, f"conv{stage + 1}p{2**stage}s2", f"bn{stage + 1}")
            x = self.get_submodule(f"block{stage + 1}")(x)
        for stage in range(4, 8):
            x = self._sampled(x, f"convtr{stage}p{2 ** (8 - stage)}s2", f"bntr{stage}")
            x = self.get_submodule(f"block{stage + 1}")(cat([x, skips.pop()]))
        return x

    @property
    def stage_names(self) -> tuple[tuple[str, ...], ...]:
        """See Network. The stem, four stages of the encoder, four of the decoder."""
        encoder = [(f"conv{k}p{2 ** (k - 1)}s2", f"bn{k}", f"block{k}") for k in range(1, 5)]
        decoder = [(f"convtr{k}p{2 ** (8 - k)}s2", f"bntr{k}", f"block{k + 1}") for k in range(4, 8)]
        return ("conv0p1s1", "bn0"), *encoder, *decoder

    def build_maps(self, x: SparseTensor) -> None:
        """Build the levels and kernel maps of a forward pass on ``x``, which then never waits for a GPU."""
        strides = [1]
        for stage in range(1, 5):  # first, because the host waits for what is queued before it knows a level's size
            down = self.get_submodule(f"conv{stage}p{strides[-1]}s2")
            assert isinstance(down, sparse.Convolution)
            strides.append(down.build_map(x, strides[-1]))
        self.conv0p1s1.build_map(x, 1)
        for stage, stride in zip((8, 1, 2, 3, 4), strides, strict=True):
            self._build_maps(x, f"block{stage}", stride)

    def _build_maps(self, x: SparseTensor, blocks: str, stride: int) -> None:
        for layer in self.get_submodule(f"{blocks}.0").modules():
            if isinstance(layer, sparse.Convolution) and layer.kernel_size > 1:
                layer.build_map(x, stride)

    @property
    def receptive_radius(self) -> int:
        """See Network. Half of every kernel times its stride, plus the grid of the coarsest level, stride 16."""
        radius = self.conv0p1s1.kernel_size // 2 + 15
        for stage, stride in enumerate((2, 4, 8, 16, 8, 4, 2, 1), start=1):
            blocks = self.get_submodule(f"block{stage}").children()
            radius += stride * sum(2 if isinstance(block, BasicBlock) else 1 for block in blocks)
        return radius

    def _sampled(self, x: SparseTensor, convolution: str, norm: str) -> SparseTensor:
        layer = cast(sparse.Convolution, self.get_submodule(convolution))  # or an engine's own layer
        return conv_norm(layer, self.get_submodule(norm), x, relu=True)


def _stage(engine: Engine, variant: Variant, stage: int, in_channels: int, bn_momentum: float) -> nn.Sequential:
    count, planes = variant.layers[stage], variant.planes[stage]
    blocks = []
    for index in range(count):
        last = stage == 7 and index == count - 1
        final_relu = variant.final_relu or not last
        blocks.append(variant.block(engine, in_channels, planes, bn_momentum, final_relu))
        in_channels = planes * variant.block.expansion
    return nn.Sequential(*blocks)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
