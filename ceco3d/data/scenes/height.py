"""Height above the ground, a feature of outdoor scans whose terrain rises and falls."""

from __future__ import annotations

import numpy as np

CELL = 1.0  # meters: edge of a cell of the grid whose lowest points are the ground at first
WINDOW = 15  # cells: what is narrower than this and stands out, such as a roof, is no ground


def height_above_ground(coord: np.ndarray) -> np.ndarray:
    """Height (N,) float32 in meters of points (N, 3), z up, above the ground below them.

    The ground is the lowest point of each cell, after a morphological opening that removes buildings, trees and cells
    below eaves (as the first step of Zhang et al., IEEE TGRS 2003). Indoors it is the floor.
    """
    from scipy.ndimage import grey_opening  # not at the start of every command

    cell = np.floor((coord[:, :2] - coord[:, :2].min(0, initial=0)) / CELL).astype(np.int64)
    cell -= cell.min(0, initial=0)
    shape = tuple((cell.max(0, initial=0) + 1).tolist())
    flat = np.ravel_multi_index(tuple(cell.T), shape)
    lowest = np.full(shape[0] * shape[1], np.inf, np.float32)
    np.minimum.at(lowest, flat, coord[:, 2].astype(np.float32))
    filled = np.where(np.isfinite(lowest), lowest, lowest[np.isfinite(lowest)].max(initial=0)).reshape(shape)
    ground = grey_opening(filled, (WINDOW, WINDOW), mode="nearest").reshape(-1)
    height: np.ndarray = (coord[:, 2] - ground[flat]).astype(np.float32)
    return height
