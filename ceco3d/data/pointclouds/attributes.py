"""Attributes of any name and type as vertex properties of a PLY."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from ceco3d.data.pointclouds.earlier_result import PREFIX

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")  # of a PLY


def ply_properties(attributes: Mapping[str, np.ndarray], taken: Iterable[str]) -> dict[str, np.ndarray]:
    """``attributes``, name -> (N,) or (N, k) numbers, as properties that a PLY can have, name -> (N,).

    taken  names of other properties: an attribute with one of these becomes "original_NAME"
    Blanks in names become "_"; columns of (N, k) are numbered; 64-bit integers beyond 32 bits become double.
    """
    names = set(taken)
    properties: dict[str, np.ndarray] = {}
    for name, values in attributes.items():
        columns = {name: values} if values.ndim == 1 else {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
        for full, column in columns.items():
            plain = re.sub(r"\s+", "_", full.strip()) or "unnamed"
            while plain in names:
                plain = PREFIX + plain
            names.add(plain)
            properties[plain] = _storable(column)
    return properties


def _storable(column: np.ndarray) -> np.ndarray:
    """``column`` in a type that PLY has, with all its values where 53 bits are enough."""
    kind = column.dtype.str[1:]
    if kind in TYPES:
        return column
    if column.dtype.kind == "b":
        return column.astype(np.uint8)
    if column.dtype.kind == "f":
        return column.astype(np.float32 if column.dtype.itemsize < 4 else np.float64)
    small = len(column) and np.iinfo(np.int32).min <= column.min() and column.max() <= np.iinfo(np.int32).max
    return column.astype(np.int32 if small else np.float64)
