"""Which coordinates of a scan can be used, and whether they are precise enough."""

from __future__ import annotations

import numpy as np

GAP = 5.0  # an outlier is this many times as far from the middle as the point before it ...
OUTLIERS = 1e-3  # ... and among the farthest points, at most this share of them (or one)
FEW = 100  # points that may be whole numbers by chance
NAMED = 3  # outliers named in a warning


def usable_points(coord: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """A mask (N,) of the points of (N, 3) to label, and a warning for each kind of point left out.

    Points with NaN or infinite coordinates are left out, and outliers: the few points beyond a gap around everything
    else. One of them would make a room as large as a town.
    """
    usable = np.isfinite(coord).all(1)
    warnings = []
    if not usable.all():
        warnings.append(f"{_points((~usable).sum())} with NaN or infinite coordinates, left unlabeled")
    far = np.flatnonzero(usable)[_outliers(coord if usable.all() else coord[usable])]
    if len(far):
        named = ", ".join(f"point {i} at ({', '.join(f'{value:.6g}' for value in coord[i])})" for i in far[:NAMED])
        more = f" and {len(far) - NAMED:,} more" if len(far) > NAMED else ""
        warnings.append(f"{_points(len(far))} far from all others, left unlabeled: {named}{more}")
        usable[far] = False
    return usable, warnings


def _points(count: int) -> str:
    return f"{count:,} point{'s' if count != 1 else ''}"


def _outliers(coord: np.ndarray) -> np.ndarray:
    """Rows of (M, 3) beyond a gap around at least 99.9 % of the points."""
    most = max(1, int(len(coord) * OUTLIERS))
    if len(coord) < 10 * most:
        return np.empty(0, np.int64)
    distance = np.zeros(len(coord))
    with np.errstate(over="ignore"):
        for column in (coord[:, axis].astype(np.float64) for axis in range(3)):  # one after the other, to save memory
            np.maximum(distance, np.abs(column - np.median(column)), out=distance)
    farthest = np.argpartition(distance, -most - 1)[-most - 1 :]
    farthest = farthest[np.argsort(distance[farthest])]
    gaps = distance[farthest[1:]] > GAP * distance[farthest[:-1]]
    first = int(gaps.argmax()) if gaps.any() and distance[farthest[0]] > 0 else most
    outliers: np.ndarray = farthest[1:][first:]
    return outliers


def coarse_step(coord: np.ndarray, voxel_size: float) -> float | None:
    """The step in the file's unit between float32 numbers as large as ``coord`` if it exceeds half a voxel, else None.

    coord       (N, 3) finite; of float64 coordinates, only those that were float32 before count
    voxel_size  in the unit of ``coord``
    """
    largest = np.abs(coord).max(0)
    step = float(np.spacing(largest.astype(np.float32)).max())
    if step <= voxel_size / 2:
        return None
    axis = int(largest.argmax())
    rounded = (coord[:, axis] == coord[:, axis].astype(np.float32)).all()
    return step if coord.dtype == np.float32 or (rounded and len(coord) >= FEW) else None
