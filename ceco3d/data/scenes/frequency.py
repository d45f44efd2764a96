"""Class frequencies of processed scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.index import read_index, split_of, write_index
from ceco3d.data.scenes.processed import read_labels
from ceco3d.utils.errors import UserError


def class_frequency(folders: Sequence[Path], space: LabelSpace) -> tuple[Tensor, Tensor]:
    """Two (K,) int64: the number of processed scenes with each class of a label space, and its number of points.

    The counts of a whole split are stored, see ``scenes.index``. Unreadable scenes do not count; the data set reports
    them. UserError if no point has a label.
    """
    whole = split_of(folders)
    index = read_index(*whole) if whole else {"frequency": {}}
    stored = index["frequency"].get(space.array)
    if stored is None or len(stored[0]) != len(space):
        index["frequency"][space.array] = [counts.tolist() for counts in _count(folders, space)]
        if whole:
            write_index(*whole, index)
    scenes, points = (torch.tensor(counts) for counts in index["frequency"][space.array])
    if folders and not points.any():
        raise UserError(_why_none(folders, space))
    return scenes, points


def _why_none(folders: Sequence[Path], space: LabelSpace) -> str:
    where = f"no point of the {len(folders)} scenes in {folders[0].parent} has a label of {space.name}"
    try:
        read_labels(folders[0], space)
    except UserError as error:
        return f"{where}; the first: {error}"
    return f"{where}: were they preprocessed with the right label table and dataset=?"


def _count(folders: Sequence[Path], space: LabelSpace) -> tuple[Tensor, Tensor]:
    size = len(space)
    scenes, points = torch.zeros(2, size, dtype=torch.int64)
    for folder in folders:
        try:
            segment, _ = read_labels(folder, space)
        except UserError:
            continue
        counts = torch.from_numpy(np.bincount(segment[segment >= 0], minlength=size))
        scenes += counts > 0
        points += counts
    return scenes, points
