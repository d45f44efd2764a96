"""A scan as stored in its file, and how to find coordinates, colors and normals in named columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ceco3d.data.pointclouds.ply import PlyFile
from ceco3d.utils.errors import UserError

# Column names, in any case. The first complete triple counts.
COORD_NAMES = (("x", "y", "z"),)
COLOR_NAMES = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
NORMAL_NAMES = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))
GRAY = 127.5  # the middle of 0..255, which a network sees as 0


@dataclass(frozen=True)
class Scan:
    """N points in the order, unit and axes of the file.

    coord  (N, 3) float32 or float64; may hold NaN and infinity
    color  (N, 3) uint8, or None
    normal (N, 3) float32 of any length, or None
    ply    the PLY file it was read from, or None
    """

    coord: np.ndarray
    color: np.ndarray | None = None
    normal: np.ndarray | None = None
    ply: PlyFile | None = None

    def __len__(self) -> int:
        return len(self.coord)


def find_columns(names: Iterable[str], triples: tuple[tuple[str, ...], ...]) -> list[str] | None:
    """The first of ``triples`` that is complete in ``names``, spelled as in ``names``; None if none is."""
    spelling = {name.lower(): name for name in reversed(list(names))}
    return next(([spelling[name] for name in triple] for triple in triples if set(triple) <= spelling.keys()), None)


def scan_of_columns(columns: Mapping[str, np.ndarray], ply: PlyFile | None = None) -> Scan:
    """A scan from columns (N,) by name; UserError without x, y and z."""
    coord, color, normal = (_stack(columns, names) for names in (COORD_NAMES, COLOR_NAMES, NORMAL_NAMES))
    if coord is None:
        raise UserError(f"has no columns x, y and z, only {', '.join(columns) or 'none'}")
    return make_scan(coord, color, normal, ply)


def make_scan(
    coord: np.ndarray, color: np.ndarray | None, normal: np.ndarray | None, ply: PlyFile | None = None
) -> Scan:
    """A scan from arrays (N, 3) of any number type, see ``color_bytes``; UserError if their shapes differ."""
    for name, array in (("coordinates", coord), ("colors", color), ("normals", normal)):
        if array is not None and (array.shape != (len(coord), 3) or array.dtype.kind not in "fiu"):
            raise UserError(f"has {name} of {array.dtype} {array.shape}, not numbers ({len(coord)}, 3)")
    if coord.dtype != np.float32:
        coord = coord.astype(np.float64)
    color = None if color is None else color_bytes(color)
    normal = None if normal is None else normal.astype(np.float32)
    return Scan(coord, color, normal, ply)


def color_bytes(color: np.ndarray) -> np.ndarray:
    """Colors (N, 3) of any number type as uint8.

    The largest value decides what white is: 1 (floats only), 255 or 65535. NaN becomes gray.
    """
    if color.dtype == np.uint8:
        return color
    largest = np.nanmax(color, initial=0)
    shares = color.dtype.kind == "f" and largest < 2  # 1, up to rounding
    white = 1 if shares else 255 if largest <= 255 else 65535
    scaled = np.nan_to_num(color * np.float32(255 / white), nan=GRAY, posinf=255, neginf=0)
    rounded: np.ndarray = np.clip(np.round(scaled), 0, 255)
    return rounded.astype(np.uint8)


def _stack(columns: Mapping[str, np.ndarray], triples: tuple[tuple[str, ...], ...]) -> np.ndarray | None:
    names = find_columns(columns, triples)
    return None if names is None else np.stack([columns[name] for name in names], axis=1)
