"""Square blocks of scenes that are too large to be read at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ceco3d.utils.untrusted import read_npy

LARGE = 5_000_000  # points of a scene that is cut into blocks
TARGET = 500_000  # points of such a block, about
FEWEST = 1000  # points of a block worth training on
OVERLAP = 0.1  # of the edge, by which a block reaches into its neighbors on each side
ZONE = 1 << 16  # consecutive points whose bounds are kept: blocks skip those far away
GRID = 256  # cells per side, at most, to measure the occupied area


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of a scene: squares in x and y that tile it, each with points.

    corners  (B, 2) float64, the lowest x and y of each core, meters
    counts   (B,) points of each core
    edge     of the cores, meters
    low, high  (Z, 2) bounds of each ZONE consecutive points
    """

    corners: np.ndarray
    counts: np.ndarray
    edge: float
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.corners)

    def rows(self, coord: np.ndarray, number: int, margin: float) -> np.ndarray:
        """Indices (M,) int64, ascending, of the points (N, 3) of block ``number`` and ``margin`` meters around it."""
        low, high = self.corners[number] - margin, self.corners[number] + self.edge + margin
        near = np.flatnonzero(((self.high >= low) & (self.low < high)).all(1))
        found = [_inside(coord[zone * ZONE : (zone + 1) * ZONE], low, high) + zone * ZONE for zone in near.tolist()]
        return np.concatenate([np.empty(0, np.int64), *found])

    def in_core(self, coord: np.ndarray, number: int) -> np.ndarray:
        """A mask of those of the points (M, 3) that belong to block ``number`` and to no other."""
        low = self.corners[number]
        inside: np.ndarray = ((coord[:, :2] >= low) & (coord[:, :2] < low + self.edge)).all(1)
        return inside


def find_blocks(coord: np.ndarray, edge: float | None = None) -> Blocks:
    """The blocks of points (N, 3) in meters, which may be memory-mapped: they are read piece by piece.

    edge  meters; None: so that a block holds TARGET points on average
    """
    bounds = [(part[:, :2].min(0), part[:, :2].max(0)) for part in _parts(coord, ZONE)]
    low, high = (np.array(side, np.float64).reshape(-1, 2) for side in zip(*bounds, strict=True))
    start, size = low.min(0), np.maximum(np.ptp(np.concatenate([low, high]), axis=0), 1e-6)
    if edge is None:
        cell = float(size.max()) / GRID
        occupied = np.count_nonzero(_histogram(coord, start, cell, size))
        edge = max(cell, float(np.sqrt(TARGET * occupied * cell**2 / len(coord))))
    counts = _histogram(coord, start, edge, size)
    cells = np.argwhere(counts)
    return Blocks(start + cells * edge, counts[tuple(cells.T)], edge, low, high)


def _histogram(coord: np.ndarray, start: np.ndarray, cell: float, size: np.ndarray) -> np.ndarray:
    """Points in each square cell, (X, Y) int64."""
    shape = np.floor(size / cell).astype(np.int64) + 1
    counts = np.zeros(int(shape.prod()), np.int64)
    for part in _parts(coord, 16 * ZONE):
        index = np.minimum(np.floor((part[:, :2] - start) / cell).astype(np.int64), shape - 1)
        counts += np.bincount(index[:, 0] * shape[1] + index[:, 1], minlength=len(counts))
    return counts.reshape(tuple(shape.tolist()))


def _parts(coord: np.ndarray, length: int) -> Iterator[np.ndarray]:
    return (coord[start : start + length] for start in range(0, len(coord), length))


def _inside(part: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    inside = (part[:, 0] >= low[0]) & (part[:, 0] < high[0]) & (part[:, 1] >= low[1]) & (part[:, 1] < high[1])
    return np.flatnonzero(inside)


class BlockRows:
    """Chooses the points of one block for ``read_scene``, and remembers them.

    rows  (M,) indices of the points that were read, with the overlap
    core  (M,) bool: those of them that belong to this block alone
    """

    def __init__(self, blocks: Blocks, number: int) -> None:
        self.blocks, self.number = blocks, number

    def __call__(self, coord: np.ndarray, _: np.ndarray) -> np.ndarray:
        self.rows = self.blocks.rows(coord, self.number, OVERLAP * self.blocks.edge)
        self.core = self.blocks.in_core(coord[self.rows], self.number)
        return self.rows


@dataclass(frozen=True)
class Piece:
    """A processed scene, or one block of it.

    blocks  of the scene; None for the whole scene
    """

    folder: Path
    blocks: Blocks | None = None
    number: int = 0

    def chosen(self, coord: np.ndarray, _: np.ndarray | None = None) -> np.ndarray | None:
        """The points to read, with the overlap, for ``read_scene``; None for all."""
        if self.blocks is None:
            return None
        return self.blocks.rows(coord, self.number, OVERLAP * self.blocks.edge)


def scene_blocks(folder: Path, edge: float | None) -> Blocks | None:
    """The blocks of a processed scene; None for a scene that is read as a whole, or cannot be read.

    edge  meters; None: only scenes of LARGE or more points are cut, see ``find_blocks``
    """
    try:
        changed = (folder / "coord.npy").stat().st_mtime_ns
    except OSError:  # reading the scene reports it
        return None
    return _scene_blocks(folder, edge, changed)


@lru_cache(maxsize=4096)
def _scene_blocks(folder: Path, edge: float | None, _changed: int) -> Blocks | None:
    try:
        coord = read_npy(folder / "coord.npy")
    except (OSError, ValueError):
        return None
    if coord.ndim != 2 or coord.shape[1:] != (3,) or coord.dtype.kind != "f" or not len(coord):
        return None
    if edge is None and len(coord) < LARGE:
        return None
    blocks = find_blocks(coord, edge)
    return blocks if np.isfinite(blocks.corners).all() else None


def find_pieces(folders: Sequence[Path], edge: float | None = None) -> list[Piece]:
    """The scenes in ``folders``, cut where they are large or ``edge`` (meters) is given; see ``scene_blocks``.

    Blocks of fewer than FEWEST points are left out, unless a scene has no others.
    """
    pieces: list[Piece] = []
    for folder in folders:
        blocks = scene_blocks(folder, edge)
        if blocks is None:
            pieces.append(Piece(folder))
            continue
        kept = np.flatnonzero(blocks.counts >= min(FEWEST, blocks.counts.max()))
        pieces += [Piece(folder, blocks, number) for number in kept.tolist()]
    return pieces
