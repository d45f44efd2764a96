"""A depth buffer on the CPU: which point is nearest at each pixel."""

from __future__ import annotations

import numpy as np

_EMPTY = np.iinfo(np.int64).max
_INDEX_BITS = 32
_LEVELS = 2**30  # of quantized depth


class DepthBuffer:
    """Keeps the nearest point at each pixel of an image; among points of one depth, the one with the lowest index.

    size  rows and columns
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._key = np.full(size, _EMPTY)  # depth in the upper bits, index of the point in the lower

    def draw(self, row: np.ndarray, column: np.ndarray, depth: np.ndarray, point: np.ndarray) -> None:
        """Draw M points that cover a pixel each.

        row, column  (M,) int64 pixel, inside the image
        depth        (M,) int64 below 2**31 that grows with the distance (``quantize``, ``ranks``)
        point        (M,) int64 index of the point
        """
        pixel = row * self._key.shape[1] + column
        np.minimum.at(self._key.ravel(), pixel, depth << _INDEX_BITS | point)

    def dilate(self) -> None:
        """Let every point drawn so far also cover the eight pixels around those it covers."""
        padded = np.pad(self._key, ((1, 1), (0, 0)), constant_values=_EMPTY)
        tall = np.minimum(np.minimum(padded[:-2], padded[1:-1]), padded[2:])
        padded = np.pad(tall, ((0, 0), (1, 1)), constant_values=_EMPTY)
        self._key = np.minimum(np.minimum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])

    def nearest(self) -> np.ndarray:
        """Return (H, W) int64 index of the nearest point at each pixel, -1 = none."""
        return np.where(self._key == _EMPTY, -1, self._key & (1 << _INDEX_BITS) - 1)


def quantize(depth: np.ndarray, farthest: float) -> np.ndarray:
    """Return int64 levels of ``depth`` in 0..``farthest`` and somewhat beyond."""
    return (depth * (_LEVELS / farthest)).astype(np.int64)


def ranks(depth: np.ndarray) -> np.ndarray:
    """Return (N,) int64 rank of each ``depth`` (N,): a quantization that keeps any two depths apart."""
    order = np.argsort(depth, kind="stable")
    rank = np.empty(len(depth), np.int64)
    rank[order] = np.arange(len(depth))
    return rank


def nearest_disc(
    row: np.ndarray, column: np.ndarray, reach: np.ndarray, depth: np.ndarray, size: tuple[int, int], bulge: float = 0.0
) -> np.ndarray:
    """Return (H, W) int64: which of N discs that face the camera is nearest at each pixel, -1 = none.

    row, column  (N,) center in pixels; pixel i spans i to i + 1
    reach        (N,) radius in pixels; a disc covers at least the pixel of its center
    depth        (N,) distance from the camera, >= 0
    bulge        how much farther the rim of a disc lies than its center, so on a surface the nearest center wins; less
                 than the largest depth
    """
    buffer = DepthBuffer(size)
    if not len(depth):
        return buffer.nearest()
    farthest = depth.max()
    order = np.argsort(-reach, kind="stable")  # large discs first: each offset then concerns a leading part
    row, column, reach, depth = row[order], column[order], reach[order], depth[order]
    top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    limit = int(np.ceil(reach[0]))
    for dy in range(-limit, limit + 1):
        for dx in range(-limit, limit + 1):
            # Half a pixel's diagonal is 0.7071: smaller discs never reach this offset.
            count = len(reach) if dy == dx == 0 else np.searchsorted(-reach, 0.71 - np.hypot(dy, dx), side="right")
            y, x = top[:count] + dy, left[:count] + dx
            off = ((y + 0.5 - row[:count]) ** 2 + (x + 0.5 - column[:count]) ** 2) / reach[:count] ** 2
            covers = (off <= 1) | (dy == dx == 0)
            i = np.flatnonzero(covers & (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1]))
            buffer.draw(y[i], x[i], quantize(depth[i] + bulge * np.minimum(off[i], 1), farthest), order[i])
    return buffer.nearest()


def nearest_square(
    row: np.ndarray, column: np.ndarray, reach: np.ndarray, depth: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return (H, W) int64: which of N squares is nearest at each pixel, -1 = none.

    row, column  (N,) int64 pixel of the center, inside the image
    reach        (N,) int64 pixels covered on each side of the center
    depth        (N,) distance from the camera
    """
    buffer = DepthBuffer(size)
    rank = ranks(depth)
    for step in range(int(reach.max(initial=0)), -1, -1):  # large squares first: dilating grows all drawn so far
        i = np.flatnonzero(reach == step)
        buffer.draw(row[i], column[i], rank[i], i)
        if step:
            buffer.dilate()
    return buffer.nearest()
