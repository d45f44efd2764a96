"""Compile the kernels of a small network ahead for an absent GPU, then take a training step that only compiles.

python -m tests.helpers.warm_kernels CAPABILITY     with TRITON_CACHE_DIR, without TRITON_INTERPRET
Prints as JSON (variants, new) of both: the kernels, and how many were not in the cache.
"""

from __future__ import annotations

import json
import sys
import warnings
from unittest.mock import patch

import torch

from ceco3d.models.build import build_network
from ceco3d.models.warm import Warming, warm
from ceco3d.sparse import SparseTensor
from ceco3d.sparse.kernels import triton_launch
from ceco3d.sparse.kernels.triton_ahead import compile_only

VOXELS = 6000
NETWORK = {"settings": {"_target_": "tests.helpers.extensions.TwoLayers"}, "in_channels": 9, "out_channels": 5}


def take_step(capability: int) -> tuple[int, int]:
    """With tensors that have values, in which nothing is written."""
    coordinates = torch.cartesian_prod(torch.arange(1), *[torch.arange(20)] * 3)[:VOXELS].int()
    x = SparseTensor(torch.zeros(VOXELS, 9), coordinates)
    supported = patch.object(triton_launch, "_reason", lambda device, dtype, interprets: None)
    # No kernel fills the tables: zeros, because garbage would name rows that do not exist.
    with compile_only(capability) as found, supported, patch.object(torch, "empty", torch.zeros):
        model = build_network(**NETWORK, engine="ceco3d.sparse.triton")
        with torch.autocast("cpu", torch.bfloat16):
            out = model(x).features
        out.float().sum().backward()
    return sum(map(len, found.variants.values())), found.new


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    capability = int(sys.argv[1])
    ahead = warm(Warming(NETWORK, torch.bfloat16, False, VOXELS, capability), processes=2)
    print(json.dumps({"ahead": ahead, "step": take_step(capability)}))
