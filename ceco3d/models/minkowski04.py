"""Convert weights of MinkowskiEngine 0.4, whose residual blocks number the offsets of a 3^3 kernel differently.

In 0.4 these convolutions use the region "spatial hypercube, temporal hypercross", which lists offsets from the center
outward: the center; its neighbors at x = -1 and x = +1; for each of these three in turn, the copies at y = -1 and
y = +1; for each of these nine, the copies at z = -1 and z = +1. Other convolutions are as in 0.5.

Source: the code of 0.4.3 and 0.5.4. Not yet tested on a published 0.4 checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_BLOCK_KERNEL = re.compile(r"block\d+\.\d+\.conv\d\.kernel")


def offset_order() -> list[int]:
    """Position of each of 0.5's 27 offsets in a 0.4 kernel: ``new = old[order]``."""
    offsets: list[tuple[int, ...]] = [(0, 0, 0)]
    for axis in range(3):
        for offset in list(offsets):
            offsets += [(*offset[:axis], side, *offset[axis + 1 :]) for side in (-1, 1)]
    place = {offset: index for index, offset in enumerate(offsets)}
    return [place[x, y, z] for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)]


def reorder_v04(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """0.4 weights in 0.5's order of offsets."""
    order = torch.tensor(offset_order())
    kernels = _block_kernels(state)
    return {name: value[order] if name in kernels else value for name, value in state.items()}


def looks_like_v04(state: Mapping[str, Tensor]) -> bool:
    """Whether the first offset has the largest weights in every 3^3 block kernel (of at least eight).

    In 0.4's order the first offset is the center, the only one that every voxel has. In 0.5's order, or before
    training, it would have to come first by a chance of 1 in 27 in every kernel. Not yet tested on published 0.4
    weights: if they fail this check, pass "0.4" explicitly.
    """
    kernels = _block_kernels(state).values()
    return len(kernels) >= 8 and all(int(kernel.float().square().sum((1, 2)).argmax()) == 0 for kernel in kernels)


def _block_kernels(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: kernel
        for name, kernel in state.items()
        if _BLOCK_KERNEL.fullmatch(name) and len(kernel) == 27 and kernel.ndim == 3
    }
