"""ARKit LabelMaker: ``Training/42897986/{point_lifted_mesh.ply,labels.txt}``, one WordNet id of LabelMaker a vertex.

The colors of ``point_lifted_mesh.ply`` are those of the labels, so they are not read. ``mesh.ply``, which LabelMaker
makes and the download lacks, has the true ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ceco3d.data.labels import IGNORE, LabelSpace, class_rows, label_space
from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.preprocessing.labeled.label_files import read_label_file
from ceco3d.preprocessing.labeled.layout import LabeledPoints, RawScan
from ceco3d.preprocessing.layouts.public import PublicScans, check_download
from ceco3d.utils.errors import UserError

HOW = (
    "download https://huggingface.co/datasets/labelmaker/arkit_labelmaker, whose scans are under the terms of "
    "https://github.com/apple/ARKitScenes"
)
SPLITS = {"Training": "train", "Validation": "val"}
MESH, LABELS, COLORS = "point_lifted_mesh.ply", "labels.txt", "mesh.ply"
WORDNET, SCANNET200 = "labelmaker", "scannet200"


@dataclass(frozen=True)
class LabelMakerLayout:
    """The scenes in ``raw``, see ``Layout``.

    space  of the labels: WORDNET as they are, SCANNET200 mapped to it
    """

    raw: Path
    space: str = SCANNET200

    def scans(self) -> list[RawScan]:
        """See ``Layout``."""
        found = []
        for folder, split in SPLITS.items():
            scenes = sorted(path.parent for name in (MESH, LABELS) for path in (self.raw / folder).glob(f"*/{name}"))
            for scene in dict.fromkeys(scenes):
                colors = (scene / COLORS,) if (scene / COLORS).is_file() else ()
                found.append(RawScan(scene.name, split, (scene / MESH, scene / LABELS, *colors)))
        if not found:
            raise UserError(f"{self.raw}: no Training/*/{MESH} or Validation/*/{MESH} in it: {HOW}")
        return found

    def read(self, scan: RawScan) -> LabeledPoints:
        """See ``Layout``. UserError for ids that LabelMaker does not have."""
        mesh, file, *others = scan.files
        for path in (mesh, file):
            if not path.is_file():
                raise UserError(f"{path} is missing: download it, or remove its folder")
        points = read_scan(mesh)
        points = replace(points, color=_colors(others[0], points) if others else None)
        labels = read_label_file(file, len(points))[0]
        if labels.dtype.kind == "U":
            raise UserError(f"{file}: has names, not the ids of LabelMaker")
        return LabeledPoints(points, labels if self.space == WORDNET else to_scannet200(labels, file))


@dataclass(frozen=True)
class LabelMaker(PublicScans):
    """ARKit LabelMaker; ``classes`` is ``scannet200``, or ``labelmaker`` for its own 185 WordNet classes."""

    classes: str = SCANNET200

    def layout(self) -> LabelMakerLayout:
        """See ``LabeledScans``."""
        return LabelMakerLayout(check_download(self.raw, HOW), self.known_classes().name)

    def known_classes(self) -> LabelSpace:
        """See ``PublicScans``."""
        if self.classes not in (SCANNET200, WORDNET):
            raise UserError(f"dataset.classes={self.classes}: choose {SCANNET200} or {WORDNET}")
        return label_space(self.classes)


@lru_cache
def _mapping() -> np.ndarray:
    """ScanNet200 id of every LabelMaker id; -1 for none, -2 for ids that do not exist."""
    rows = {int(row["id"]): int(row["scannet200"] or IGNORE) for row in class_rows(WORDNET)}
    table = np.full(max(rows) + 1, -2, np.int64)
    table[list(rows)] = list(rows.values())
    return table


def to_scannet200(labels: np.ndarray, file: Path) -> np.ndarray:
    """ScanNet200 ids of LabelMaker ids (N,), -1 for classes that ScanNet200 lacks. UserError for unknown ids."""
    table = _mapping()
    known = (labels >= 0) & (labels < len(table))
    mapped = np.where(known, table[np.where(known, labels, 0)], -2)
    mapped[labels == IGNORE] = IGNORE
    if (mapped == -2).any():
        ids, counts = np.unique(labels[mapped == -2], return_counts=True)
        most = np.argsort(-counts, kind="stable")[:5]
        listed = ", ".join(f"{ids[k]} ({counts[k]:,} points)" for k in most)
        raise UserError(f"{file}: {counts.sum():,} points have {len(ids)} ids that LabelMaker does not have: {listed}")
    return mapped


def _colors(path: Path, points: Scan) -> np.ndarray | None:
    scan = read_scan(path)
    if len(scan) != len(points):
        raise UserError(
            f"{path} has {len(scan):,} vertices, {MESH} has {len(points):,}: remove it to go without colors"
        )
    return scan.color
