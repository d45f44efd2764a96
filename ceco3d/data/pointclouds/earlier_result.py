"""Scans that ``ceco3d.predict`` wrote: their red, green and blue are the colors of classes, not those of the scan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from ceco3d.data.pointclouds.column_names import COLOR_NAMES, find_columns

PREFIX = "original_"  # of a property of the scan whose name the result takes
ORIGINAL_COLORS = tuple(tuple(PREFIX + name for name in triple) for triple in COLOR_NAMES)
LABEL_NAMES = (("label", "confidence"),)

RESULT = np.dtype([("label", "<i4"), ("confidence", "<f4")])  # of each point in a copy of the scan


def original_names(given: Collection[str], result: Iterable[str]) -> dict[str, str]:
    """New names of the columns of a scan that have a name of the ``result``: "original_NAME"."""
    result = set(result)
    taken = {*given, *result}
    names = {}
    for name in given:
        if name in result:
            new = PREFIX + name
            while new in taken:
                new = PREFIX + new
            taken.add(new)
            names[name] = new
    return names


def scan_colors(columns: Mapping[str, np.ndarray]) -> tuple[list[str] | None, str]:
    """The columns (N,) with the colors of the scan, if any, and a note for the user if it is an earlier result."""
    names = find_columns(columns, COLOR_NAMES)
    kept = find_columns(columns, ORIGINAL_COLORS)
    if kept is not None:
        return kept, f"an earlier result: colors are taken from {' '.join(kept)}"
    labels = find_columns(columns, LABEL_NAMES)
    if names is None or labels is None or not _are_class_colors(columns, names, labels[0]):
        return names, ""
    return None, f"an earlier result: {' '.join(names)} are the colors of its classes, and are not used"


def _are_class_colors(columns: Mapping[str, np.ndarray], names: list[str], label: str) -> bool:
    """Whether all points of a label have the same color."""
    _, index = np.unique(columns[label], return_inverse=True)
    color = np.stack([columns[name] for name in names], axis=1)
    first = np.zeros((int(index.max(initial=0)) + 1, 3), color.dtype)
    first[index] = color
    return bool((first[index] == color).all())
