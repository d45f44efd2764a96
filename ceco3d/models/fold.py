"""Fold batch norms into the convolutions before them, for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from ceco3d.models.blocks import BasicBlock, Bottleneck
from ceco3d.models.minkunet import MinkUNet
from ceco3d.models.network import Network
from ceco3d.sparse import BatchNorm
from ceco3d.sparse.modules import ConvolutionBase

Model = TypeVar("Model", bound=Network)


def fold_batch_norms(model: Model) -> Model:
    """A copy of ``model`` in evaluation mode with its batch norms folded, for inference only.

    With running statistics a batch norm is ``y * s + b - mean * s``, s = weight / sqrt(var + eps): folding scales the
    kernel before it by s per output channel and adds a bias. The convolution then also adds the residual and ends with
    the ReLU. Folds the norms of MinkUNets and of residual blocks; a network of your own keeps its others.
    """
    model = copy.deepcopy(model).eval()
    for owner in list(model.modules()):
        for convolution, norm in _pairs(owner):
            before, after = owner.get_submodule(convolution), owner.get_submodule(norm)
            if isinstance(before, ConvolutionBase) and isinstance(after, BatchNorm):
                _fold(before, after.bn)
                owner.set_submodule(norm, nn.Identity())
    return model.requires_grad_(False)


def _pairs(owner: nn.Module) -> list[tuple[str, str]]:
    """(convolution, batch norm) names among the children of a module."""
    if isinstance(owner, MinkUNet):
        names = [name for name, _ in owner.named_children() if name.startswith("conv")]
        return [(name, f"bn{name.removeprefix('conv').partition('p')[0]}") for name in names]
    if isinstance(owner, BasicBlock | Bottleneck):
        numbers = [n for n in (1, 2, 3) if hasattr(owner, f"conv{n}")]
        shortcut = [("downsample.0", "downsample.1")] if owner.downsample is not None else []
        return [(f"conv{n}", f"norm{n}") for n in numbers] + shortcut
    return []


def _fold(convolution: ConvolutionBase, norm: nn.BatchNorm1d) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("cannot fold a batch norm without running statistics")
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    bias = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        bias = bias + convolution.bias.flatten() * scale
    convolution.kernel = nn.Parameter(convolution.kernel.detach() * scale.detach())
    convolution.bias = nn.Parameter(bias.detach().reshape(1, -1))
