"""The engine as operators of torch: one node of a graph where torch.compile or torch.export find a convolution.

Eager code calls the engine directly, which costs the host less. A graph refers to the voxels of a batch by a handle: an
int64 tensor with the number of their CoordinateManager. All sizes are those of features, weights and keys.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ceco3d.sparse.maps.handles import known_by
from ceco3d.sparse.maps.kernel_map import CoordinateManager


class GraphVoxels(CoordinateManager):
    """The levels of a batch inside a graph; whoever runs the graph makes their keys and kernel maps."""

    def __init__(self, keys: Tensor, handle: Tensor) -> None:
        self._keys, self.handle = {1: keys}, handle

    def downsample(self, stride: int, factor: int) -> int:
        """See CoordinateManager."""
        coarse = stride * factor
        if coarse not in self._keys:
            self._keys[coarse] = downsample(self.handle, self._keys[stride], stride, factor)
        return coarse


def held(manager: CoordinateManager) -> Tensor:
    """The handle of ``manager`` inside a graph; its voxels live as long as it does."""
    return manager.handle if isinstance(manager, GraphVoxels) else hold(manager.handle)


def _held(manager: CoordinateManager) -> Tensor:
    handle = manager.handle.clone()
    handle.manager = manager  # type: ignore[attr-defined]
    return handle


@torch.library.custom_op("ceco3d::hold", mutates_args=())
def hold(handle: Tensor) -> Tensor:
    """The same handle; its voxels live as long as it does, for instance until a backward pass."""
    return _held(known_by(handle, CoordinateManager))


@hold.register_fake
def _(handle: Tensor) -> Tensor:
    return torch.empty_like(handle)


@torch.library.custom_op("ceco3d::voxels", mutates_args=())
def voxels(features: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a SparseTensor makes of its input: (handle that holds, keys (N,), order (N,), position (N,)), all int64.

    ``features[order]`` are rows in key order, ``rows[position]`` are in the caller's order again.
    """
    from ceco3d.sparse.tensor import SparseTensor  # which imports this module

    x = SparseTensor(features, coordinates)
    here = torch.arange(len(x), device=features.device)
    position = here.clone() if x._position is None else x._position
    order = torch.empty_like(position).scatter_(0, position, here)
    return _held(x.manager), x.manager.keys(1).clone(), order, position


@voxels.register_fake
def _(features: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    keys, order, position = (coordinates.new_empty(features.shape[0], dtype=torch.int64) for _ in range(3))
    return torch.empty(1, dtype=torch.int64), keys, order, position


@torch.library.custom_op("ceco3d::downsample", mutates_args=())
def downsample(handle: Tensor, keys: Tensor, stride: int, factor: int) -> Tensor:
    """The keys of the level ``factor`` times coarser than that at ``stride``, whose keys are given."""
    manager = known_by(handle, CoordinateManager)
    return manager.keys(manager.downsample(stride, factor)).clone()


@downsample.register_fake
def _(handle: Tensor, keys: Tensor, stride: int, factor: int) -> Tensor:
    return keys.new_empty(torch.library.get_ctx().new_dynamic_size(min=1))


@torch.library.custom_op("ceco3d::convolve", mutates_args=())
def convolve(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
    handle: Tensor,
    num_out: int,
    fine: int,
    coarse: int,
    kernel_size: int,
    transpose: bool,
    relu: bool,
    engine: str,
) -> Tensor:
    """A convolution from the level of stride ``fine`` to ``coarse``, or its transpose; see ``Kernels.forward``."""
    kernel_map, kernels = _kernel_map(features, handle, fine, coarse, kernel_size, transpose, engine)
    with torch.autocast(features.device.type, enabled=False):
        out: Tensor = kernels.forward(features, weight, bias, kernel_map, residual, relu)
        return out


@convolve.register_fake
def _(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
    handle: Tensor,
    num_out: int,
    fine: int,
    coarse: int,
    kernel_size: int,
    transpose: bool,
    relu: bool,
    engine: str,
) -> Tensor:
    return features.new_empty(num_out, weight.shape[2])


@torch.library.custom_op("ceco3d::convolve_backward", mutates_args=())
def convolve_backward(
    grad_out: Tensor,
    features: Tensor,
    weight: Tensor,
    handle: Tensor,
    fine: int,
    coarse: int,
    kernel_size: int,
    transpose: bool,
    engine: str,
    needs_features: bool,
    needs_weight: bool,
) -> tuple[Tensor, Tensor]:
    """The gradients of features and weight; empty where not needed."""
    kernel_map, kernels = _kernel_map(features, handle, fine, coarse, kernel_size, transpose, engine)
    with torch.autocast(features.device.type, enabled=False):
        found = kernels.backward(
            grad_out.to(features.dtype).contiguous(), features, weight, kernel_map, needs_features, needs_weight
        )
    empty = features.new_empty(0), weight.new_empty(0)
    grad_features, grad_weight = (none if one is None else one for one, none in zip(found, empty, strict=True))
    return grad_features, grad_weight.to(weight.dtype)


@convolve_backward.register_fake
def _(
    grad_out: Tensor,
    features: Tensor,
    weight: Tensor,
    handle: Tensor,
    fine: int,
    coarse: int,
    kernel_size: int,
    transpose: bool,
    engine: str,
    needs_features: bool,
    needs_weight: bool,
) -> tuple[Tensor, Tensor]:
    grad_features = torch.empty_like(features) if needs_features else features.new_empty(0)
    return grad_features, torch.empty_like(weight) if needs_weight else weight.new_empty(0)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    features, weight, _, _, handle, _, *ctx.call, _relu, ctx.engine = inputs
    ctx.save_for_backward(features, weight, handle)


def _backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
    features, weight, handle = ctx.saved_tensors
    needs_features, needs_weight, needs_bias, *_ = ctx.needs_input_grad
    grad_features, grad_weight = convolve_backward(
        grad_out, features, weight, handle, *ctx.call, ctx.engine, needs_features, needs_weight
    )
    grad_bias = grad_out.sum(0, dtype=torch.promote_types(grad_out.dtype, torch.float32)) if needs_bias else None
    return grad_features if needs_features else None, grad_weight if needs_weight else None, grad_bias, *[None] * 9


convolve.register_autograd(_backward, setup_context=_save)


def _kernel_map(
    features: Tensor, handle: Tensor, fine: int, coarse: int, kernel_size: int, transpose: bool, engine: str
) -> tuple[Any, Any]:
    from ceco3d.sparse.engine import ENGINES, load_engine  # which imports this module

    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r} in a graph")  # a graph may come from a file
    layers: Any = load_engine(engine)
    manager = known_by(handle, CoordinateManager)
    found, kernels = layers.Convolution.find_map(manager, fine, coarse, kernel_size, features.device, features.dtype)
    return found.transposed() if transpose else found, kernels
