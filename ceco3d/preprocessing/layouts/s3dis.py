"""S3DIS: 271 rooms of six areas, each object a text file ``Area_1/office_1/Annotations/chair_3.txt`` of x y z r g b.

Both versions, v1.2 and v1.2 aligned, have this layout. Rooms that Pointcept has processed are read too:
``Area_1/office_1/coord.npy`` and the other arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ceco3d.data.labels import LabelSpace, label_space
from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.number_text import parse_numbers
from ceco3d.data.pointclouds.scan import make_scan
from ceco3d.preprocessing.labeled.label_files import read_label_file
from ceco3d.preprocessing.labeled.layout import LabeledPoints, RawScan
from ceco3d.preprocessing.layouts.public import PublicScans, check_download
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

HOW = (
    "request S3DIS at http://buildingparser.stanford.edu/dataset.html and unzip Stanford3dDataset_v1.2.zip or "
    "Stanford3dDataset_v1.2_Aligned_Version.zip"
)
ANNOTATIONS = "Annotations"
ARRAYS = ("color.npy", "normal.npy", "segment.npy", "instance.npy")  # of Pointcept, beside coord.npy
COLUMNS = 6
# A few bytes of the release lost the bit 0x20, in lines that all programs stumble over: 103.0\x100000 is 103.000000,
# -9.1\x160 is -9.160, 185\x00187 is 185 187. Set it in all control characters that are no blanks.
REPAIR = bytes(byte | 0x20 if byte < 0x20 and byte not in b"\t\n\v\f\r" else byte for byte in range(256))


@dataclass(frozen=True)
class S3DISLayout:
    """The rooms in ``raw``: those of ``Area_<val_area>`` are for validation. See ``Layout``."""

    raw: Path
    val_area: int = field(default=5, repr=False)  # changes no room

    def scans(self) -> list[RawScan]:
        """See ``Layout``."""
        areas = sorted(path.name for path in self.raw.glob("Area_*") if path.is_dir())
        if not areas:
            raise UserError(f"{self.raw}: no folder Area_1 to Area_6 in it: {HOW}")
        if f"Area_{self.val_area}" not in areas:
            raise UserError(f"dataset.val_area={self.val_area}: {self.raw} has {', '.join(areas)}")
        return [scan for area in areas for scan in self._rooms(area)]

    def _rooms(self, area: str) -> list[RawScan]:
        split = "val" if area == f"Area_{self.val_area}" else "train"
        rooms = sorted(path for path in (self.raw / area).glob("[!.]*") if path.is_dir())
        return [RawScan(f"{area}-{room.name}".replace(" ", "_"), split, _files(room)) for room in rooms]

    def read(self, scan: RawScan) -> LabeledPoints:
        """See ``Layout``. Labels are names; each object is an instance."""
        folder = scan.files[0].parent
        if scan.files[0].name == "coord.npy":
            return _read_arrays(folder)
        if folder.name != ANNOTATIONS:
            raise UserError(f"{scan.files[0]} is missing or has no objects: unzip the room again")
        objects = [read_object(path) for path in scan.files]
        table, sizes = np.concatenate(objects), [len(rows) for rows in objects]
        names = np.array([path.stem.rpartition("_")[0] or path.stem for path in scan.files])
        return LabeledPoints(
            make_scan(table[:, :3].astype(np.float32), table[:, 3:].clip(0, 255).astype(np.uint8), None),
            np.repeat(names, sizes),
            np.repeat(np.arange(len(objects)), sizes),
        )


@dataclass(frozen=True)
class S3DIS(PublicScans):
    """S3DIS with its 13 classes; ``val_area`` is the area that is kept for validation."""

    val_area: int = 5

    def layout(self) -> S3DISLayout:
        """See ``LabeledScans``."""
        return S3DISLayout(check_download(self.raw, HOW), self.val_area)

    def known_classes(self) -> LabelSpace:
        """See ``PublicScans``."""
        return label_space("s3dis")


def _files(room: Path) -> tuple[Path, ...]:
    if (room / "coord.npy").is_file():
        return (room / "coord.npy", *(path for name in ARRAYS if (path := room / name).is_file()))
    objects = sorted((room / ANNOTATIONS).glob("[!.]*.txt"))
    return tuple(objects) or (room / ANNOTATIONS,)


def _read_arrays(room: Path) -> LabeledPoints:
    scan = read_scan(room)
    labels, instance = (
        read_label_file(path, len(scan))[0] if (path := room / f"{name}.npy").is_file() else None
        for name in ("segment", "instance")
    )
    return LabeledPoints(scan, labels, instance)


def read_object(path: Path) -> np.ndarray:
    """(N, 6) float64 x y z r g b of one object. UserError names the file and what is wrong with it."""
    try:
        values, counts, _ = parse_numbers(path.read_bytes().translate(REPAIR))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{path}: {one_line(error)}: unzip it again") from None
    wrong = np.flatnonzero(counts != COLUMNS)
    if len(wrong):
        row = int(wrong[0])
        raise UserError(f"{path}: point {row + 1:,} has {counts[row]} numbers, not {COLUMNS} (x y z r g b)")
    return values.reshape(-1, COLUMNS)
