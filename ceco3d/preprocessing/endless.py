"""Rooms without end: for each epoch of a training others, made when they are needed and never kept."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ceco3d.data.scenes.processed import Load
from ceco3d.preprocessing.label_table import LABEL_TABLE, LabelTable, read_label_table
from ceco3d.preprocessing.scannet import read_scene
from ceco3d.synthetic import make_room, write_label_table


@dataclass(frozen=True)
class EndlessRooms:
    """Makes the arrays of processed training scenes from (epoch, index), through ScanNet's raw files as on disk.

    vertices  of one scan, about
    seed      another seed gives other rooms
    style     plain | real
    align     apply axisAlignment
    """

    vertices: int
    seed: int
    style: str
    align: bool

    def __call__(self, epoch: int, index: int) -> Load:
        """A reader of the room's arrays by their file names; (epoch, index) decide everything."""
        with tempfile.TemporaryDirectory(prefix="ceco3d-room-") as folder:
            scan = make_room(Path(folder), self.vertices, (self.seed, epoch), index, self.style)
            arrays = read_scene(scan, _label_table(), annotated=True, align=self.align)

        def load(path: Path) -> np.ndarray:
            return arrays[path.stem]

        return load


@cache
def _label_table() -> LabelTable:
    with tempfile.TemporaryDirectory(prefix="ceco3d-room-") as folder:
        write_label_table(Path(folder) / LABEL_TABLE)
        return read_label_table(Path(folder) / LABEL_TABLE)
