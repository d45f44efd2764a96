"""Cast the weights of all convolutions of a network at once: one launch on a GPU instead of one for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from ceco3d.sparse.convolution import product_dtype
from ceco3d.sparse.modules import ConvolutionBase
from ceco3d.sparse.tensor import SparseTensor

ALIGNMENT = 64  # values: copies begin at multiples of 128 bytes, as the kernels prefer


def cast_weights(network: nn.Module, x: SparseTensor) -> AbstractContextManager[None]:
    """A context for one pass of ``network`` over ``x``, in which its convolutions share one cast of their weights.

    Results stay the same, bit for bit. Without it, and where an engine converts weights in its own way, each
    convolution casts for itself.
    """
    dtype, device = product_dtype(x.rows), x.rows.device
    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, ConvolutionBase) and layer.kernel.ndim == 3 and layer.takes_cast(device, dtype)
    ]
    return _cast(layers, dtype) if layers else nullcontext()


@contextmanager
def _cast(layers: Sequence[ConvolutionBase], dtype: torch.dtype) -> Iterator[None]:
    weights = [layer.kernel.detach() for layer in layers]
    sizes = [-(-weight.numel() // ALIGNMENT) * ALIGNMENT for weight in weights]
    parts = torch.split(weights[0].new_empty(sum(sizes), dtype=dtype), sizes)
    copies = [part[: weight.numel()].view(weight.shape) for part, weight in zip(parts, weights, strict=True)]
    torch._foreach_copy_(copies, weights)
    try:
        for layer, copy in zip(layers, copies, strict=True):
            layer.cast = copy
        yield
    finally:
        for layer in layers:
            layer.cast = None
