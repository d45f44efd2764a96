"""The layers of ceco3d.sparse on the baseline ocnn, whose convolutions follow an octree.

Voxels are the leaves of an octree of their own; "non-empty" convolutions see nothing else. Submanifold 3^3 convolutions
run in ocnn's Triton kernels on a GPU, 2^3 ones of stride 2 and their transposes in its products block by block.
"""

from __future__ import annotations

from functools import cache, partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ceco3d import sparse
from ceco3d.sparse.convolution import product_dtype
from ceco3d.sparse.modules import BatchNorm, ReLU
from ceco3d.sparse.tensor import SparseTensor, cat

LEVELS = 5  # strides 1 to 16 of the MinkUNets
FULL_DEPTH = 2  # of the octree: ocnn makes every node above it


@cache
def ocnn_layers() -> SimpleNamespace:
    """The layers on the package ``ocnn``; a one-line ImportError if it does not load."""
    try:
        ocnn = import_module("ocnn")
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ImportError(f"ocnn does not load ({reason}): pip install ocnn torchvision") from error
    return SimpleNamespace(
        library="ocnn",
        SparseTensor=partial(OcnnTensor.of, ocnn),
        Convolution=partial(_convolution, ocnn),
        TransposedConvolution=partial(_Layer, ocnn.nn.OctreeDeconv, 1),
        BatchNorm=BatchNorm,
        ReLU=ReLU,
        cat=cat,
    )


class OcnnTensor(SparseTensor):
    """Features on the non-empty nodes of an octree.

    rows     (N, C) in the order of ocnn's keys
    manager  ocnn's Octree, shared by all tensors that come from one input
    depth    of the nodes: the number of levels below the root
    """

    manager: Any  # ocnn has no types

    def __init__(self, rows: Tensor, octree: Any, depth: int, position: Tensor | None) -> None:
        self.rows, self.manager, self.depth, self._position = rows, octree, depth, position
        self.stride = 1 << (octree.depth - depth)

    @classmethod
    def of(cls, ocnn: ModuleType, features: Tensor, coordinates: Tensor) -> OcnnTensor:
        """(N, C) float, (N, 4) integer ``[batch, x, y, z]``; builds the octree and the neighbors of all levels."""
        coarsest = 1 << (LEVELS - 1)
        low = torch.div(coordinates[:, 1:].amin(0), coarsest, rounding_mode="floor") * coarsest
        shifted = coordinates[:, 1:] - low
        batch, extent = torch.stack([coordinates[:, 0].amax(), shifted.amax()]).tolist()
        depth = max(extent.bit_length(), FULL_DEPTH + LEVELS)
        points = (shifted.float() + 0.5) / (1 << (depth - 1)) - 1  # the cube that ocnn divides is [-1, 1]
        cloud = ocnn.octree.Points(points, batch_id=coordinates[:, :1].long(), batch_size=batch + 1)
        octree = ocnn.octree.Octree(depth, FULL_DEPTH, batch + 1, device=features.device)
        position = octree.build_octree(cloud)
        octree.construct_all_neigh()
        for level in range(depth - LEVELS + 1, depth + 1):
            octree.nempty_neigh(level)
        rows = torch.empty_like(features).index_copy_(0, position, features)
        return cls(rows, octree, depth, position)

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) ``[batch, x, y, z]`` from zero up, in voxels of the input."""
        x, y, z, batch = self.manager.xyzb(self.depth, nempty=True)
        return self._in_caller_order(torch.stack([batch, x * self.stride, y * self.stride, z * self.stride], dim=1))

    def with_rows(self, rows: Tensor, depth: int | None = None) -> OcnnTensor:
        """The same voxels with other features, or those of the level at ``depth``."""
        return OcnnTensor(rows, self.manager, self.depth if depth is None else depth, self._position)


class _Layer(nn.Module):
    """A layer around ocnn's module ``conv``, which goes ``up`` levels; it loads ``kernel`` and ``bias`` of ours."""

    conv: Any

    def __init__(
        self, make: Any, up: int, in_channels: int, out_channels: int, kernel_size: int, stride: int, bias: bool = False
    ) -> None:
        super().__init__()
        self.conv = make(in_channels, out_channels, [kernel_size], stride, nempty=True, use_bias=bias)
        self.up = up
        self.register_load_state_dict_pre_hook(_convert)

    def forward(self, x: OcnnTensor) -> OcnnTensor:
        """(N, Cin) -> (M, Cout), computed in the autocast dtype."""
        dtype = product_dtype(x.rows)
        with torch.autocast(x.rows.device.type, enabled=False):
            rows = self.conv(x.rows.to(dtype), x.manager, x.depth)
        return x.with_rows(rows, x.depth + self.up)


def _convolution(
    ocnn: ModuleType, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = False
) -> nn.Module:
    """Submanifold at stride 1; otherwise 2^3 with stride 2. ValueError for kernels above 3^3, which ocnn lacks."""
    if kernel_size == 1:
        return sparse.Convolution(in_channels, out_channels, 1, bias=bias)  # a product of matrices in any library
    if kernel_size > 3:
        raise ValueError(f"ocnn has no {kernel_size}^3 kernels: model.stem_kernel=3")
    up = 0 if stride == 1 else -1
    return _Layer(ocnn.nn.OctreeConv, up, in_channels, out_channels, kernel_size, stride, bias)


def _convert(layer: _Layer, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Convert ``kernel`` and ``bias`` of ceco3d.sparse to the names and shapes of ocnn.

    Ours are (K^3, Cin, Cout) with the first axis fastest; ocnn's have the last axis fastest, and transposed layers have
    (K^3, Cout, Cin).
    """
    kernel, size = state.pop(f"{prefix}kernel"), layer.conv.kernel_size[0]
    kernel = kernel.reshape(size, size, size, *kernel.shape[1:]).permute(2, 1, 0, 3, 4).flatten(0, 2)
    state[f"{prefix}conv.weights"] = kernel.transpose(1, 2) if layer.up > 0 else kernel
    if layer.conv.use_bias:
        state[f"{prefix}conv.bias"] = state.pop(f"{prefix}bias").flatten()
