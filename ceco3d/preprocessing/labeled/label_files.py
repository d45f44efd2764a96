"""Files with one label per point, beside the scan they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ceco3d.data.labels.label_space import LARGEST
from ceco3d.data.pointclouds.files import READERS
from ceco3d.data.scenes.processed import first_column
from ceco3d.utils.errors import UserError
from ceco3d.utils.text_files import read_text
from ceco3d.utils.untrusted import one_line, read_npy

# Endings of label files, which replace or follow that of the scan: room.ply has room.labels.npy or room.ply.labels.
ENDINGS = (".labels.npy", ".labels.txt", ".labels.csv", ".labels", ".label", ".npy", ".txt", ".csv")
ARRAYS = ("segment.npy", "labels.npy", "label.npy")  # of a scan that is a folder of arrays
POINTCEPT = ("segment", "instance")  # how names of its arrays begin, which may have several columns
KITTI = ".label"  # SemanticKITTI: 32 bits a point, the lower half is the class, the upper half the instance

SEVERAL = "has several values in a line; one label a line is needed"


def find_label_file(scan: Path, ending: str | None) -> Path | None:
    """The label file of a scan; None if there is none.

    ending  the only one to look for, such as ".labels.npy"; None: the first of ENDINGS that is there
    """
    for name in ENDINGS if ending is None else (ending,):
        for path in (scan.with_suffix(name), scan.with_name(scan.name + name)):
            if path != scan and path.is_file():
                return path
    return None


def find_array(folder: Path, name: str | None) -> Path | None:
    """The array of labels in a scan that is a folder of arrays; None if there is none.

    name  of the array, such as "segment20"; None: the first of ARRAYS that is there
    """
    names = ARRAYS if name is None else (f"{name}.npy",)
    return next((path for name in names if (path := folder / name).is_file()), None)


def is_label_file(path: Path, scans: set[Path], ending: str | None) -> bool:
    """Whether a file holds the labels of one of ``scans`` rather than points of its own.

    A table beside a scan of another format and the same name does.
    ending  of the label files, see ``find_label_file``
    """
    if path.name.endswith(ENDINGS[:5] if ending is None else (*ENDINGS[:5], ending)):
        return True
    tables = (".npy", ".txt", ".csv")
    if path.suffix.lower() not in tables:
        return False
    others = [path.with_suffix(kind) for kind in READERS if kind not in tables]
    return any(other in scans for other in others) or path.with_suffix("") in scans


def read_label_file(path: Path, points: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """(N,) raw ids or raw names, and (N,) instance ids if the file has them.

    points  of the scan; UserError if the file has another number of labels. None: any number
    """
    try:
        labels, instance = _read(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{path}: {one_line(error, 200)}") from None
    if points is not None and len(labels) != points:
        raise UserError(f"{path} has {len(labels):,} labels for {points:,} points: is it the file of this scan?")
    return labels, instance


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    kind = path.suffix.lower()
    if kind == ".npy":
        array = read_npy(path)
        return whole_numbers(first_column(array) if path.name.startswith(POINTCEPT) else _flat(array)), None
    if kind == KITTI:
        return _read_kitti(path)
    lines = read_text(path).split("\n")
    values = [line.strip() for line in lines]
    while values and not values[-1]:
        values.pop()
    if values and kind == ".csv" and not _is_number(values[0]) and any(map(_is_number, values[1:2])):
        values = values[1:]  # a header
    if any("," in value or ";" in value for value in values[:100]):
        raise ValueError(SEVERAL)
    return _numbers_or_names(values), None


def _read_kitti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = path.read_bytes()
    if len(content) % 4:
        raise ValueError(f"has {len(content)} bytes, which is no multiple of 4: SemanticKITTI has 32 bits a point")
    packed = np.frombuffer(content, "<u4")
    # Numbers of instances start again in each class; 0 is no object.
    return (packed & 0xFFFF).astype(np.int64), np.where(packed >> 16 == 0, -1, packed.astype(np.int64))


def _flat(array: np.ndarray) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"has shape {array.shape}, not (points,)")
    return array


def _numbers_or_names(values: Sequence[str]) -> np.ndarray:
    """Raw ids if all are whole numbers, else raw names."""
    try:
        return np.array([int(value) for value in values], np.int64)
    except (ValueError, OverflowError):
        pass
    different = set(values)
    if all(map(_is_number, different)):
        return whole_numbers(np.array([float(value) for value in values]))
    if any(_is_number(value) and not value.lstrip("+-").isdigit() for value in different):
        raise ValueError("has labels that are neither whole numbers nor names")
    if any(all(map(_is_number, words)) for value in different if len(words := value.split()) > 1):
        raise ValueError(SEVERAL)
    return np.array(values, str)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Labels as int64, NaN as -1; text stays text. ValueError for fractions and numbers beyond 32 bits."""
    if values.dtype.kind in "US":
        return values.astype(str)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"holds {values.dtype}, not labels")
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), -1, values)
        wrong = values[(np.abs(values) > LARGEST) | (values != np.round(values))]
        if len(wrong):
            raise ValueError(f"holds numbers that are no labels, such as {wrong[0]:g}")
    elif values.size and not -LARGEST - 1 <= int(values.min()) <= int(values.max()) <= LARGEST:
        raise ValueError("holds labels beyond 32 bits")
    return values.astype(np.int64)
