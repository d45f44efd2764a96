"""The kernel maps between coordinate maps, each made once."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor

from ceco3d.minkowski.kernels import Shape, int_list
from ceco3d.minkowski.level_maps import LevelMaps
from ceco3d.minkowski.levels import Pair
from ceco3d.minkowski.map_key import CoordinateMapKey
from ceco3d.minkowski.modes import RegionType
from ceco3d.minkowski.reduce import distinct
from ceco3d.sparse.engine import Engine, load_engine
from ceco3d.sparse.kernels import native
from ceco3d.sparse.kernels.gather_gemm import prepare
from ceco3d.sparse.kernels.protocol import Kernels
from ceco3d.sparse.maps import KernelMap, KeyLayout, build_offset_map


@cache
def layers() -> Engine:
    """The layers whose kernels compute on cubes of offsets: Triton's where they run."""
    return load_engine("auto")


class KernelMaps(LevelMaps):
    """A manager's kernel maps."""

    def find_map(
        self,
        fine: CoordinateMapKey,
        coarse: CoordinateMapKey,
        shape: Shape,
        device: torch.device,
        dtype: torch.dtype,
    ) -> tuple[Any, Kernels[Any]]:
        """The map from rows of ``fine`` to rows of ``coarse``, in key order, and the kernels that use it."""
        ins, outs = self.level(fine), self.level(coarse)
        strides, size = fine.name[0], shape.cubic()
        even = len(set(strides)) == 1 and self._nested(fine, coarse)
        if size is not None and even and self.layout == KeyLayout.of(3):
            name: tuple[object, ...] = ("pair", fine.name, coarse.name)
            if name not in self._maps:
                self._maps[name] = Pair(ins.keys, outs.keys)
            found: tuple[Any, Kernels[Any]] = layers().Convolution.find_map(  # type: ignore[attr-defined]
                self._maps[name], strides[0], coarse.name[0][0], size, device, dtype
            )
            return found
        return self.offset_map(fine, coarse, shape), native

    def _nested(self, fine: CoordinateMapKey, coarse: CoordinateMapKey) -> bool:
        """Whether all coordinates of both maps are multiples of the tensor stride of ``fine``."""
        strides = zip(coarse.name[0], fine.name[0], strict=True)
        return self.level(fine).aligned and self.level(coarse).aligned and all(b and a % b == 0 for a, b in strides)

    def offset_map(self, fine: CoordinateMapKey, coarse: CoordinateMapKey, shape: Shape) -> KernelMap:
        """The KernelMap between two maps at the offsets of ``shape`` on the tensor stride of ``fine``."""
        name = ("offsets", fine.name, coarse.name, shape)
        if name not in self._maps:
            ins, outs = self.level(fine), self.level(coarse)
            steps = self.steps(shape, fine.name[0], ins.keys.device)
            step = fine.name[0][-1] if self._nested(fine, coarse) else 1
            made = build_offset_map(ins.keys, outs.keys, steps, step)
            prepare(made)
            self._maps[name] = made
        found: KernelMap = self._maps[name]
        return found

    def cell_map(self, fine: CoordinateMapKey, coarse: CoordinateMapKey) -> KernelMap:
        """The map that leads each row of ``fine`` to the row of ``coarse`` whose cell it lies in.

        The first offset has the first row of each cell, the second one the next, and so on.
        """
        name = ("cells", fine.name, coarse.name)
        if name not in self._maps:
            ins, outs = self.level(fine), self.level(coarse)
            rows = outs.find(self.layout.round_down(ins.keys, coarse.name[0]))
            found = (rows >= 0).nonzero()[:, 0]
            self._maps[name] = distinct(found, rows[found], len(ins), len(outs))
        made: KernelMap = self._maps[name]
        return made

    def kernel_map(
        self,
        in_key: Any,
        out_key: Any,
        stride: Any = 1,
        kernel_size: Any = 3,
        dilation: Any = 1,
        region_type: RegionType = RegionType.HYPER_CUBE,
        region_offset: Tensor | None = None,
        is_transpose: bool = False,
        is_pool: bool = False,
    ) -> dict[int, Tensor]:
        """For each offset with pairs: (2, P) int32 rows of features, of the input and of the output."""
        in_key, out_key = self._get_coordinate_map_key(in_key), self._get_coordinate_map_key(out_key)
        sizes, steps = int_list(kernel_size, self.D), int_list(stride, self.D)
        if prod(sizes) == 1 and region_type != RegionType.CUSTOM:
            region_type = RegionType.HYPER_CUBE
        offsets = (
            ()
            if region_type != RegionType.CUSTOM or region_offset is None
            else tuple(map(tuple, region_offset.tolist()))
        )
        shape = Shape(tuple(sizes), tuple(int_list(dilation, self.D)), region_type, offsets)
        fine, coarse = (out_key, in_key) if is_transpose else (in_key, out_key)
        cells = is_pool and sizes == steps
        made = self.cell_map(fine, coarse) if cells else self.offset_map(fine, coarse, shape)
        rows = torch.stack(
            [self.level(fine).feature_rows(made.in_rows), self.level(coarse).feature_rows(made.out_rows)]
        )
        rows = (rows.flip(0) if is_transpose else rows).int()
        if cells:
            return {0: rows}
        return {k: rows[:, start:end] for k, (start, end) in enumerate(pairwise(made.starts)) if end > start}

    get_kernel_map = kernel_map

    def stride_map(self, in_key: CoordinateMapKey, stride_key: CoordinateMapKey) -> tuple[Tensor, Tensor]:
        """(2 of (P,) int64) rows of features: those of a map, and those whose cells they lie in."""
        made = self.cell_map(in_key, stride_key)
        ins, outs = self.level(in_key).feature_rows(made.in_rows), self.level(stride_key).feature_rows(made.out_rows)
        order = ins.argsort()
        return ins[order], outs[order]

    def interpolation_map_weight(self, key: CoordinateMapKey, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs of voxels and points (M, 1 + D): (rows of features (P,), points (P,), weights (P,)), ordered by point.

        Each point has up to 2^D voxels: the corners of its cell on the map's tensor stride that exist.
        """
        level = self.level(key)
        strides = torch.tensor([max(stride, 1) for stride in key.name[0]], device=samples.device)
        low = (samples[:, 1:] / strides).floor()
        share = samples[:, 1:] / strides - low
        corners = torch.cartesian_prod(*[torch.arange(2, device=samples.device)] * self.D).reshape(-1, self.D)
        places = (low.long()[:, None] + corners) * strides  # (M, 2^D, D)
        items = samples[:, :1].floor().long()[:, None].expand(-1, len(corners), 1)
        weights = torch.where(corners == 1, share[:, None], 1 - share[:, None]).prod(-1).flatten()
        rows = level.find(self.keys_of(torch.cat([items, places], dim=-1).flatten(0, 1)))
        found = ((rows >= 0) & (weights > 0)).nonzero()[:, 0]
        return level.feature_rows(rows[found]), found // len(corners), weights[found]
