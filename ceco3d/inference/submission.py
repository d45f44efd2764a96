"""Benchmark submissions in ScanNet's format.

One ``<scene>.txt`` per scene at the top level of a zip; one raw class id per line, in the order of the vertices of
``<scene>_vh_clean_2.ply``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.utils.atomic import whole_file


def write_submission(path: Path, predictions: Iterable[tuple[str, np.ndarray]], space: LabelSpace) -> dict[str, int]:
    """Write (scene, (N,) training indices) pairs to the zip at ``path``, checked before it gets its name.

    Returns the number of vertices of each scene. Raises ValueError when the written file is not a valid submission.
    """
    ids = np.array(space.ids)
    vertices: dict[str, int] = {}
    with whole_file(path) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for scene, labels in predictions:
                archive.writestr(f"{scene}.txt", "\n".join(map(str, ids[labels].tolist())) + "\n")
                vertices[scene] = len(labels)
        file.flush()
        check_submission(Path(file.name), vertices, space)
    return vertices


def check_submission(path: Path, vertices: Mapping[str, int], space: LabelSpace) -> None:
    """ValueError unless the zip holds exactly the scenes of ``vertices``, one valid raw id per vertex each."""
    valid = np.array(space.ids)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        expected = {f"{scene}.txt" for scene in vertices}
        if len(names) != len(set(names)) or set(names) != expected:
            raise ValueError(f"{path}: scenes differ from the split: {sorted(set(names) ^ expected)[:3]}")
        for scene, count in vertices.items():
            lines = archive.read(f"{scene}.txt").decode("ascii").splitlines()
            if len(lines) != count:
                raise ValueError(f"{path}: {scene}.txt has {len(lines)} lines for {count} vertices")
            wrong = np.setdiff1d(np.array(lines, np.int64), valid)
            if len(wrong):
                raise ValueError(f"{path}: {scene}.txt has ids outside {space.name}: {wrong[:3].tolist()}")
