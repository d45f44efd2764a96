"""Batch normalisation folded into the convolutions before it, for inference."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ceco3d.models.blocks import BasicBlock, Bottleneck
from ceco3d.models.minkunet import MinkUNet


def fold_batch_norms(model: MinkUNet) -> MinkUNet:
    """A copy of ``model`` in evaluation mode that computes the same without batch norms, for inference only.

    With the running statistics a batch norm is ``y * s + b - mean * s``, s = weight / sqrt(var + eps): the kernel
    before it is scaled by s per output channel and gets a bias.
    """
    model = copy.deepcopy(model).eval()
    for owner in list(model.modules()):
        for convolution, norm in _pairs(owner):
            _fold(owner.get_submodule(convolution), owner.get_submodule(norm).bn)
            owner.set_submodule(norm, nn.Identity())
    return model.requires_grad_(False)


def _pairs(owner: nn.Module) -> list[tuple[str, str]]:
    """(convolution, batch norm) by name among the children of a module."""
    if isinstance(owner, MinkUNet):
        names = [name for name, _ in owner.named_children() if name.startswith("conv")]
        return [(name, f"bn{name.removeprefix('conv').partition('p')[0]}") for name in names]
    if isinstance(owner, BasicBlock | Bottleneck):
        numbers = [n for n in (1, 2, 3) if hasattr(owner, f"conv{n}")]
        shortcut = [("downsample.0", "downsample.1")] if owner.downsample is not None else []
        return [(f"conv{n}", f"norm{n}") for n in numbers] + shortcut
    return []


def _fold(convolution: nn.Module, norm: nn.BatchNorm1d) -> None:
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    bias = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        bias = bias + convolution.bias.flatten() * scale
    convolution.kernel = nn.Parameter(convolution.kernel.detach() * scale.detach())
    convolution.bias = nn.Parameter(bias.detach().reshape(1, -1))
