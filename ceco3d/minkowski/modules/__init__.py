"""``MinkowskiEngine.modules``: residual blocks."""

from ceco3d.minkowski.modules.resnet_block import BasicBlock, Bottleneck
from ceco3d.minkowski.modules.senet_block import SEBasicBlock, SEBottleneck, SELayer

__all__ = ["BasicBlock", "Bottleneck", "SEBasicBlock", "SEBottleneck", "SELayer"]
