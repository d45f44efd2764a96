"""Attributes under names that the vertices of a PLY can have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ceco3d.data.pointclouds.earlier_result import PREFIX


def vertex_properties(attributes: Mapping[str, np.ndarray], taken: Iterable[str]) -> dict[str, np.ndarray]:
    """``attributes``, name -> (N,) or (N, k) numbers, as properties name -> (N,).

    taken  names of other properties: an attribute with one of these becomes "original_NAME"
    The columns of (N, k) are numbered: NAME_0, NAME_1, ...
    """
    names = set(taken)
    properties: dict[str, np.ndarray] = {}
    for name, values in attributes.items():
        columns = {name: values} if values.ndim == 1 else {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
        for full, column in columns.items():
            while full in names:
                full = PREFIX + full
            names.add(full)
            properties[full] = column
    return properties
