"""Compile Triton kernels without running them: for a GPU that another process will use, or that is not there."""

# Triton has no types.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import triton
from torch._subclasses.fake_tensor import FakeTensor
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction, MockTensor

from ceco3d.sparse.kernels.triton_launch import replaced


class Driver:
    """Triton's driver for one GPU of a compute capability, such as 90 for 9.0. Needs no GPU and launches nothing."""

    def __init__(self, capability: int) -> None:
        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> GPUTarget:
        """The GPU to compile for."""
        return self.target

    def get_current_device(self) -> int:
        """Its number."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """A number that no launch uses."""
        return 0


@dataclass
class Compiled:
    """What was compiled: the kernels that were launched by name, with their variants, and how many were new."""

    variants: dict[str, set[str]] = field(default_factory=dict)
    new: int = 0


@contextmanager
def compile_only(capability: int, part: int = 0, parts: int = 1) -> Iterator[Compiled]:
    """A context in which launching a kernel compiles it for ``capability`` (90: 9.0) into Triton's cache, if it must.

    Of the variants, numbered as they come, this process compiles those whose number is ``part`` modulo ``parts``.
    Nothing is computed, so tensors may be torch's fake ones, which have no values. Afterward the process can launch no
    kernel.
    """
    found, order = Compiled(), dict[tuple[str, str], int]()
    launch: Any = JITFunction.run

    def run(kernel, *args, grid, warmup, **kwargs):
        known = [MockTensor(value.dtype) if isinstance(value, FakeTensor) else value for value in args]
        return launch(kernel, *known, grid=grid, warmup=True, **kwargs)

    def others(*, key, fn, **_) -> bool:
        """Whether the variant is not for this process."""
        name = fn.jit_function.fn.__name__
        found.variants.setdefault(name, set()).add(key)
        return order.setdefault((name, key), len(order)) % parts != part

    def count(*, cache_hit, **_) -> None:
        found.new += not cache_hit

    triton.runtime.driver.set_active(Driver(capability))
    with (
        replaced(JITFunction, "run", run),
        replaced(knobs.runtime, "jit_cache_hook", others),
        replaced(knobs.compilation, "listener", count),
    ):
        yield found
