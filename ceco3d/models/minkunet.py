"""The MinkUNet family: residual U-Nets of sparse convolutions (Choy et al., CVPR 2019).

Layout, names of parameters and their shapes are those of MinkowskiEngine's examples/minkunet.py, so that weights
move both ways. The encoder halves the resolution four times, the decoder returns and joins the skips::

    p1 = conv0p1s1                 b1 = block1(conv1p1s2(p1))     b2 = block2(conv2p2s2(b1))
    b3 = block3(conv3p4s2(b2))     b4 = block4(conv4p8s2(b3))     x  = block5([convtr4p16s2(b4), b3])
    x  = block6([.., b2])          x  = block7([.., b1])          x  = block8([.., p1]);  final(x)
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from torch import nn

from ceco3d import sparse
from ceco3d.models.blocks import BasicBlock, Bottleneck
from ceco3d.sparse import SparseTensor, cat

STEM_CHANNELS = 32
ENGINES = {
    "native": "ceco3d.sparse",
    "triton": "ceco3d.sparse.triton",
    "minkowski": "ceco3d.sparse.minkowski",
}


@dataclass(frozen=True)
class Variant:
    """What distinguishes one member of the family from another."""

    block: type[BasicBlock] | type[Bottleneck]
    layers: tuple[int, ...]  # blocks per stage, stages 1..8
    planes: tuple[int, ...]  # channels per stage, before the block's expansion
    final_relu: bool = True  # 34D ends without one, so that its 512 features have both signs


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
}


class MinkUNet(nn.Module):
    """A residual sparse U-Net with a linear point classifier ``final``.

    stem_kernel  side of the first convolution: 5 in MinkowskiEngine's examples, 3 in the ScanNet200 baselines
    bn_momentum  of the batch norms outside the residual blocks; inside them it stays 0.1 (as in Res16UNet, which
                 uses 0.02 here)
    layers       the engine: the namespace that the layers come from, see ``engine_layers``
    """

    def __init__(
        self,
        variant: Variant,
        in_channels: int,
        out_channels: int,
        stem_kernel: int = 5,
        bn_momentum: float = 0.1,
        layers: ModuleType = sparse,
    ) -> None:
        super().__init__()
        planes, expansion = variant.planes, variant.block.expansion
        skips = [STEM_CHANNELS] + [width * expansion for width in planes[:3]]
        self.relu = layers.ReLU(inplace=True)
        self.conv0p1s1 = layers.Convolution(in_channels, STEM_CHANNELS, stem_kernel)
        self.bn0 = layers.BatchNorm(STEM_CHANNELS, bn_momentum)
        width = STEM_CHANNELS
        for stage in range(4):
            stride = 2**stage
            setattr(self, f"conv{stage + 1}p{stride}s2", layers.Convolution(width, width, 2, stride=2))
            setattr(self, f"bn{stage + 1}", layers.BatchNorm(width, bn_momentum))
            setattr(self, f"block{stage + 1}", _stage(layers, variant, stage, width, bn_momentum))
            width = planes[stage] * expansion
        for stage in range(4, 8):
            stride = 2 ** (8 - stage)
            setattr(self, f"convtr{stage}p{stride}s2", layers.TransposedConvolution(width, planes[stage], 2, stride=2))
            setattr(self, f"bntr{stage}", layers.BatchNorm(planes[stage], bn_momentum))
            joined = planes[stage] + skips[7 - stage]
            setattr(self, f"block{stage + 1}", _stage(layers, variant, stage, joined, bn_momentum))
            width = planes[stage] * expansion
        self.feature_channels = width
        self.final = layers.Convolution(width, out_channels, 1, bias=True)

    def forward_features(self, x: SparseTensor) -> SparseTensor:
        """(N, in_channels) at stride 1 -> (N, feature_channels): what the classifier and the centre loss see."""
        x = self.relu(self.bn0(self.conv0p1s1(x)))
        skips = []
        for stage in range(4):
            skips.append(x)
            x = self._sampled(x, f"conv{stage + 1}p{2**stage}s2", f"bn{stage + 1}")
            x = self.get_submodule(f"block{stage + 1}")(x)
        for stage in range(4, 8):
            x = self._sampled(x, f"convtr{stage}p{2 ** (8 - stage)}s2", f"bntr{stage}")
            x = self.get_submodule(f"block{stage + 1}")(cat([x, skips.pop()]))
        return x

    def build_maps(self, x: SparseTensor) -> None:
        """Make the levels and kernel maps of a forward pass on ``x``, which then does not wait for a GPU."""
        self.conv0p1s1.build_map(x, 1)
        self._build_maps(x, "block8", 1)
        stride = 1
        for stage in range(1, 5):
            stride = self.get_submodule(f"conv{stage}p{stride}s2").build_map(x, stride)
            self._build_maps(x, f"block{stage}", stride)

    def _build_maps(self, x: SparseTensor, blocks: str, stride: int) -> None:
        for layer in self.get_submodule(blocks)[0].modules():
            if isinstance(layer, sparse.Convolution) and layer.kernel_size > 1:
                layer.build_map(x, stride)

    @property
    def receptive_radius(self) -> int:
        """Voxels that lie farther than this from a voxel along an axis, in the voxels of the input, do not change it.

        Half the side of every kernel times its stride, and the grid of the coarsest level, stride 16.
        """
        radius = round(self.conv0p1s1.kernel.shape[0] ** (1 / 3)) // 2 + 15
        for stage, stride in enumerate((2, 4, 8, 16, 8, 4, 2, 1), start=1):
            blocks = self.get_submodule(f"block{stage}")
            radius += stride * sum(2 if isinstance(block, BasicBlock) else 1 for block in blocks)
        return radius

    def _sampled(self, x: SparseTensor, convolution: str, norm: str) -> SparseTensor:
        return self.relu(self.get_submodule(norm)(self.get_submodule(convolution)(x)))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, in_channels) -> logits (N, out_channels), rows in the order of ``x``."""
        return self.final(self.forward_features(x))


def _stage(layers: ModuleType, variant: Variant, stage: int, in_channels: int, bn_momentum: float) -> nn.Sequential:
    count, planes = variant.layers[stage], variant.planes[stage]
    blocks = []
    for index in range(count):
        last = stage == 7 and index == count - 1
        final_relu = variant.final_relu or not last
        blocks.append(variant.block(layers, in_channels, planes, bn_momentum, final_relu))
        in_channels = planes * variant.block.expansion
    return nn.Sequential(*blocks)


def build_model(
    name: str,
    in_channels: int,
    out_channels: int,
    stem_kernel: int = 5,
    bn_momentum: float = 0.1,
    engine: str = "native",
) -> MinkUNet:
    """A network of the family by name, e.g. ``MinkUNet34C``; ValueError for an unknown name or a missing engine."""
    if name not in VARIANTS:
        raise ValueError(f"unknown model {name!r}; choose one of {', '.join(VARIANTS)}")
    return MinkUNet(VARIANTS[name], in_channels, out_channels, stem_kernel, bn_momentum, engine_layers(engine))


def engine_layers(engine: str) -> ModuleType:
    """The layers of an engine, one of ENGINES; ValueError for another one or one that is not installed."""
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; choose one of {', '.join(ENGINES)}")
    try:
        return import_module(ENGINES[engine])
    except ImportError as error:
        raise ValueError(f"engine {engine}: {error}") from error


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
