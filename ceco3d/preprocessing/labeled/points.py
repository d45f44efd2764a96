"""From labeled points as a file has them to the arrays of a processed scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ceco3d.data.labels import IGNORE, LabelSpace
from ceco3d.data.pointclouds.axes import METERS, UP_ROTATIONS
from ceco3d.data.pointclouds.columns import intensity_shares
from ceco3d.data.pointclouds.normals import vertex_normals
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.data.pointclouds.usable import usable_points
from ceco3d.data.scenes.colors import color_bytes
from ceco3d.data.scenes.normals import directions
from ceco3d.preprocessing.labeled.layout import LabeledPoints
from ceco3d.utils.errors import UserError

MAX_INSTANCES = 32_000  # int16
PART = 1 << 20  # points at a time: float64 of all would fill the memory


@dataclass(frozen=True)
class Frame:
    """The unit and the axes of the files: keys of METERS and UP_ROTATIONS."""

    unit: str = "m"
    up: str = "z"


def to_arrays(points: LabeledPoints, space: LabelSpace, frame: Frame) -> dict[str, np.ndarray]:
    """The arrays of a processed scene (``data.scenes.processed``) with the M usable points, in their order.

    Moved to the origin in float64 as ``to_scene`` does. Colors, normals, intensities, labels and instances are there
    where the file has them. UserError if no point is usable.
    """
    scan = points.scan
    usable, _ = usable_points(scan.coord)
    if not usable.any():
        raise UserError("no point has finite coordinates")
    coord = to_meters(scan.coord[usable], frame)
    arrays = {"coord": coord}
    if scan.color is not None:
        arrays["color"] = np.ascontiguousarray(color_bytes(scan.color)[usable])
    normal = _normals(scan, coord, usable, frame)
    if normal is not None:
        arrays["normal"] = normal
    if points.intensity is not None:
        arrays["intensity"] = intensity_shares(points.intensity)[usable]
    if points.labels is not None:
        arrays[space.array] = training_index(points.labels, space)[usable]
        none = np.full(len(coord), IGNORE, np.int16)
        arrays["instance"] = none if points.instance is None else _numbered(points.instance[usable])
    return arrays


def to_meters(coord: np.ndarray, frame: Frame) -> np.ndarray:
    """Coordinates (N, 3) of a file as float32 meters, z up, moved to the origin."""
    low, turn = coord.min(0).astype(np.float64), UP_ROTATIONS[frame.up].T
    meters = np.empty(coord.shape, np.float32)
    for start in range(0, len(coord), PART):
        part = coord[start : start + PART].astype(np.float64) - low
        meters[start : start + PART] = part * METERS[frame.unit] @ turn
    return meters


def training_index(labels: np.ndarray, space: LabelSpace) -> np.ndarray:
    """(N,) int16 of raw ids or raw names."""
    return space.index_of_names(labels) if labels.dtype.kind == "U" else space.index_of(labels)


def _normals(scan: Scan, coord: np.ndarray, usable: np.ndarray, frame: Frame) -> np.ndarray | None:
    """Unit normals from faces, else from the file; None where it has neither: reading the scene estimates them."""
    triangles = scan.triangles()
    if triangles is not None and len(triangles):
        row = np.cumsum(usable) - 1
        return vertex_normals(coord, row[triangles[usable[triangles].all(1)]])
    if scan.normal is None:
        return None
    normal = directions(scan.normal[usable].astype(np.float64) @ UP_ROTATIONS[frame.up].T)
    return normal if normal.any() else None


def _numbered(instance: np.ndarray) -> np.ndarray:
    """Instances numbered from 0, int16; of more than MAX_INSTANCES the last ones are none."""
    ids, index = np.unique(instance, return_inverse=True)
    first = int((ids < 0).sum())
    number = index - first
    return np.where((number < 0) | (number >= MAX_INSTANCES), IGNORE, number).astype(np.int16)
