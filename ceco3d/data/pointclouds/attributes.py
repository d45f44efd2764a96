"""Attributes of points: columns of arrays, under names that the vertices of a PLY can have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ceco3d.data.pointclouds.earlier_result import PREFIX


def split_columns(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """An array (N,), or the columns of an array (N, k) under the names NAME_0, NAME_1, ..."""
    return {name: values} if values.ndim == 1 else {f"{name}_{i}": column for i, column in enumerate(values.T)}


def vertex_properties(attributes: Mapping[str, np.ndarray], taken: Iterable[str]) -> dict[str, np.ndarray]:
    """``attributes``, name -> (N,), under other names: one that is ``taken`` becomes "original_NAME"."""
    names = set(taken)
    properties: dict[str, np.ndarray] = {}
    for name, column in attributes.items():
        while name in names:
            name = PREFIX + name
        names.add(name)
        properties[name] = column
    return properties
