"""Kernel maps: the pairs of input and output rows at each kernel offset.

Conventions are MinkowskiEngine's (src/kernel_region.hpp): offset ``i = ix + K*iy + K*K*iz`` (first axis fastest); odd
kernels are centered, even ones start at the output coordinate; offsets are multiples of the input's stride.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeVar, overload

import torch
from torch import Tensor

from ceco3d.sparse.maps import coordinates
from ceco3d.sparse.maps.handles import handle_of
from ceco3d.sparse.maps.match import match

Map = TypeVar("Map")


@dataclass(frozen=True)
class KernelMap:
    """Pairs of rows, offset by offset: ``out[out_rows[p]] += in[in_rows[p]] @ weight[k]``.

    in_rows, out_rows  (P,) int32, strictly ascending within an offset
    starts             K + 1 positions: the pairs of offset k are ``starts[k]:starts[k + 1]``
    num_in, num_out    numbers of input and output rows
    identity           the offset that maps every row to itself (submanifold kernels), else None
    """

    in_rows: Tensor
    out_rows: Tensor
    starts: tuple[int, ...]
    num_in: int
    num_out: int
    identity: int | None = None
    _cuts: dict[int, Tensor] = field(default_factory=dict, repr=False)
    _kept: dict[str, tuple[Tensor, ...]] = field(default_factory=dict, repr=False)
    _transposed: list[KernelMap] = field(default_factory=list, repr=False)

    @property
    def num_pairs(self) -> int:
        """Number of (input, output) pairs over all offsets."""
        return len(self.in_rows)

    def transposed(self) -> KernelMap:
        """The map of the transposed convolution: the same pairs, roles swapped."""
        if not self._transposed:  # a list, because the class is frozen
            self._transposed.append(
                KernelMap(self.out_rows, self.in_rows, self.starts, self.num_out, self.num_in, self.identity)
            )
        return self._transposed[0]

    def kept(self, name: str, make: Callable[[KernelMap], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """What ``make`` derives from this map for kernels called ``name``, made once."""
        if name not in self._kept:
            self._kept[name] = make(self)
        return self._kept[name]

    def cuts(self, rows: int) -> Tensor:
        """Where to cut the pairs of each offset so that block b covers output rows ``[b*rows, (b+1)*rows)``.

        Returns (blocks + 1, K) int64 positions on the CPU; computed once per block size.
        """
        if rows not in self._cuts:
            device = self.out_rows.device
            edges = torch.arange(0, self.num_out + rows, rows, device=device, dtype=torch.int32)
            offsets = zip(self.starts[:-1], self.starts[1:], strict=True)
            cuts = [torch.searchsorted(self.out_rows[start:end], edges) + start for start, end in offsets]
            self._cuts[rows] = torch.stack(cuts, dim=1).cpu()
        return self._cuts[rows]


def kernel_offsets(kernel_size: int, stride: int) -> Tensor:
    """(K^3, 3) int64 spatial offsets of a cubic kernel on a tensor of the given stride, first axis fastest."""
    start = -(kernel_size // 2) if kernel_size % 2 else 0
    axis = torch.arange(start, start + kernel_size) * stride
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), z.flatten()], dim=1)


def build_kernel_map(in_keys: Tensor, out_keys: Tensor, kernel_size: int, stride: int) -> KernelMap:
    """Pairs between two sorted key sets; ``stride`` is the input's tensor stride in voxels."""
    return build_offset_map(in_keys, out_keys, coordinates.offset_keys(kernel_offsets(kernel_size, stride)), stride)


def build_offset_map(in_keys: Tensor, out_keys: Tensor, steps: Tensor, stride: int) -> KernelMap:
    """Pairs between two sorted key sets at any offsets: distinct ``steps`` (K,) int64 from an output key to an input's.

    Along the last axis, steps and the differences of input and output keys are multiples of ``stride``.
    """
    places = {step: k for k, step in enumerate(steps.tolist())}
    if in_keys is not out_keys or 0 not in places or any(-step not in places for step in places):
        in_rows, out_rows, counts = match(in_keys, out_keys, steps, stride)
        return KernelMap(in_rows, out_rows, _starts(counts), len(in_keys), len(out_keys))
    # Opposite offsets have the same pairs, roles swapped, so half of the searches are enough: those to smaller keys.
    searched = (steps < 0).nonzero()[:, 0]
    *found, counts = match(in_keys, out_keys, steps[searched], stride)
    rows = torch.arange(len(in_keys), dtype=torch.int32, device=in_keys.device)
    pairs = {places[0]: (rows, rows)}
    for step, ins, outs in zip(steps[searched].tolist(), *(torch.split(rows, counts) for rows in found), strict=True):
        pairs |= {places[step]: (ins, outs), places[-step]: (outs, ins)}
    ins, outs = zip(*(pairs[k] for k in range(len(steps))), strict=True)
    return KernelMap(
        in_rows=torch.cat(ins),
        out_rows=torch.cat(outs),
        starts=_starts(list(map(len, ins))),
        num_in=len(in_keys),
        num_out=len(out_keys),
        identity=places[0],
    )


def _starts(counts: list[int]) -> tuple[int, ...]:
    return tuple(accumulate(counts, initial=0))


class CoordinateManager:
    """The voxels of one batch, one set of keys per tensor stride, and the kernel maps between them, each built once.

    All tensors computed from one input share its manager, as in MinkowskiEngine. ``handle`` is how a graph of torch
    refers to it.
    """

    def __init__(self, keys: Tensor) -> None:
        self._keys = {1: keys}
        self.handle = handle_of(self)
        # Any: each build function has its own type of map.
        self._maps: dict[tuple[object, ...], Any] = {}
        self._copies: dict[torch.device, CoordinateManager] = {}

    def keys(self, stride: int) -> Tensor:
        """Sorted unique keys at a tensor stride. ValueError when no layer has made that level."""
        if stride not in self._keys:
            raise ValueError(
                f"no coordinates at stride {stride}: a transposed convolution returns to an existing level"
            )
        return self._keys[stride]

    def to(self, device: torch.device) -> CoordinateManager:
        """The same levels on ``device``, always the same copy; kernel maps are built there when they are needed."""
        here = self._keys[1].device
        if device == here:
            return self
        if device not in self._copies:
            copy = CoordinateManager(self._keys[1].to(device))
            copy._copies[here] = self
            self._copies[device] = copy
        copy = self._copies[device]
        copy._keys |= {stride: keys.to(device) for stride, keys in self._keys.items() if stride not in copy._keys}
        return copy

    def downsample(self, stride: int, factor: int) -> int:
        """Make the level ``factor`` times coarser than ``stride``, once; returns its stride."""
        coarse = stride * factor
        if coarse not in self._keys:
            if torch.compiler.is_compiling():  # a graph could not add the level to this object
                raise RuntimeError("call build_maps(x) of the network before its compiled form gets x")
            self._keys[coarse] = coordinates.downsample(self._keys[stride], coarse)
        return coarse

    @overload
    def kernel_map(self, in_stride: int, out_stride: int, kernel_size: int) -> KernelMap: ...

    @overload
    def kernel_map(
        self, in_stride: int, out_stride: int, kernel_size: int, build: Callable[[Tensor, Tensor, int, int], Map]
    ) -> Map: ...

    def kernel_map(
        self,
        in_stride: int,
        out_stride: int,
        kernel_size: int,
        build: Callable[[Tensor, Tensor, int, int], Any] = build_kernel_map,
    ) -> Any:
        """The map of a convolution from level ``in_stride`` to the same or a coarser level, made by ``build``.

        ``build`` takes the keys of both levels, the kernel size and ``in_stride``, as ``build_kernel_map`` does.
        """
        name = (build, in_stride, out_stride, kernel_size)
        if name not in self._maps:
            self._maps[name] = build(self.keys(in_stride), self.keys(out_stride), kernel_size, in_stride)
        return self._maps[name]
