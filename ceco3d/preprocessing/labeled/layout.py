"""A layout of labeled scans on disk: which scans there are, and how one is read with its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ceco3d.data.pointclouds.scan import Scan

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class RawScan:
    """One scan on disk.

    name   of its processed scene
    split  "train", "val" or "test"
    files  it is read from, labels included; if one of them changes, the scene is made anew
    """

    name: str
    split: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class LabeledPoints:
    """The N points of a scan with their labels as the data set has them.

    scan       coordinates, colors and normals in the unit and axes of the file
    labels     (N,) raw ids (any integers), or raw names (text); None for a scan without labels
    instance   (N,) any integers, negative = none; None without instances
    intensity  (N,) numbers, see ``data.pointclouds.columns``; None without intensity
    """

    scan: Scan
    labels: np.ndarray | None = None
    instance: np.ndarray | None = None
    intensity: np.ndarray | None = None


class Layout(Protocol):
    """A layout of labeled scans. Instances are picklable: worker processes read with them."""

    def scans(self) -> Sequence[RawScan]:
        """All scans, found without reading points. UserError if the folder does not have the layout."""
        ...

    def read(self, scan: RawScan) -> LabeledPoints:
        """The points of one scan. UserError names the file and what is wrong with it."""
        ...
