"""Voxelization: the occupied voxels, one point of each, and the voxel of every point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.data.scenes.scene import columns
from ceco3d.utils.random import points_generator


@dataclass(frozen=True)
class Voxels:
    """M occupied voxels of N points, in lexicographic order of their coordinates.

    coord   (M, 3) int32 >= 0, unique rows, relative to the lowest occupied voxel along each axis
    index   (M,) int64, the point that represents each voxel
    inverse (N,) int64, the voxel of each point
    """

    coord: Tensor
    index: Tensor
    inverse: Tensor

    def __len__(self) -> int:
        return len(self.coord)


def voxelize(coord: Tensor, voxel_size: float, rng: torch.Generator | None = None) -> Voxels:
    """Occupied voxels of ``coord`` (N, 3) float, with ``voxel_size`` in the same unit (meters).

    The voxel of a point is floor(coord / voxel_size), relative to the smallest one per axis. The grid is fixed in
    space, so removing points never moves other points to another voxel. With ``rng``, a random point represents each
    voxel, otherwise its first point.
    ValueError if a coordinate is not finite or the grid has too many voxels for int64.
    """
    if len(coord) == 0:
        none = torch.empty(0, dtype=torch.int64, device=coord.device)
        return Voxels(coord=none.int().reshape(0, 3), index=none, inverse=none)
    cell, size = _cells(coord, voxel_size)
    x, y, z = cell
    key, order = torch.sort((x * size[1] + y).mul_(size[2]).add_(z), stable=True)

    starts_voxel = torch.ones_like(key, dtype=torch.bool)
    torch.ne(key[1:], key[:-1], out=starts_voxel[1:])
    inverse = torch.empty_like(order).scatter_(0, order, starts_voxel.cumsum(0) - 1)
    pick = starts_voxel.nonzero().squeeze(1)
    if rng is not None:
        count = torch.diff(pick, append=pick.new_tensor([len(key)]))
        draw = torch.rand(len(pick), generator=points_generator(rng, coord.device), device=coord.device)
        pick = pick + (draw * count).long().clamp_(max=count - 1)  # the product may round up to count
    index = order.index_select(0, pick)
    return Voxels(coord=cell.index_select(1, index).int().t(), index=index, inverse=inverse)


def _cells(coord: Tensor, voxel_size: float) -> tuple[Tensor, list[int]]:
    """The voxel of each point, (3, N) >= 0, and the size of the grid along each axis.

    int64, or int32 if that can number all voxels of the grid: it sorts twice as fast.
    """
    if not voxel_size > 0:
        raise ValueError(f"voxel_size={voxel_size}: must be a positive number of meters")
    # Divide by a tensor: CUDA turns division by a Python number into a product, which rounds differently.
    cell = (columns(coord) / coord.new_tensor(voxel_size)).floor_()
    low, high = cell.amin(1), cell.amax(1)
    if not torch.isfinite(torch.cat([low, high])).all():
        raise ValueError("coordinates are not all finite: remove points with NaN or infinite coordinates")
    first, last = ([int(value) for value in corner.tolist()] for corner in (low, high))
    size = [end - start + 1 for start, end in zip(first, last, strict=True)]
    if max(size) > 2**31 or math.prod(size) > 2**63 - 1:
        raise ValueError(
            f"a grid of {size} voxels of {voxel_size} m is too large: "
            "remove outliers, check that coordinates are in meters, or use a larger voxel_size"
        )
    narrow = math.prod(size) <= 2**31 and min(first) >= -(2**31) and max(last) < 2**31
    dtype = torch.int32 if narrow else torch.int64
    return cell.to(dtype).sub_(torch.tensor(first, dtype=dtype, device=cell.device)[:, None]), size
