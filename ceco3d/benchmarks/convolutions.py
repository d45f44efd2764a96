"""Operations and bytes of every convolution of a network on given voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.workload import Workload
from ceco3d.sparse import Convolution, SparseTensor, TransposedConvolution

DIRECTIONS = ("forward", "input grad", "weight grad")
INDEX_BYTES = 4


@dataclass(frozen=True)
class ConvolutionSize:
    """The size of one convolution.

    stride, voxels   of the finer of its two levels
    num_in, num_out  rows of input and output
    pairs            pairs of input and output rows in its kernel map
    volume           kernel offsets, K^3
    """

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
        """Floating-point operations, the same in each of DIRECTIONS."""
        return 2.0 * self.pairs * self.in_channels * self.out_channels

    def traffic(self, direction: str, dtype: torch.dtype) -> float:
        """The least number of bytes that a direction moves.

        Input rows, output rows and weights once, in ``dtype``, but the weight gradient in float32; plus one index for
        every pair, except for 1^3 kernels.
        """
        rows = self.num_in * self.in_channels + self.num_out * self.out_channels
        weights = self.volume * self.in_channels * self.out_channels
        weight_bytes = torch.float32.itemsize if direction == "weight grad" else dtype.itemsize
        indices = self.pairs * INDEX_BYTES if self.volume > 1 else 0
        return float(rows * dtype.itemsize + weights * weight_bytes + indices)


def measure_convolutions(workload: Workload) -> dict[str, ConvolutionSize]:
    """{layer name: size} of every convolution of the network, in the order of a forward pass."""
    network = workload.network(System("native", "fp32")).eval()
    sizes: dict[str, ConvolutionSize] = {}

    def record(
        name: str, layer: Convolution | TransposedConvolution, inputs: tuple[SparseTensor], out: SparseTensor
    ) -> None:
        (x,) = inputs
        fine, coarse = sorted((x, out), key=lambda tensor: tensor.stride)
        pairs = len(x)
        if layer.kernel_size > 1:
            pairs = x.manager.kernel_map(fine.stride, coarse.stride, layer.kernel_size).num_pairs
        volume, channels = layer.kernel_size**3, (layer.in_channels, layer.out_channels)
        sizes[name] = ConvolutionSize(fine.stride, len(fine), len(x), len(out), pairs, volume, *channels)

    for name, layer in network.named_modules():
        if isinstance(layer, Convolution | TransposedConvolution):
            layer.register_forward_hook(partial(record, name))
    with torch.inference_mode():
        network(workload.tensor(System("native", "fp32")))
    return sizes
