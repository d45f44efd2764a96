"""Text tables of a small room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np


def room(step: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) float64 meters with three decimals, and (N, 3) colors 0..255 float64, of a floor and two walls."""
    u, v = (grid.ravel() for grid in np.meshgrid(np.arange(0, 3, step), np.arange(0, 2.4, step), indexing="ij"))
    zero = np.zeros_like(u)
    planes = [(u, v, zero), (u, zero, v), (zero, u, v)]
    coord = np.concatenate([np.stack(plane, axis=1) for plane in planes])
    shade = np.repeat([[150, 110, 70], [200, 190, 170], [90, 120, 160]], len(u), axis=0)
    color = np.round(shade + 40 * np.sin(7 * coord.sum(1))[:, None])
    return np.round(coord + np.array([0.137, 0.242, -0.358]), 3), color


def rows(table: np.ndarray | Iterable[Sequence[object]], separator: str = " ", comma: bool = False) -> list[str]:
    """The lines of a table; ``comma`` writes decimal commas."""
    lines = (separator.join(f"{v:g}" if isinstance(v, float) else str(v) for v in row) for row in table)
    return [line.replace(".", ",") if comma else line for line in lines]


def write_lines(path: Path, lines: Iterable[str], encoding: str = "utf-8", newline: str = "\n") -> Path:
    """A text file; encodings such as "utf-16" write a byte order mark."""
    path.write_bytes("".join(line + newline for line in lines).encode(encoding))
    return path
