"""Where the tests of tests/gpu run: at real sizes on a GPU, the same code at toy sizes elsewhere."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.profiler import ProfilerActivity, profile

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ON_GPU = DEVICE.type == "cuda"
ENGINE = "triton" if ON_GPU else "native"  # of whole networks: interpreted ones take minutes
SCENE = 120_000  # voxels of a scene at 2 cm


def cases(names: str, toy: Iterable[Any], real: Iterable[Any], slow: bool = False) -> pytest.MarkDecorator:
    """Parametrize a test: ``real`` on a GPU (marker ``gpu``), ``toy`` where there is none, marked ``slow`` if it is."""
    marks = pytest.mark.slow if slow else ()
    chosen = [] if ON_GPU else [pytest.param(*_tuple(one), marks=marks) for one in toy]
    return pytest.mark.parametrize(
        names, [*chosen, *(pytest.param(*_tuple(one), marks=pytest.mark.gpu) for one in real)]
    )


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def surface(voxels: int, seed: int = 0) -> Tensor:
    """(voxels, 4) int32 ``[batch, x, y, z]``: uneven floors of at most SCENE voxels each, in random order.

    Like scanned rooms: a surface, on which a voxel has around nine neighbors in 3^3.
    """
    generator = torch.Generator().manual_seed(seed)
    scenes = -(-voxels // SCENE)
    side = math.isqrt(-(-voxels // scenes) - 1) + 1
    grid = torch.cartesian_prod(torch.arange(scenes), torch.arange(side), torch.arange(side))
    batch, x, y = grid[torch.randperm(len(grid), generator=generator)[:voxels]].unbind(1)
    height = 6 * torch.sin(x / 17) + 5 * torch.cos(y / 11) + 1.2 * torch.rand(voxels, generator=generator)
    return torch.stack([batch, x - side // 2, y, height.floor().long()], dim=1).int().to(DEVICE)


def launched(run: Callable[[], object]) -> Counter[str]:
    """How often each kernel runs in ``run``: every kernel of a GPU, elsewhere those of Triton that are interpreted."""
    if ON_GPU:
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            run()
            torch.cuda.synchronize()
        return Counter(event.name for event in profiler.events() if event.device_type.name == "CUDA")
    from triton.runtime.interpreter import InterpretedFunction

    found: Counter[str] = Counter()
    original = InterpretedFunction.run

    def count(kernel: Any, *args: Any, **kwargs: Any) -> Any:
        found[kernel.fn.__name__] += 1
        return original(kernel, *args, **kwargs)

    with patch.object(InterpretedFunction, "run", count):
        run()
    return found


def allocated() -> int:
    """Bytes of all live tensors: what torch has allocated on the GPU, elsewhere the storages that Python can reach."""
    gc.collect()
    if ON_GPU:
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()
    storages = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
        for one in gc.get_objects()
        if type(one)
        in (Tensor, Parameter)  # isinstance runs code of other objects, and other kinds may have no storage
    }
    return sum(storages.values())
