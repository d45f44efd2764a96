"""ScanNet++: ``data/<scene>/scans/{mesh_aligned_0.05.ply,segments.json,segments_anno.json}``, splits and metadata.

``segments.json`` gives the segment of every vertex, ``segments_anno.json`` groups of segments with a label. The rules
are those of the ScanNet++ toolkit: ``map_benchmark.csv`` turns labels into the classes of ``top100.txt``, and a vertex
in several groups with a class belongs to the smallest.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.labels import IGNORE, LabelSpace
from ceco3d.data.labels.palette import spread_colors
from ceco3d.data.pointclouds.files import read_scan
from ceco3d.preprocessing.labeled.layout import LabeledPoints, RawScan
from ceco3d.preprocessing.layouts.public import PublicScans, check_download, check_length
from ceco3d.utils.errors import UserError
from ceco3d.utils.text_files import read_text
from ceco3d.utils.untrusted import one_line, read_json

HOW = "request ScanNet++ at https://kaldir.vc.in.tum.de/scannetpp/ and download the scans, splits and metadata"
LISTS = {"train": "nvs_sem_train.txt", "val": "nvs_sem_val.txt", "test": "sem_test.txt"}
MESH, SEGMENTS, GROUPS = "mesh_aligned_0.05.ply", "segments.json", "segments_anno.json"
METADATA = Path("metadata", "semantic_benchmark")
CLASSES, MAPPING = "top100.txt", "map_benchmark.csv"
MAX_GROUPS = 3  # of a vertex; later ones do not count


@dataclass(frozen=True)
class ScanNetPPLayout:
    """The listed scenes in ``raw``. See ``Layout``."""

    raw: Path

    def scans(self) -> list[RawScan]:
        """See ``Layout``."""
        lists = {split: path for split, name in LISTS.items() if (path := self.raw / "splits" / name).is_file()}
        if not lists:
            raise UserError(f"{self.raw}: no splits/{LISTS['train']} in it: {HOW}")
        metadata = tuple(self.raw / METADATA / name for name in (CLASSES, MAPPING))
        class_index(read_lines(metadata[0]), metadata[1])  # raises now rather than in every scene
        found = []
        for split, path in lists.items():
            for name in read_lines(path):
                folder = self.raw / "data" / name / "scans"
                annotation = () if split == "test" else (folder / SEGMENTS, folder / GROUPS, *metadata)
                found.append(RawScan(name, split, (folder / MESH, *annotation)))
        return found

    def read(self, scan: RawScan) -> LabeledPoints:
        """See ``Layout``. Labels are the positions of classes in ``top100.txt``, instances ``objectId``."""
        for path in scan.files:
            if not path.is_file():
                raise UserError(
                    f"{path} is missing: download it, or remove {scan.name} from splits/{LISTS[scan.split]}"
                )
        points = read_scan(scan.files[0])
        if scan.split == "test":
            return LabeledPoints(points)
        segments, groups, classes, mapping = scan.files[1:]
        index = class_index(read_lines(classes), mapping)
        segment = _segments(segments)
        check_length(segments, len(segment), len(points))
        return LabeledPoints(points, *label_vertices(segment, _groups(groups), index))


@dataclass(frozen=True)
class ScanNetPP(PublicScans):
    """ScanNet++ with the 100 classes of its semantic benchmark.

    classes  ``top100.txt``; None: that in ``raw``
    """

    classes: str | None = None

    def layout(self) -> ScanNetPPLayout:
        """See ``LabeledScans``."""
        return ScanNetPPLayout(check_download(self.raw, HOW))

    def known_classes(self) -> LabelSpace:
        """See ``PublicScans``: the names in the class list, numbered from 0."""
        if self.classes is None and self.raw is None:
            raise UserError(f"{self.root} does not tell its classes: pass dataset.classes=/path/to/{CLASSES}")
        inside = None if self.classes else check_download(self.raw, HOW) / METADATA / CLASSES
        path = inside or Path(str(self.classes)).expanduser()
        names = read_lines(path)
        if not names or len({name.casefold() for name in names}) < len(names):
            raise UserError(f"{path}: must hold one class a line, each once")
        return LabelSpace("scannetpp", tuple(range(len(names))), tuple(names), spread_colors([None] * len(names)))


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank."""
    try:
        return [line.strip() for line in read_text(path, errors="replace").splitlines() if line.strip()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): {HOW}") from None


def class_index(classes: list[str], mapping: Path) -> dict[str, int]:
    """The position in ``classes`` of every label that ``map_benchmark.csv`` turns into one of them.

    The column ``semantic_map_to`` names the class of a label: empty for the label itself, ``None`` for no class.
    """
    position = {name: k for k, name in enumerate(classes)}
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(mapping), newline="")))
        names = {row["class"]: row["semantic_map_to"] or row["class"] for row in rows}
    except OSError as error:
        raise UserError(f"{mapping}: cannot be read ({error.strerror}): {HOW}") from None
    except (KeyError, ValueError, csv.Error):
        raise UserError(f"{mapping}: no columns class and semantic_map_to in it; download it again") from None
    return {label: position[name] for label, name in names.items() if name in position}


def label_vertices(
    segment: np.ndarray, groups: list[Mapping[str, Any]], index: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Class and object of each vertex, (N,) int64, -1 for none, from the segment of each vertex.

    Groups of other labels than ``index`` has do not count. Of a vertex in several groups, the first MAX_GROUPS count,
    and the smallest of them decides; the first of equally small ones.
    """
    known, number = np.unique(segment, return_inverse=True)
    labels, instance = np.full((2, len(segment)), IGNORE, np.int64)
    used, smallest = np.zeros(len(segment), np.int8), np.full(len(segment), len(segment) + 1)
    for group in groups:
        if group["label"] not in index:
            continue
        inside = np.isin(known, group["segments"])[number] & (used < MAX_GROUPS)
        size = int(inside.sum())
        used[inside] += 1
        inside &= smallest > size
        labels[inside], instance[inside], smallest[inside] = index[group["label"]], group["objectId"], size
    return labels, instance


def _segments(path: Path) -> np.ndarray:
    content = _json(path)
    try:
        return np.array(content["segIndices"], np.int64).reshape(-1)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: no list segIndices of whole numbers in it; download it again") from None


def _groups(path: Path) -> list[Mapping[str, Any]]:
    content = _json(path)
    try:
        return [
            {
                "label": str(group["label"]),
                "objectId": int(group["objectId"]),
                "segments": np.array(group["segments"], np.int64).reshape(-1),
            }
            for group in content["segGroups"]
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: no segGroups with label, objectId and segments in it ({one_line(error, 80)})"
        ) from None


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({one_line(error, 80)}); download it again") from None
