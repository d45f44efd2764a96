"""Which input row meets which output row under which kernel offset.

Conventions are MinkowskiEngine's (src/kernel_region.hpp): offset ``i = ix + K*iy + K*K*iz`` (first axis fastest);
odd kernels are centred, even ones start at the output coordinate; offsets are multiples of the input's stride.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ceco3d.sparse import coordinates


@dataclass(frozen=True)
class KernelMap:
    """Pairs of rows per kernel offset: ``out[out_rows[k]] += in[in_rows[k]] @ weight[k]``.

    in_rows, out_rows  K tensors (P_k,) int64, ascending and without repetition within an offset
    num_in, num_out    row counts of the two sides
    identity           the offset that maps every row to itself (submanifold kernels), else None
    """

    in_rows: tuple[Tensor, ...]
    out_rows: tuple[Tensor, ...]
    num_in: int
    num_out: int
    identity: int | None = None
    _cuts: dict[int, list[list[int]]] = field(default_factory=dict, repr=False)

    @property
    def num_pairs(self) -> int:
        """Number of (input, output) pairs over all offsets."""
        return sum(len(rows) for rows in self.in_rows)

    def transposed(self) -> KernelMap:
        """The map of the transposed convolution: the same pairs, roles swapped."""
        return KernelMap(self.out_rows, self.in_rows, self.num_out, self.num_in, self.identity)

    def cuts(self, rows: int) -> list[list[int]]:
        """Where each offset's pairs must be cut so that block b covers output rows ``[b*rows, (b+1)*rows)``.

        Returns K lists of ``blocks + 1`` positions; computed once per block size.
        """
        if rows not in self._cuts:
            device = self.out_rows[0].device
            edges = torch.arange(0, self.num_out + rows, rows, device=device).clamp_(max=self.num_out)
            self._cuts[rows] = torch.stack([torch.searchsorted(out, edges) for out in self.out_rows]).tolist()
        return self._cuts[rows]


def kernel_offsets(kernel_size: int, stride: int) -> Tensor:
    """(K^3, 3) int64 spatial offsets of a cubic kernel on a tensor of the given stride, first axis fastest."""
    start = -(kernel_size // 2) if kernel_size % 2 else 0
    axis = torch.arange(start, start + kernel_size) * stride
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), z.flatten()], dim=1)


def build_kernel_map(in_keys: Tensor, out_keys: Tensor, kernel_size: int, stride: int) -> KernelMap:
    """Pairs between two sorted key sets; ``stride`` is the input's tensor stride in voxels."""
    steps = coordinates.offset_keys(kernel_offsets(kernel_size, stride)).tolist()
    submanifold = in_keys is out_keys and kernel_size % 2 == 1
    if not submanifold:
        found = [_find(in_keys, out_keys, step) for step in steps]
        in_rows, out_rows = zip(*found, strict=True)
        return KernelMap(in_rows, out_rows, len(in_keys), len(out_keys))
    # Offset K-1-k is the mirror image of k: half of the searches give both.
    centre = len(steps) // 2
    half = [_find(in_keys, out_keys, step) for step in steps[:centre]]
    rows = torch.arange(len(in_keys), device=in_keys.device)
    below, above = zip(*half, strict=True) if half else ((), ())
    return KernelMap(
        in_rows=(*below, rows, *reversed(above)),
        out_rows=(*above, rows, *reversed(below)),
        num_in=len(in_keys),
        num_out=len(out_keys),
        identity=centre,
    )


def _find(in_keys: Tensor, out_keys: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Rows (input, output) with ``in_keys[input] == out_keys[output] + step``, both ascending."""
    if len(in_keys) == 0:
        empty = torch.zeros(0, dtype=torch.int64, device=out_keys.device)
        return empty, empty
    wanted = out_keys + step
    position = torch.searchsorted(in_keys, wanted).clamp_(max=len(in_keys) - 1)
    out_rows = (in_keys[position] == wanted).nonzero().squeeze(1)
    return position[out_rows], out_rows


class CoordinateManager:
    """The coordinate sets of one batch, one per tensor stride, and the kernel maps between them, each built once.

    Everything that comes out of one input tensor shares its manager, as in MinkowskiEngine.
    """

    def __init__(self, keys: Tensor) -> None:
        self._keys = {1: keys}
        self._maps: dict[tuple[int, int, int], KernelMap] = {}

    def keys(self, stride: int) -> Tensor:
        """Sorted unique keys at a tensor stride; ValueError when no layer has made that level."""
        if stride not in self._keys:
            raise ValueError(
                f"no coordinates at stride {stride}: a transposed convolution returns to an existing level"
            )
        return self._keys[stride]

    def downsample(self, stride: int, factor: int) -> int:
        """Make the level ``factor`` times coarser than ``stride`` (once); returns its stride."""
        coarse = stride * factor
        if coarse not in self._keys:
            self._keys[coarse] = coordinates.downsample(self._keys[stride], coarse)
        return coarse

    def kernel_map(self, in_stride: int, out_stride: int, kernel_size: int) -> KernelMap:
        """The map of a convolution from level ``in_stride`` to the same or a coarser level."""
        name = (in_stride, out_stride, kernel_size)
        if name not in self._maps:
            self._maps[name] = build_kernel_map(self.keys(in_stride), self.keys(out_stride), kernel_size, in_stride)
        return self._maps[name]
