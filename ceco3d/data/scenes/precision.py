"""Coordinates far from the origin: what float32 keeps of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ceco3d.utils.errors import UserError

FINE, COARSE = 1e-3, 1e-2  # meters: steps of float32 that lose nothing, and that move points to other voxels


def near_origin(coord: np.ndarray) -> np.ndarray:
    """float64 coordinates moved by whole meters where float32 would round them; the same array where it would not."""
    low = np.floor(coord.min(0))
    return coord if _step(np.abs(coord).max()) < FINE else coord - low


def _step(value: float, dtype: type = np.float32) -> float:
    """The distance between numbers of a type near ``value``."""
    with np.errstate(all="ignore"):
        return float(np.spacing(dtype(value)))


def check_steps(path: Path, coord: np.ndarray) -> None:
    """UserError if coordinates are so far from the origin that their type rounds them to other voxels."""
    largest = float(max(coord.max(initial=0), -coord.min(initial=0)))
    kind = np.float16 if coord.dtype.itemsize == 2 else np.float32
    step = _step(largest, kind)
    if not step < COARSE:
        raise UserError(
            f"{path} has coordinates up to {largest:,.0f} m, which {kind.__name__} rounds to steps of "
            f"{step:.2g} m: subtract an offset from the original coordinates and save them again"
        )
