"""Clouds of voxels in any dimension, and what layers compute on them, by loops over dictionaries in float64."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import torch
from torch import Tensor

Place = tuple[int, ...]


def cloud(axes: int, seed: int = 0, count: int = 60, channels: int = 3, stride: int = 1) -> tuple[Tensor, Tensor]:
    """Unique shuffled coordinates (N, 1 + axes) int32 of two batch items around zero, and float64 features (N, C)."""
    generator = torch.Generator().manual_seed(seed)
    extent = {1: 30, 2: 6, 3: 3, 4: 2}[axes]
    places = torch.randint(-extent, extent, (count, axes), generator=generator) * stride
    items = torch.randint(0, 2, (count, 1), generator=generator)
    rows = torch.unique(torch.cat([items, places], dim=1), dim=0)
    rows = rows[torch.randperm(len(rows), generator=generator)]
    return rows.int(), torch.randn(len(rows), channels, generator=generator, dtype=torch.float64)


def places(coordinates: Tensor) -> list[Place]:
    """Rows as tuples."""
    return [tuple(row) for row in coordinates.tolist()]


def cube(sizes: Sequence[int], steps: Sequence[int]) -> list[Place]:
    """The offsets of a box, first axis fastest; odd sizes are centered, even ones begin at 0."""
    ranges = [range(-(size // 2), size // 2 + 1) if size % 2 else range(size) for size in sizes]
    found = [tuple(reversed(offset)) for offset in product(*reversed(ranges))]
    return [tuple(a * b for a, b in zip(offset, steps, strict=True)) for offset in found]


def cross(sizes: Sequence[int], steps: Sequence[int]) -> list[Place]:
    """The offsets of a cross: the center, then for each axis 1, 2, ..., and then the negative ones, ascending."""
    found = [(0,) * len(sizes)]
    for axis, size in enumerate(sizes):
        for value in [*range(1, size // 2 + 1), *range(-(size // 2), 0)]:
            found.append(tuple(value * steps[axis] if other == axis else 0 for other in range(len(sizes))))
    return found


def moved(place: Place, offset: Place, sign: int = 1) -> Place:
    """``place`` plus or minus ``offset`` in the axes after the batch item."""
    return (place[0], *(a + sign * b for a, b in zip(place[1:], offset, strict=True)))


def cell(place: Place, stride: Sequence[int]) -> Place:
    """The corner of the cell of the given stride that ``place`` lies in."""
    return (place[0], *(a // b * b for a, b in zip(place[1:], stride, strict=True)))


def pairs_by_hand(
    fine: Sequence[Place], coarse: Sequence[Place], offsets: Iterable[Place]
) -> list[tuple[int, int, int]]:
    """(offset, row of ``fine``, row of ``coarse``) wherever the coarse place plus the offset is a fine place."""
    rows = {place: row for row, place in enumerate(fine)}
    found = []
    for k, offset in enumerate(offsets):
        for row, place in enumerate(coarse):
            other = rows.get(moved(place, offset))
            if other is not None:
                found.append((k, other, row))
    return found


def convolve_by_hand(features: Tensor, weight: Tensor, pairs: list[tuple[int, int, int]], rows: int) -> Tensor:
    """The sum of ``features[i] @ weight[k]`` over the pairs (k, i, o), for each output row o."""
    out = torch.zeros(rows, weight.shape[2], dtype=torch.float64)
    for k, source, target in pairs:
        out[target] += features[source] @ weight[k]
    return out
