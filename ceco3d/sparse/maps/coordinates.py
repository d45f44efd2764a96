"""Voxel coordinates as sortable 64-bit keys.

A coordinate row ``[batch, x, y, z]`` becomes ``batch << 54 | x' << 36 | y' << 18 | z'`` with ``x' = x + 2**17``.
Keys sort by batch item, then x, y, z. A spatial offset is a constant added to the key, so a binary search in the sorted
keys finds any neighbor.
"""

from __future__ import annotations

import torch
from torch import Tensor

AXIS_BITS = 18
BIAS = 1 << (AXIS_BITS - 1)
MAX_BATCH = 1 << 9
# Coordinates keep this distance from the edge, so that adding a kernel offset never carries into the next field.
MARGIN = 1 << 10
LIMIT = BIAS - MARGIN
_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
_FIELD = (1 << AXIS_BITS) - 1


def pack(coordinates: Tensor) -> Tensor:
    """(N, 4) integer ``[batch, x, y, z]`` -> (N,) int64 keys.

    ValueError for a wrong shape or dtype, a batch index outside 0..511 and an axis outside +-130048 voxels.
    """
    if coordinates.ndim != 2 or coordinates.shape[1] != 4:
        raise ValueError(f"coordinates must have shape (N, 4) [batch, x, y, z], got {tuple(coordinates.shape)}")
    if coordinates.dtype.is_floating_point or coordinates.dtype.is_complex or coordinates.dtype == torch.bool:
        raise ValueError(f"coordinates must be integers, got {coordinates.dtype}; voxelize first: floor(xyz / size)")
    if coordinates.dtype in _UNSIGNED:  # torch computes little with them
        unsigned, coordinates = coordinates, coordinates.long()
        if unsigned.dtype == torch.uint64 and bool((coordinates < 0).any()):
            raise ValueError("coordinates are too large; negative ones need a signed type, such as torch.int32")
    if len(coordinates):
        extremes = torch.stack(torch.aminmax(coordinates, dim=0), dim=1).tolist()  # the host waits for a GPU once
        limits = [("batch index", 0, MAX_BATCH - 1), *((f"{axis} coordinate", -LIMIT, LIMIT) for axis in "xyz")]
        for (what, low, high), (smallest, largest) in zip(limits, extremes, strict=True):
            _check_range(what, smallest, largest, low, high)
    return _join(coordinates)


def unpack(keys: Tensor) -> Tensor:
    """(N,) keys -> (N, 4) int32 ``[batch, x, y, z]``."""
    z, y, x = ((keys >> (AXIS_BITS * i) & _FIELD) - BIAS for i in range(3))
    return torch.stack([keys >> (3 * AXIS_BITS), x, y, z], dim=1).int()


def offset_keys(offsets: Tensor) -> Tensor:
    """(K, 3) integer spatial offsets -> (K,) int64 to add to a key."""
    x, y, z = offsets.long().unbind(1)
    return (x << 2 * AXIS_BITS) + (y << AXIS_BITS) + z


def downsample(keys: Tensor, stride: int) -> Tensor:
    """Sorted unique keys of ``floor(c / stride) * stride``, rounded toward minus infinity for negative c too.

    ValueError for a stride above 1024, which could leave the range of a key.
    """
    if stride > MARGIN:
        raise ValueError(f"a tensor stride of {stride} is more than {MARGIN} voxels")
    unique: Tensor = torch.unique(_round_down(keys, stride))
    return unique


def _round_down(keys: Tensor, stride: int) -> Tensor:
    shifts = [AXIS_BITS * axis for axis in range(3)]
    if stride & (stride - 1) == 0:  # BIAS is a multiple of it: only low bits go
        return keys & ~sum(stride - 1 << shift for shift in shifts)
    for shift in shifts:
        keys = keys - (((keys >> shift & _FIELD) - BIAS) % stride << shift)
    return keys


def _join(coordinates: Tensor) -> Tensor:
    key = coordinates[:, 0].long()
    for axis in (1, 2, 3):
        key = torch.add(coordinates[:, axis], key, alpha=1 << AXIS_BITS)
    return key + sum(BIAS << AXIS_BITS * axis for axis in range(3))


def _check_range(what: str, smallest: int, largest: int, low: int, high: int) -> None:
    if smallest < low or largest > high:
        bad = smallest if smallest < low else largest
        raise ValueError(f"{what} {bad} is outside {low}..{high}; split the batch or shift the scene to the origin")
