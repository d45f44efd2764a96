"""Read raw ScanNet scenes: mesh, over-segmentation, objects and alignment become per-vertex arrays.

A raw root has ``scans/<scene>/`` (train and val), ``scans_test/<scene>/``, the label table
``scannetv2-labels.combined.tsv`` and the split lists ``scannetv2_{train,val,test}.txt``. Only the decimated mesh
``<scene>_vh_clean_2.ply`` is labeled; its vertices, in file order, are the points of a scene.
"""

from __future__ import annotations

import csv
import re
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.pointclouds.normals import vertex_normals
from ceco3d.data.pointclouds.ply import mapped_triangles
from ceco3d.data.pointclouds.ply_open import open_ply
from ceco3d.data.scenes.labels import IGNORE, label_space
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_json

SPLITS = ("train", "val", "test")
LABEL_TABLE = "scannetv2-labels.combined.tsv"
MESH = "_vh_clean_2.ply"
SEGMENTS = "_vh_clean_2.0.010000.segs.json"
LABELS = ("segment20", "segment200", "instance")
MAX_ID = 10**6  # of classes
NO_ID = 0  # neither ScanNet200 nor nyu40 has a class 0


@dataclass(frozen=True)
class LabelTable:
    """Raw ScanNet id and nyu40 id by raw category name (exact text)."""

    raw_id: dict[str, int]
    nyu40: dict[str, int]


def read_label_table(path: Path) -> LabelTable:
    """Read ``scannetv2-labels.combined.tsv``. The first of several rows with one name counts, as in ScanNet's scripts.

    nyu40 ids belong to the name, not to the raw id: ``pipe`` and ``pipes`` share raw id 107 but not the nyu40 id.
    UserError if the file is missing, lacks a column or has ids that are not integers.
    """
    raw_id: dict[str, int] = {}
    nyu40: dict[str, int] = {}
    try:
        # Some copies end their lines in \r\r\n, which the csv module reads if newlines are not translated.
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                raw_id.setdefault(row["raw_category"], _label_id(row["id"]))
                nyu40.setdefault(row["raw_category"], _label_id(row["nyu40id"]))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): download this file from ScanNet") from None
    except KeyError as error:
        raise UserError(f"{path} has no column {error}: it is not ScanNet's label table; download it again") from None
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); download it again") from None
    if not raw_id:
        raise UserError(f"{path} has no rows; download it again")
    return LabelTable(raw_id, nyu40)


def _label_id(text: str) -> int:
    """The id as a number; ValueError if it is none or out of range."""
    number = int(text)
    if abs(number) > MAX_ID:
        raise ValueError(f"a class of id {text:.30}")
    return number


def read_splits(raw: Path) -> dict[str, list[str]]:
    """Scene names by split, in file order, from the lists ``<raw>/scannetv2_{train,val,test}.txt`` that exist.

    UserError if there is no list, a list is empty, or a name could point outside its folder.
    """
    files = {split: path for split in SPLITS if (path := raw / f"scannetv2_{split}.txt").is_file()}
    if not files:
        raise UserError(
            f"no split list in {raw}: copy scannetv2_train.txt, scannetv2_val.txt and scannetv2_test.txt there "
            "from Tasks/Benchmark of https://github.com/ScanNet/ScanNet"
        )
    splits = {}
    for split, path in files.items():
        names = list(dict.fromkeys(path.read_text(encoding="utf-8", errors="replace").split()))
        if not names:
            raise UserError(f"{path} lists no scene; copy it again or remove it")
        for name in names:
            if not re.fullmatch(r"\w[\w.-]{,99}", name, re.ASCII):
                raise UserError(f"{path}: {name[:80]!r} is not a scene name such as scene0000_00")
        splits[split] = names
    return splits


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (N, 3) float32 in meters, colors (N, 3) uint8 and triangles (F, 3) int64 of a binary PLY mesh.

    Properties are found by name; others (alpha, label) are ignored. UserError if the file is missing, truncated, not
    a triangle mesh, empty, or holds non-finite coordinates or faces of vertices that do not exist.
    """
    try:
        mesh = open_ply(path, strict=True)
        faces, vertex = mapped_triangles(mesh).astype(np.int64), mesh.vertices()
        vertices = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float32)
        colors = np.stack([vertex[channel] for channel in ("red", "green", "blue")], axis=1)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): download it from ScanNet") from None
    except ValueError as error:
        raise UserError(f"{path} is not a complete triangle mesh ({one_line(error)}); download it again") from None
    if colors.dtype != np.uint8:
        raise UserError(f"{path} has colors of type {colors.dtype}, not uchar 0..255; download it again")
    if not len(vertices):
        raise UserError(f"{path} has no vertices; download it again")
    if not np.isfinite(vertices).all():
        raise UserError(f"{path} has coordinates that are NaN or infinite; download it again")
    if faces.size and not 0 <= faces.min() <= faces.max() < len(vertices):
        raise UserError(f"{path} has faces of vertices that do not exist; download it again")
    return vertices, colors, faces


def read_alignment(path: Path) -> np.ndarray:
    """``axisAlignment`` of ``<scene>.txt``: (4, 4) float64, applied as M @ [x y z 1]; the identity if there is none.

    Other lines, such as ``sceneType = Bedroom / Hotel``, are ignored. UserError if it is not 16 finite numbers.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        hint = "download it from ScanNet or set dataset.align=false"
        raise UserError(f"cannot read {path} ({error.strerror}): {hint}") from None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "axisAlignment":
            try:
                matrix = np.array([float(number) for number in value.split()]).reshape(4, 4)
            except ValueError:
                matrix = np.full((4, 4), np.nan)
            if not np.isfinite(matrix).all():
                raise UserError(f"{path}: axisAlignment is not 16 finite numbers; download the file again")
            return matrix
    return np.eye(4)


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


def _ids(id_of_name: dict[str, int], groups: list[tuple[str, np.ndarray]]) -> np.ndarray:
    """(groups,) int64 id of every group's name, NO_ID for unknown names."""
    return np.array([id_of_name.get(name, NO_ID) for name, _ in groups], np.int64)


def _read_labels(folder: Path, count: int, labels: LabelTable) -> dict[str, np.ndarray]:
    """segment20, segment200 and instance, each (count,) int16, as in ScanNet's ScanNet200 preprocessing.

    Groups apply in file order: a later one overwrites an earlier one, even if its own label is ignored. A group that
    repeats an earlier one exactly is the same instance (scene0217_00 lists every group twice).
    """
    path = folder / f"{folder.name}{SEGMENTS}"
    seg_indices = _integers(_read_json(path, "segIndices")["segIndices"], path, "segIndices")
    if len(seg_indices) != count:
        hint = "a copy of the high-resolution _vh_clean.segs.json?"
        raise UserError(f"{path} has {len(seg_indices)} entries for {count} vertices ({hint}); download it again")
    groups = _read_groups(folder / f"{folder.name}.aggregation.json")
    keys = [(name, np.sort(segments).tobytes()) for name, segments in groups]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    values = np.stack(
        [
            label_space("scannet20").index_of(_ids(labels.nyu40, groups)),
            label_space("scannet200").index_of(_ids(labels.raw_id, groups)),
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
    return dict(zip(LABELS, by_segment.take(row, axis=1), strict=True))


def read_scene(folder: Path, labels: LabelTable | None, annotated: bool, align: bool) -> dict[str, np.ndarray]:
    """Read the raw scene in ``folder`` as the arrays of a processed scene with N points, the vertices of the mesh.

    coord                  (N, 3) float32, meters, z up
    color                  (N, 3) uint8
    normal                 (N, 3) float32
    segment20, segment200  (N,) int16 training indices, -1 = none
    instance               (N,) int16, -1 = none

    annotated  False (test scenes): labels are -1, and only the mesh and, to align, ``<scene>.txt`` are read
    align      apply the scene's axisAlignment

    UserError names the missing or broken file.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: download the scene from ScanNet or remove it from the split list")
    vertices, color, faces = read_mesh(folder / f"{folder.name}{MESH}")
    coord = vertices.astype(np.float64)
    if align:
        info = folder / f"{folder.name}.txt"
        matrix = read_alignment(info)
        coord = np.einsum("ij,nj->ni", matrix[:3, :3], coord) + matrix[:3, 3]
        if not np.isfinite(coord.astype(np.float32)).all():
            raise UserError(f"{info}: axisAlignment moves vertices out of float32's range; download the file again")
    scene = {"coord": coord.astype(np.float32), "color": color, "normal": vertex_normals(coord, faces)}
    if annotated:
        if labels is None:
            raise ValueError("an annotated scene needs the label table")
        return scene | _read_labels(folder, len(coord), labels)
    return scene | {name: np.full(len(coord), IGNORE, np.int16) for name in LABELS}
