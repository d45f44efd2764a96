"""SemanticKITTI: sweeps ``sequences/08/velodyne/000123.bin`` with labels ``sequences/08/labels/000123.label``.

A sweep is float32 x y z remission; a label 32 bits, of which the lower half is the class, the upper half the object.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ceco3d.data.labels import LabelSpace, label_space
from ceco3d.data.pointclouds.scan import make_scan
from ceco3d.preprocessing.labeled.label_files import read_label_file
from ceco3d.preprocessing.labeled.layout import LabeledPoints, RawScan
from ceco3d.preprocessing.layouts.public import PublicScans, check_download
from ceco3d.utils.errors import UserError

HOW = (
    "download the velodyne laser data of https://www.cvlibs.net/datasets/kitti/eval_odometry.php and the labels of "
    "http://www.semantic-kitti.org, and unzip both into one folder"
)
VAL, FIRST_TEST = 8, 11  # sequences; the others are for training
ROW = 16  # bytes of a point


@dataclass(frozen=True)
class SemanticKITTILayout:
    """The sweeps in ``raw``, the folder with ``sequences/`` or ``dataset/sequences/``. See ``Layout``."""

    raw: Path

    def scans(self) -> list[RawScan]:
        """See ``Layout``."""
        folders = [self.raw / "sequences", self.raw / "dataset" / "sequences"]
        root = next((folder for folder in folders if folder.is_dir()), None)
        if root is None:
            raise UserError(f"{self.raw}: no folder sequences/ in it: {HOW}")
        found = [
            scan for sequence in sorted(os.listdir(root)) if sequence.isdigit() for scan in _sweeps(root, sequence)
        ]
        if not found:
            raise UserError(f"{root}: no sequence with velodyne/*.bin in it: {HOW}")
        return found

    def read(self, scan: RawScan) -> LabeledPoints:
        """See ``Layout``. Sweeps without a label file have no labels."""
        path = scan.files[0]
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        if not content or len(content) % ROW:
            raise UserError(f"{path} has {len(content):,} bytes, not {ROW} for each point (x y z remission)")
        points = np.frombuffer(content, "<f4").reshape(-1, 4)
        labels = instance = None
        if len(scan.files) > 1:
            labels, instance = read_label_file(scan.files[1], len(points))
            if instance is not None:  # objects are numbered within their class
                instance = np.where(instance < 0, -1, instance << 16 | labels)
        return LabeledPoints(make_scan(points[:, :3].copy(), None, None), labels, instance, points[:, 3])


@dataclass(frozen=True)
class SemanticKITTI(PublicScans):
    """SemanticKITTI with the 19 classes of its single-scan benchmark, moving ones merged, and its splits."""

    def layout(self) -> SemanticKITTILayout:
        """See ``LabeledScans``."""
        return SemanticKITTILayout(check_download(self.raw, HOW))

    def known_classes(self) -> LabelSpace:
        """See ``PublicScans``."""
        return label_space("semantickitti")


def _sweeps(root: Path, sequence: str) -> list[RawScan]:
    number = int(sequence)
    split = "val" if number == VAL else "test" if number >= FIRST_TEST else "train"
    sweeps, labels = root / sequence / "velodyne", root / sequence / "labels"
    labeled = set(_stems(labels, ".label"))
    return [
        RawScan(
            f"{sequence}-{stem}",
            split,
            (sweeps / f"{stem}.bin", *((labels / f"{stem}.label",) if stem in labeled else ())),
        )
        for stem in _stems(sweeps, ".bin")
    ]


def _stems(folder: Path, ending: str) -> list[str]:
    """The names of the files in a folder, sorted, without their ``ending``: one look at the folder."""
    try:
        return sorted(name.removesuffix(ending) for name in os.listdir(folder) if name.endswith(ending))
    except (FileNotFoundError, NotADirectoryError):
        return []
