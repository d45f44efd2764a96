"""A SpUNet with the weights' names of Pointcept's, on the layers of spconv or dense convolutions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM = 32


class DenseTensor:
    """What the network uses of spconv's SparseConvTensor; ``below``: the voxels that a strided layer came from."""

    def __init__(self, features, indices, spatial_shape, batch_size, below=None):
        self.features, self.indices, self.below = features, indices, below
        self.spatial_shape, self.batch_size = list(spatial_shape), batch_size

    def replace_feature(self, features):
        return DenseTensor(features, self.indices, self.spatial_shape, self.batch_size, self.below)

    def dense(self, rows: Tensor) -> Tensor:
        """(N, C) -> (B, C, X, Y, Z), zeros where there is no voxel."""
        grid = rows.new_zeros(self.batch_size, *self.spatial_shape, rows.shape[1])
        return grid.index_put(tuple(self.indices.long().T), rows).movedim(-1, 1)

    def rows(self, grid: Tensor) -> Tensor:
        """(B, C, X, Y, Z) -> (N, C)."""
        return grid.movedim(1, -1)[tuple(self.indices.long().T)]


class _Dense(nn.Module):
    """``weight`` (Cout, K, K, K, Cin) as spconv stores it; the memory of a 1^3 kernel is (Cin, Cout) there."""

    def __init__(self, inputs, outputs, kernel_size, stride=1, bias=True, indice_key=None):
        super().__init__()
        size = kernel_size
        self.weight = nn.Parameter(torch.empty(outputs, size, size, size, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None


class SubMConv3d(_Dense):
    """Cross-correlation around each voxel."""

    def forward(self, x):
        if self.weight.shape[1] == 1:
            rows = x.features @ self.weight.view(self.weight.shape[-1], -1)
        else:
            kernel = self.weight.permute(0, 4, 1, 2, 3)
            rows = x.rows(F.conv3d(x.dense(x.features), kernel, padding=kernel.shape[-1] // 2))
        return x.replace_feature(rows if self.bias is None else rows + self.bias)


class SparseConv3d(_Dense):
    """Output voxel u reads the input voxels 2u and 2u + 1 along each axis."""

    def forward(self, x):
        active = F.max_pool3d(x.dense(torch.ones_like(x.features[:, :1])), 2)[:, 0] > 0
        out = DenseTensor(None, active.nonzero(), active.shape[1:], x.batch_size, below=x)
        grid = F.conv3d(x.dense(x.features), self.weight.permute(0, 4, 1, 2, 3), stride=2)
        return out.replace_feature(out.rows(grid))


class SparseInverseConv3d(_Dense):
    """Back to the voxels of the strided layer, each from the one that had read it, with the kernel at that offset."""

    def forward(self, x):
        grid = F.conv_transpose3d(x.dense(x.features), self.weight.permute(4, 0, 1, 2, 3), stride=2)
        return x.below.replace_feature(x.below.rows(grid))


DENSE = SimpleNamespace(
    SparseConvTensor=DenseTensor,
    SubMConv3d=SubMConv3d,
    SparseConv3d=SparseConv3d,
    SparseInverseConv3d=SparseInverseConv3d,
)


def normed(x, norm: nn.Module):
    return x.replace_feature(norm(x.features))


def relu(x):
    return x.replace_feature(x.features.relu())


class Block(nn.Module):
    """Two 3^3 convolutions and a shortcut, projected where the number of channels changes."""

    def __init__(self, layers, norm, inputs: int, outputs: int, key: str) -> None:
        super().__init__()
        projection = [layers.SubMConv3d(inputs, outputs, 1, bias=False), norm(outputs)]
        self.proj = nn.Sequential(*(projection if inputs != outputs else []))
        self.conv1 = layers.SubMConv3d(inputs, outputs, 3, bias=False, indice_key=key)
        self.bn1 = norm(outputs)
        self.conv2 = layers.SubMConv3d(outputs, outputs, 3, bias=False, indice_key=key)
        self.bn2 = norm(outputs)

    def forward(self, x):
        out = normed(self.conv2(relu(normed(self.conv1(x), self.bn1))), self.bn2)
        shortcut = normed(self.proj[0](x), self.proj[1]) if len(self.proj) else x
        return relu(out.replace_feature(out.features + shortcut.features))


class SpUNet(nn.Module):
    """Stage s of encoder and decoder works at strides 2^(s + 1) and 2^s; ``channels`` and ``counts`` of 8 stages.

    layers  a module with spconv's classes
    """

    def __init__(self, layers, inputs: int, classes: int, channels: tuple[int, ...], counts: tuple[int, ...]) -> None:
        super().__init__()

        def norm(width: int) -> nn.Module:
            return nn.BatchNorm1d(width, eps=1e-3, momentum=0.01)

        def stage(first: int, width: int, count: int, key: str) -> nn.Module:
            widths = [first] + [width] * (count - 1)
            return nn.ModuleDict({f"block{i}": Block(layers, norm, w, width, key) for i, w in enumerate(widths)})

        def step(kind: Callable[..., nn.Module], first: int, width: int, *arguments, key: str) -> nn.Module:
            return nn.Sequential(kind(first, width, *arguments, bias=False, indice_key=key), norm(width))

        encoder, decoder = (STEM, *channels[:4]), channels[:3:-1]  # decoder: the finest first
        below = (*decoder[1:], channels[3])
        self.conv_input = step(layers.SubMConv3d, inputs, STEM, 5, key="stem")
        self.down, self.enc, self.up, self.dec = (nn.ModuleList() for _ in range(4))
        for s in range(4):
            self.down.append(step(layers.SparseConv3d, encoder[s], encoder[s + 1], 2, 2, key=f"down{s}"))
            self.enc.append(stage(encoder[s + 1], encoder[s + 1], counts[s], f"level{s + 1}"))
            self.up.append(step(layers.SparseInverseConv3d, below[s], decoder[s], 2, key=f"down{s}"))
            self.dec.append(stage(decoder[s] + encoder[s], decoder[s], counts[7 - s], f"level{s}"))
        self.final = layers.SubMConv3d(decoder[0], classes, 1, bias=True)

    def forward(self, x):
        x = relu(normed(self.conv_input[0](x), self.conv_input[1]))
        skips = []
        for down, blocks in zip(self.down, self.enc, strict=True):
            skips.append(x)
            x = relu(normed(down[0](x), down[1]))
            for block in blocks.values():
                x = block(x)
        for up, blocks in zip(reversed(self.up), reversed(self.dec), strict=True):
            x = relu(normed(up[0](x), up[1]))
            x = x.replace_feature(torch.cat([x.features, skips.pop().features], 1))
            for block in blocks.values():
                x = block(x)
        return self.final(x).features


def randomize(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights of the size that training leaves, and random running statistics."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.fill_(1234)
        elif name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif value.ndim == 1:
            value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
        else:
            fan = value[0].numel()
            value.copy_(torch.randn(value.shape, generator=generator) * (2 / fan) ** 0.5)
    return network


def spconv_input(layers, features: Tensor, coordinates: Tensor):
    """(N, C), (N, 4) int32 [scene, x, y, z] from zero up; the grid has room above, as in Pointcept."""
    shape = [(int(high) // 16 + 1) * 16 for high in coordinates[:, 1:].amax(0)]
    return layers.SparseConvTensor(features, coordinates.contiguous(), shape, int(coordinates[:, 0].max()) + 1)
