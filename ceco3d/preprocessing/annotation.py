"""The annotation of a raw scene: objects of segments of vertices, and the labels that they give the vertices."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.labels import IGNORE, label_space
from ceco3d.preprocessing.label_table import LabelTable
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_json

SEGMENTS = "_vh_clean_2.0.010000.segs.json"
AGGREGATION = ".aggregation.json"
SPACES = ("scannet20", "scannet200")
LABELS = ("segment20", "segment200", "instance")
NO_ID = 0  # neither ScanNet200 nor nyu40 has a class 0

Groups = Sequence[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Objects:
    """What the label table made of the objects of a scene.

    ids      (raw id, nyu40 id) of every object name; None: the table lacks it
    unknown  (objects, vertices) of every name that the table lacks
    labeled  vertices with a class, by label space
    lost     objects of segments that no vertex belongs to
    """

    ids: Mapping[str, tuple[int, int] | None]
    unknown: Mapping[str, tuple[int, int]]
    labeled: Mapping[str, int]
    lost: int


def read_labels(folder: Path, count: int, table: LabelTable) -> tuple[dict[str, np.ndarray], Objects]:
    """segment20, segment200 and instance, each (count,) int16, as in ScanNet's ScanNet200 preprocessing.

    Groups apply in file order: a later one overwrites an earlier one, even if its own label is ignored. A group that
    repeats an earlier one exactly is the same instance (scene0217_00 lists every group twice).
    """
    seg_indices = read_segments(folder / f"{folder.name}{SEGMENTS}", count)
    groups = _read_groups(folder / f"{folder.name}{AGGREGATION}")
    keys = [(name, np.sort(segments).tobytes()) for name, segments in groups]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    values = np.stack(
        [
            label_space("scannet20").index_of(_ids(table.nyu40, groups)),
            label_space("scannet200").index_of(_ids(table.raw_id, groups)),
            np.array([number[key] for key in keys], np.int16),
        ]
    )
    # One column for each segment of a group, in order of ids, then one for all other segments.
    ids = np.unique(np.concatenate([segments for _, segments in groups] or [np.zeros(0, np.int64)]))
    by_segment = np.full((3, len(ids) + 1), IGNORE, np.int16)
    for group, (_, segments) in enumerate(groups):
        by_segment[:, np.searchsorted(ids, segments)] = values[:, [group]]
    row = np.searchsorted(ids, seg_indices)
    row[np.append(ids, -1)[row] != seg_indices] = len(ids)
    arrays = dict(zip(LABELS, by_segment.take(row, axis=1), strict=True))
    return arrays, _objects(number, arrays, ids[np.bincount(row, minlength=len(ids) + 1)[:-1] > 0], table)


def read_segments(path: Path, count: int) -> np.ndarray:
    """(count,) int64 segment of every vertex of a mesh, from a ``segs.json``; UserError unless it is that mesh's."""
    seg_indices = _integers(_read_json(path, "segIndices")["segIndices"], path, "segIndices")
    if len(seg_indices) != count:
        hint = "a copy of the high-resolution _vh_clean.segs.json?"
        raise UserError(f"{path} has {len(seg_indices)} entries for {count} vertices ({hint}); download it again")
    return seg_indices


def _objects(
    number: Mapping[tuple[str, bytes], int], arrays: Mapping[str, np.ndarray], present: np.ndarray, table: LabelTable
) -> Objects:
    """``number`` numbers the objects (name, sorted segment ids); ``present`` are the segment ids that occur."""
    ids = {name: table.ids(name) for name, _ in number}
    instance = arrays["instance"]
    vertices = np.bincount(instance[instance >= 0], minlength=len(number))
    unknown: dict[str, tuple[int, int]] = {}
    lost = 0
    for (name, segments), index in number.items():
        lost += not np.isin(np.frombuffer(segments, np.int64), present).all()
        if ids[name] is None:
            objects, points = unknown.get(name, (0, 0))
            unknown[name] = objects + 1, points + int(vertices[index])
    labeled = {space: int((arrays[label_space(space).array] != IGNORE).sum()) for space in SPACES}
    return Objects(ids, unknown, labeled, lost)


def _read_json(path: Path, key: str) -> dict[str, Any]:
    """The object in a JSON file; UserError unless it has a list under ``key``."""
    try:
        value = read_json(path)
    except OSError as error:
        hint = "download it from ScanNet; .labels.ply cannot replace it, its nyu40 ids do not give ScanNet200 labels"
        raise UserError(f"cannot read {path} ({error.strerror}): {hint}") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); download it again") from None
    if not isinstance(value, dict) or not isinstance(value.get(key), list):
        raise UserError(f"{path} has no list {key!r}: it is not the ScanNet file of that name; download it again")
    return value


def _integers(values: object, path: Path, what: str) -> np.ndarray:
    """A JSON list of integers as (n,) int64; UserError for anything else."""
    try:
        if isinstance(values, list):
            # np.array(values) would turn numbers next to a long text into texts of that length.
            return np.array(array("q", values), np.int64)
    except (TypeError, OverflowError):
        pass
    raise UserError(f"{path}: {what} is not a list of integers; download the file again")


def _read_groups(path: Path) -> list[tuple[str, np.ndarray]]:
    """(raw name, segment ids) of every object in an ``aggregation.json``, in file order."""
    aggregation = _read_json(path, "segGroups")
    if str(aggregation.get("segmentsFile", "")).endswith("_vh_clean.segs.json"):
        raise UserError(f"{path} is a copy of the high-resolution _vh_clean.aggregation.json; download the right one")
    groups = []
    for i, group in enumerate(aggregation["segGroups"]):
        if not isinstance(group, dict) or not isinstance(group.get("label"), str):
            raise UserError(f"{path}: segGroups[{i}] has no label; download the file again")
        groups.append((group["label"], _integers(group.get("segments"), path, f"segGroups[{i}].segments")))
    return groups


def _ids(id_of_name: dict[str, int], groups: Groups) -> np.ndarray:
    """(groups,) int64 id of every group's name, NO_ID for unknown names."""
    return np.array([id_of_name.get(name, NO_ID) for name, _ in groups], np.int64)
