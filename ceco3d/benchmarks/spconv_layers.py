"""The layers of ceco3d.sparse on the baselines spconv 2 and spconv-triton, which share one API.

They follow common spconv code: submanifold and strided convolutions share ``indice_key``s, so each kernel map is built
once, and the decoder uses SparseInverseConv3d. They cover what the MinkUNets need: strides equal kernel sizes.
"""

from __future__ import annotations

from functools import cache, partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ceco3d.models.spunet import kernel_to_spconv
from ceco3d.sparse.convolution import product_dtype
from ceco3d.sparse.modules import BatchNorm, ReLU
from ceco3d.sparse.tensor import SparseTensor, cat

COARSEST = 16  # stride of the coarsest level of the MinkUNets; the grid starts and ends at multiples of it


@cache
def spconv_layers(library: str) -> SimpleNamespace:
    """The layers on the package ``spconv`` or ``spconv_triton``; a one-line ImportError if it does not load."""
    try:
        spconv = import_module(f"{library}.pytorch")
    except (ImportError, OSError, RuntimeError) as error:
        raise ImportError(f"{library} does not load ({str(error).partition(chr(10))[0]})") from error
    return SimpleNamespace(
        library=library,
        SparseTensor=partial(SpconvTensor.of, spconv),
        Convolution=partial(Convolution, spconv),
        TransposedConvolution=partial(TransposedConvolution, spconv),
        BatchNorm=BatchNorm,
        ReLU=ReLU,
        cat=cat,
    )


class SpconvTensor(SparseTensor):
    """Features on the voxels of an spconv tensor.

    sparse   spconv's SparseConvTensor: ``indices`` (N, 4) int32 ``[batch, x, y, z]`` in voxels of its level
    rows     (N, C) in the order of ``indices``
    manager  one object for all tensors that come from one input; only its identity counts
    """

    def __init__(self, sparse: Any, stride: int, manager: Any) -> None:
        self.sparse, self.stride, self.manager, self._position = sparse, stride, manager, None
        self.rows = sparse.features

    @classmethod
    def of(cls, spconv: ModuleType, features: Tensor, coordinates: Tensor) -> SpconvTensor:
        """(N, C) float, (N, 4) integer ``[batch, x, y, z]``; shifts coordinates to start at zero for spconv."""
        low = torch.div(coordinates[:, 1:].amin(0), COARSEST, rounding_mode="floor") * COARSEST
        batch, *last = torch.cat([coordinates[:, :1].amax(0), coordinates[:, 1:].amax(0) - low]).tolist()
        indices = torch.cat([coordinates[:, :1], coordinates[:, 1:] - low], dim=1).int()
        shape = [(index // COARSEST + 1) * COARSEST for index in last]
        return cls(spconv.SparseConvTensor(features, indices, shape, batch + 1), 1, object())

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) int32 ``[batch, x, y, z]`` from zero up, in voxels of the input."""
        indices: Tensor = self.sparse.indices
        return indices * torch.tensor([1, *3 * [self.stride]], device=self.rows.device, dtype=torch.int32)

    def with_rows(self, rows: Tensor, stride: int | None = None) -> SpconvTensor:
        """The same voxels with other features."""
        sparse = self.sparse.replace_feature(rows)
        return SpconvTensor(sparse, self.stride if stride is None else stride, self.manager)


class _Layer(nn.Module):
    """A layer around spconv's module ``conv``; it loads ``kernel`` and ``bias`` of the same layer of ceco3d.sparse.

    It computes in the autocast dtype. spconv's own autocast only knows float16.
    """

    conv: Any  # spconv has no types

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.register_load_state_dict_pre_hook(_convert)

    def _convolve(self, x: SpconvTensor, key: str, stride: int) -> SpconvTensor:
        """The layer's output at ``stride``; ``key`` names the kernel map."""
        conv, dtype = self.conv, product_dtype(x.rows)
        conv.indice_key = key
        with torch.autocast(x.rows.device.type, enabled=False):
            sparse = x.sparse.replace_feature(x.rows.to(dtype))
            out = conv._conv_forward(conv.training, sparse, conv.weight.to(dtype), conv.bias, name=key)
        return SpconvTensor(out, stride, x.manager)


class Convolution(_Layer):
    """Submanifold at stride 1; otherwise ``stride`` equals ``kernel_size`` and makes the level that much coarser."""

    def __init__(
        self,
        spconv: ModuleType,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        if stride == 1:
            # Without the flag, 5^3 kernels take spconv's slow path.
            conv = spconv.SubMConv3d(in_channels, out_channels, kernel_size, bias=bias, large_kernel_fast_algo=True)
        else:
            conv = spconv.SparseConv3d(in_channels, out_channels, kernel_size, stride, bias=bias)
        super().__init__(conv)

    def forward(self, x: SpconvTensor) -> SpconvTensor:
        """(N, Cin) at stride t -> (M, Cout) at stride t * stride."""
        size, step = self.conv.kernel_size[0], self.conv.stride[0]
        return self._convolve(x, _key(size, step, x.stride), x.stride * step)


class TransposedConvolution(_Layer):
    """The inverse of a strided convolution with the same kernel."""

    def __init__(
        self, spconv: ModuleType, in_channels: int, out_channels: int, kernel_size: int, stride: int, bias: bool = False
    ) -> None:
        super().__init__(spconv.SparseInverseConv3d(in_channels, out_channels, kernel_size, None, bias=bias))

    def forward(self, x: SpconvTensor) -> SpconvTensor:
        """(M, Cin) at stride t -> (N, Cout) at stride t / stride."""
        size = self.conv.kernel_size[0]
        stride = x.stride // size
        return self._convolve(x, _key(size, size, stride), stride)


def _key(kernel_size: int, step: int, stride: int) -> str:
    """The name of the kernel map that a kernel needs on the level at ``stride``."""
    return f"{kernel_size}^3 by {step} at {stride}"


def _convert(layer: _Layer, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Convert ``kernel`` and ``bias`` of ceco3d.sparse to the names and shapes of spconv."""
    state[f"{prefix}conv.weight"] = kernel_to_spconv(state.pop(f"{prefix}kernel"))
    if layer.conv.bias is not None:
        state[f"{prefix}conv.bias"] = state.pop(f"{prefix}bias").flatten()
