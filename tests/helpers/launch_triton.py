"""Launch every kernel of a training step for an absent GPU: Triton compiles the kernels but does not run them.

python -m tests.helpers.launch_triton CAPABILITY [STEPS]
Prints the number of compiled kernels by name after each of the steps, of which there are three at most and by default.
Run without TRITON_INTERPRET. The host code and Triton's handling of arguments are real; the values are garbage.
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
from triton.runtime.jit import JITFunction

import ceco3d.sparse.triton
from ceco3d.models import MinkUNet, build_model
from ceco3d.sparse import SparseTensor
from ceco3d.sparse.kernels import triton_normalize
from ceco3d.sparse.kernels.triton_ahead import Driver


def take_step(model: MinkUNet, seed: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    coordinates = torch.randint(size, (3000 + seed, 4), generator=generator) % torch.tensor([2, size, size, size])
    coordinates = coordinates.unique(dim=0).int()
    inputs = SparseTensor(torch.zeros(len(coordinates), 9), coordinates)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(inputs).features
    out.float().sum().backward()


def main(capability: int, steps: int = 3) -> None:
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
        for seed, size in ((0, 80), (7, 64), (16, 50))[:steps]:
            take_step(model, seed, size)
            print(json.dumps({name: len(found) for name, found in compiled.items()}), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*map(int, sys.argv[1:]))
