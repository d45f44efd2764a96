"""Compile the Triton kernels of a network before its first training or prediction, in parallel."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ceco3d.models.build import build_network
from ceco3d.models.fold import fold_batch_norms
from ceco3d.models.network import Network
from ceco3d.sparse import SparseTensor
from ceco3d.sparse.kernels import normalize, triton_launch
from ceco3d.sparse.kernels.triton_launch import replaced
from ceco3d.sparse.maps.kernel_map import CoordinateManager
from ceco3d.utils.parallel import run_parallel

SHRINKS = 3.6  # voxels of a level to those of the next one, in rooms at 2 cm
FEWEST = 20_000  # voxels: smaller batches share most kernels with this one


@dataclass(frozen=True)
class Warming:
    """What to compile for.

    network     arguments of ``build_network`` but the engine
    dtype       of the convolutions
    tf32        whether products of float32 are rounded
    voxels      of the largest batch; kernels for smaller ones are compiled too
    capability  of the GPU, e.g. 90 for 9.0
    """

    network: Mapping[str, Any]
    dtype: torch.dtype
    tf32: bool
    voxels: int
    capability: int


def warm(what: Warming, processes: int) -> tuple[int, int]:
    """Compile the kernels of training steps and predictions; returns (variants, how many of them were compiled now).

    Triton keeps them in its cache (TRITON_CACHE_DIR), where every later process finds them.
    """
    jobs = run_parallel(partial(warm_part, what, processes), range(processes), processes)
    counts = [future.result() for _, future in jobs]
    return counts[0][0], sum(new for _, new in counts)


def warm_part(what: Warming, parts: int, part: int) -> tuple[int, int]:
    """As ``warm``, but compiles a share of the variants, in this process, which can launch no kernel afterward."""
    os.environ.pop("TRITON_INTERPRET", None)  # read when the kernels are imported
    from ceco3d.sparse.kernels.triton_ahead import compile_only

    torch.set_float32_matmul_precision("high" if what.tf32 else "highest")
    with torch.device("meta"):
        model = build_network(**what.network, engine="ceco3d.sparse.triton")
        folded = fold_batch_norms(model)
    with compile_only(what.capability, part, parts) as found, _without_values():
        for network in (model, folded):
            network.to_empty(device="cpu")
            for voxels in _sizes(what.voxels):
                take_step(network, _input(voxels, what.network["in_channels"]), what.dtype)
    return sum(map(len, found.variants.values())), found.new


@contextmanager
def _without_values() -> Iterator[None]:
    """Make new tensors fake, with sizes but no values, and let the Triton kernels take them, although on the CPU."""
    supported = replaced(triton_launch, "_reason", lambda device, dtype, interprets: None)
    with FakeTensorMode(allow_non_fake_inputs=True), supported, replaced(normalize, "supports", lambda x: False):
        yield


def take_step(network: Network, x: SparseTensor, dtype: torch.dtype) -> None:
    """A forward pass, and the backward pass of a network in training."""
    with torch.set_grad_enabled(network.training), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        out = network(x).rows
    if network.training:
        out.float().sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _sizes(voxels: int) -> Iterator[int]:
    """Sizes of batches. Each level then has another number of voxels, so that most variants of a kernel occur."""
    while voxels > FEWEST:
        yield voxels
        voxels //= 4
    yield voxels


def _input(voxels: int, channels: int) -> SparseTensor:
    """As many voxels with the coarser levels of a MinkUNet, whose sizes nothing could count."""
    manager = CoordinateManager(torch.empty(voxels, dtype=torch.int64))
    for level in range(1, 5):
        manager._keys[2**level] = torch.empty(max(2, round(voxels / SHRINKS**level)), dtype=torch.int64)
    x: SparseTensor = object.__new__(SparseTensor)
    x.manager, x.stride, x._position = manager, 1, None
    x.rows = torch.empty(voxels, channels)
    return x
