"""Sortable 64-bit keys of coordinates with any number of axes.

A row ``[batch, x_1, ..., x_D]`` becomes one integer: the batch item in the highest bits, then the axes, each in a field
of its own that holds ``x + 2**(bits - 1)``. Rows sort as their keys do, whatever the widths, so keys of another layout
keep the same order. Three axes of 18 bits are the keys of ``coordinates.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.sparse.maps.coordinates import AXIS_BITS, MARGIN

KEY_BITS = 63
BATCH_BITS = 9
AXIS_LIMIT = 31
INT32 = 1 << 31


@dataclass(frozen=True)
class KeyLayout:
    """The widths of the fields of a key.

    bits     of each axis, the first axis highest
    margins  how far from the ends of its field an axis stays, so that adding an offset never carries
    """

    bits: tuple[int, ...]
    margins: tuple[int, ...]

    @classmethod
    def of(cls, axes: int) -> KeyLayout:
        """The layout to start with: 9 bits for the batch item, the others shared by the axes."""
        bits = AXIS_BITS if axes == 3 else min(AXIS_LIMIT, (KEY_BITS - BATCH_BITS) // axes)
        return cls((bits,) * axes, (min(MARGIN, 1 << max(bits - 3, 0)),) * axes)

    def limits(self) -> list[tuple[int, int]]:
        """The smallest and largest batch item, then coordinate of each axis; all are int32."""
        sizes = [min((1 << bits - 1) - margin, INT32) for bits, margin in zip(self.bits, self.margins, strict=True)]
        return [(0, min(1 << KEY_BITS - sum(self.bits), INT32) - 1), *((-size, size - 1) for size in sizes)]

    def fits(self, smallest: Sequence[int], largest: Sequence[int]) -> bool:
        """Whether the fields hold all rows between ``smallest`` and ``largest`` (1 + D)."""
        return self._misfit(smallest, largest) is None

    def holding(self, smallest: Sequence[int], largest: Sequence[int]) -> KeyLayout:
        """A layout with fields as wide as rows between ``smallest`` and ``largest`` need.

        ValueError beyond 63 bits or int32.
        """
        reach = [max(-a, b + 1) for a, b in zip(smallest[1:], largest[1:], strict=True)]
        bits = tuple((size + margin).bit_length() + 1 for size, margin in zip(reach, self.margins, strict=True))
        wide = KeyLayout(bits, self.margins)
        if sum(bits) + largest[0].bit_length() > KEY_BITS or not wide.fits(smallest, largest):
            misfit = self._misfit(smallest, largest)
            raise ValueError(f"{misfit}; split the batch or shift the scene to the origin")
        return wide

    def _misfit(self, smallest: Sequence[int], largest: Sequence[int]) -> str | None:
        for axis, (a, b, (low, high)) in enumerate(zip(smallest, largest, self.limits(), strict=True)):
            if a < low or b > high:
                what = f"coordinate of axis {axis}" if axis else "batch index"
                return f"{what} {a if a < low else b} is outside {low}..{high}"
        return None

    def shifts(self) -> list[int]:
        """Where the field of each axis begins."""
        return [sum(self.bits[axis + 1 :]) for axis in range(len(self.bits))]

    def pack(self, coordinates: Tensor) -> Tensor:
        """(N, 1 + D) integer rows within ``limits`` -> (N,) int64 keys."""
        keys = coordinates[:, 0].long()
        for axis, bits in enumerate(self.bits, start=1):
            keys = torch.add(coordinates[:, axis], keys, alpha=1 << bits)
        return keys + sum(1 << bits - 1 + shift for bits, shift in zip(self.bits, self.shifts(), strict=True))

    def unpack(self, keys: Tensor) -> Tensor:
        """(N,) keys -> (N, 1 + D) int32 rows."""
        axes = [
            (keys >> shift & (1 << bits) - 1) - (1 << bits - 1)
            for bits, shift in zip(self.bits, self.shifts(), strict=True)
        ]
        return torch.stack([self.batches(keys), *axes], dim=1).int()

    def batches(self, keys: Tensor) -> Tensor:
        """(N,) keys -> (N,) batch items."""
        return keys >> sum(self.bits)

    def steps(self, offsets: Tensor) -> Tensor:
        """(K, D) integer offsets -> (K,) int64 to add to a key."""
        return (offsets.long() << torch.tensor(self.shifts(), device=offsets.device)).sum(1)

    def round_down(self, keys: Tensor, strides: Sequence[int]) -> Tensor:
        """Keys of ``floor(x / stride) * stride``, axis by axis; not unique. A stride of 0 leads to the origin.

        ValueError for a stride that could leave the range of a key.
        """
        for stride, bits, margin, shift in zip(strides, self.bits, self.margins, self.shifts(), strict=True):
            if stride > margin:
                raise ValueError(f"a tensor stride of {stride} is more than {margin} voxels")
            value = (keys >> shift & (1 << bits) - 1) - (1 << bits - 1)
            keys = keys - ((value if stride == 0 else value % stride) << shift)
        return keys
