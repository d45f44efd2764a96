"""Class colors that the eye can tell apart within one scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

NO_LABEL = (90, 94, 100)
APART = 0.075  # smallest distance in OKLab at which two colors count as different

# Linear RGB to cone responses, and their cube roots to OKLab (Ottosson, 2020).
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def oklab(colors: np.ndarray) -> np.ndarray:
    """Convert (..., 3) sRGB 0..255 to OKLab, where distances are roughly perceptual."""
    value = np.asarray(colors) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    lab: np.ndarray = np.cbrt(linear @ _CONES.T) @ _LAB.T
    return lab


def distinct_colors(colors: np.ndarray, classes: Iterable[int]) -> np.ndarray:
    """Return ``colors`` (K, 3) uint8 with ``classes`` at least APART from each other and from NO_LABEL, if possible.

    Earlier classes keep their colors. A class too close to an earlier one takes the nearest free color of a grid, or
    the color farthest from all others if none is free.
    """
    grid, grid_lab = _grid()
    result: np.ndarray = colors.copy()
    taken = oklab(np.array([NO_LABEL]))
    clearance = np.linalg.norm(grid_lab - taken, axis=1)  # from each grid color to the nearest taken one
    for k in classes:
        own = oklab(colors[k])
        if np.linalg.norm(taken - own, axis=1).min() < APART:
            free = clearance >= APART
            change = np.linalg.norm(grid_lab - own, axis=1)
            best = np.where(free, change, np.inf).argmin() if free.any() else clearance.argmax()
            result[k], own = grid[best], grid_lab[best]
        taken = np.concatenate([taken, own[None]])
        clearance = np.minimum(clearance, np.linalg.norm(grid_lab - own, axis=1))
    return result


def spread_colors(given: Sequence[tuple[int, int, int] | None]) -> np.ndarray:
    """(K, 3) uint8: the ``given`` colors, and for each None the grid color farthest from all others so far.

    So colors that are made differ as much as possible, most of all those of the first classes; from about 1,700
    classes on they repeat.
    """
    grid, grid_lab = _grid()
    clearance = np.linalg.norm(grid_lab - oklab(np.array(NO_LABEL)), axis=1)
    for color in given:
        if color is not None:
            clearance = np.minimum(clearance, np.linalg.norm(grid_lab - oklab(np.array(color)), axis=1))
    colors = np.zeros((len(given), 3), np.uint8)
    for k, color in enumerate(given):
        best = int(clearance.argmax())
        colors[k] = grid[best] if color is None else color
        if color is None:
            clearance = np.minimum(clearance, np.linalg.norm(grid_lab - grid_lab[best], axis=1))
    return colors


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """12^3 colors, neither black nor white, as sRGB and as OKLab."""
    steps = np.linspace(30, 250, 12).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    return grid, oklab(grid)
