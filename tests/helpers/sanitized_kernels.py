"""Run the Triton convolutions once in every shape that could race, for compute-sanitizer.

python -m tests.helpers.sanitized_kernels VOXELS CHANNELS ...
Channels of 32 take one block of a step, 64 and more take several; each of them has raced in other engines.
"""

from __future__ import annotations

import sys

import torch

from ceco3d.sparse import SparseTensor
from ceco3d.sparse.kernels import triton_convolve, triton_map
from tests.helpers.gpu import DEVICE, surface


def main(voxels: int, *widths: int) -> None:
    x = SparseTensor(torch.zeros(voxels, 1, device=DEVICE), surface(voxels))
    fine, coarse = x.manager.keys(1), x.manager.keys(x.manager.downsample(1, 2))
    for size, out_keys in ((3, fine), (5, fine), (2, coarse)):
        maps = triton_map.build_tile_maps(fine, out_keys, size, 1)
        for channels in widths:
            for dtype in (torch.float32, torch.bfloat16):
                features = torch.ones(len(fine), channels, dtype=dtype, device=DEVICE)
                weight = torch.ones(size**3, channels, channels, device=DEVICE)
                out = triton_convolve.forward(features, weight, None, maps)
                triton_convolve.backward(out, features, weight, maps, True, True)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    print("ran")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
