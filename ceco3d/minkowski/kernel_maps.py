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
        strides = fine.name[0]
        size = shape.cubic()
        regular = ins.aligned and outs.aligned and len(set(strides)) == 1 and strides[0] > 0
        if size is not None and regular and self.layout == KeyLayout.of(3):
            name: tuple[object, ...] = ("pair", fine.name, coarse.name)
            if name not in self._maps:
                self._maps[name] = Pair(ins.keys, outs.keys)
            found: tuple[Any, Kernels[Any]] = layers().Convolution.find_map(  # type: ignore[attr-defined]
                self._maps[name], strides[0], coarse.name[0][0], size, device, dtype
            )
            return found
        return self.offset_map(fine, coarse, shape), native

    def offset_map(self, fine: CoordinateMapKey, coarse: CoordinateMapKey, shape: Shape) -> KernelMap:
        """The KernelMap between two maps at the offsets of ``shape`` on the tensor stride of ``fine``."""
        name = ("offsets", fine.name, coarse.name, shape)
        if name not in self._maps:
            ins, outs = self.level(fine), self.level(coarse)
            strides = fine.name[0]
            steps = self.steps(shape, strides, ins.keys.device)
            step = strides[-1] if ins.aligned and outs.aligned else 1
            made = build_offset_map(ins.keys, outs.keys, steps, max(step, 1))
            prepare(made)
            self._maps[name] = made
        found: KernelMap = self._maps[name]
        return found

    def cell_map(self, fine: CoordinateMapKey, coarse: CoordinateMapKey) -> KernelMap:
        """The map that leads each row of ``fine`` to the row of ``coarse`` whose cell it lies in, with one offset.

        Unlike in other maps, output rows repeat and are not ascending.
        """
        name = ("cells", fine.name, coarse.name)
        if name not in self._maps:
            ins, outs = self.level(fine), self.level(coarse)
            rows = outs.find(self.layout.round_down(ins.keys, coarse.name[0])).int()
            found = (rows >= 0).nonzero()[:, 0]
            self._maps[name] = KernelMap(found.int(), rows[found], (0, len(found)), len(ins), len(outs))
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
        made = self.cell_map(fine, coarse) if is_pool and sizes == steps else self.offset_map(fine, coarse, shape)
        rows = torch.stack(
            [self.level(fine).feature_rows(made.in_rows), self.level(coarse).feature_rows(made.out_rows)]
        )
        rows = (rows.flip(0) if is_transpose else rows).int()
        return {k: rows[:, start:end] for k, (start, end) in enumerate(pairwise(made.starts)) if end > start}

    get_kernel_map = kernel_map

    def stride_map(self, in_key: CoordinateMapKey, stride_key: CoordinateMapKey) -> tuple[Tensor, Tensor]:
        """(2 of (P,) int64) rows of features: those of a map, and those whose cells they lie in."""
        made = self.cell_map(in_key, stride_key)
        ins, outs = self.level(in_key).feature_rows(made.in_rows), self.level(stride_key).feature_rows(made.out_rows)
        order = ins.argsort()
        return ins[order], outs[order]
