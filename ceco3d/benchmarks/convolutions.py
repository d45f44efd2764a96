"""The convolutions of a network on given voxels, counted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.workload import Work
from ceco3d.sparse import Convolution, SparseTensor, TransposedConvolution

DIRECTIONS = ("forward", "input grad", "weight grad")
INDEX_BYTES = 4


@dataclass(frozen=True)
class Counted:
    """A convolution: its level (the finer one of two), rows of both sides, pairs of rows, kernel and channels."""

    stride: int
    voxels: int
    num_in: int
    num_out: int
    pairs: int
    volume: int
    in_channels: int
    out_channels: int

    @property
    def operations(self) -> float:
        """Floating-point operations; each of DIRECTIONS takes as many."""
        return 2.0 * self.pairs * self.in_channels * self.out_channels

    def traffic(self, direction: str, dtype: torch.dtype) -> float:
        """Bytes that a direction moves at least.

        Both sides' rows and the weights once, in ``dtype``; the gradient of the weights in float32; and one index for
        every pair, except for 1^3 kernels.
        """
        rows = self.num_in * self.in_channels + self.num_out * self.out_channels
        weights = self.volume * self.in_channels * self.out_channels
        weight_bytes = torch.float32.itemsize if direction == "weight grad" else dtype.itemsize
        indices = self.pairs * INDEX_BYTES if self.volume > 1 else 0
        return float(rows * dtype.itemsize + weights * weight_bytes + indices)


def convolutions(work: Work) -> dict[str, Counted]:
    """Every convolution of the network by name, in the order of a forward pass."""
    network = work.network(System("native", "fp32")).eval()
    found = {}

    def count(name: str, layer: nn.Module, x: SparseTensor, out: SparseTensor) -> None:
        fine, coarse = sorted((x, out), key=lambda tensor: tensor.stride)
        pairs = len(x)
        if layer.kernel_size > 1:
            pairs = x.manager.kernel_map(fine.stride, coarse.stride, layer.kernel_size).num_pairs
        volume, channels = layer.kernel_size**3, (layer.in_channels, layer.out_channels)
        found[name] = Counted(fine.stride, len(fine), len(x), len(out), pairs, volume, *channels)

    for name, layer in network.named_modules():
        if isinstance(layer, Convolution | TransposedConvolution):
            layer.register_forward_hook(lambda layer, inputs, out, name=name: count(name, layer, *inputs, out))
    with torch.inference_mode():
        network(work.tensor(System("native", "fp32")))
    return found
