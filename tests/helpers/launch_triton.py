"""Launch every kernel of a training step for an absent GPU: Triton compiles the kernels but does not run them.

python -m tests.helpers.launch_triton CAPABILITY
Prints the number of compiled kernels by name after each of three steps. Run without TRITON_INTERPRET. The host code and
Triton's handling of arguments are real; the values are garbage.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import defaultdict
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

import ceco3d.sparse.triton
from ceco3d.models import MinkUNet, build_model
from ceco3d.sparse import SparseTensor
from ceco3d.sparse.kernels import triton_normalize


class Driver:
    """Triton's driver for one GPU of a compute capability."""

    def __init__(self, capability: int) -> None:
        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def take_step(model: MinkUNet, seed: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    coordinates = torch.randint(size, (3000 + seed, 4), generator=generator) % torch.tensor([2, size, size, size])
    coordinates = coordinates.unique(dim=0).int()
    inputs = SparseTensor(torch.zeros(len(coordinates), 9), coordinates)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(inputs).features
    out.float().sum().backward()


def main(capability: int) -> None:
    triton.runtime.driver.set_active(Driver(capability))
    compiled: dict[str, set[str]] = defaultdict(set)
    launch = JITFunction.run

    def run(kernel: JITFunction, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        made = launch(kernel, *args, grid=grid, warmup=True, **kwargs)
        compiled[kernel.fn.__name__].add(made.hash)
        return made

    supported = ExitStack()
    for module in (ceco3d.sparse.triton, triton_normalize):
        supported.enter_context(patch.object(module, "unsupported", lambda device, dtype: None))
    # No kernel fills the tables: zeros, because garbage would name rows that do not exist.
    with patch.object(JITFunction, "run", run), patch.object(torch, "empty", torch.zeros), supported:
        model = build_model("MinkUNet14A", 9, 200, engine="triton")
        for seed, size in ((0, 80), (7, 64), (16, 50)):
            take_step(model, seed, size)
            print(json.dumps({name: len(found) for name, found in compiled.items()}), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]))
