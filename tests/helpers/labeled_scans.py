"""Folders of made-up labeled scans, in every way that people store them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.helpers.scan_files import face_lines, ply, records, vertex_lines

IDS = (2, 5, 6, 9, 17, 40, 200)
NAMES = ("ground", "wall", "building", "water", "chair", "lamp", "plant")
COUNTS = (80, 60, 40, 30, 20, 15, 15)  # points of each class; the last class is in every second scan
CLASSES_CSV = "id,name\n" + "".join(f"{number},{name}\n" for number, name in zip(IDS, NAMES, strict=True))


@dataclass(frozen=True)
class Labeled:
    """N points: coordinates (N, 3) float64 in whole millimeters, colors (N, 3) uint8, raw ids and instances (N,)."""

    coord: np.ndarray
    color: np.ndarray
    label: np.ndarray
    instance: np.ndarray


def made_up(number: int, scale: float = 1.0) -> Labeled:
    """Scan ``number``: a floor of 4 x 4 meters, and one object of each other class in its color."""
    rng = np.random.default_rng(number)
    classes = range(len(IDS) if number % 2 == 0 else len(IDS) - 1)
    index = np.repeat(classes, COUNTS[: len(classes)])
    center, extent = rng.uniform(1, 3, (len(classes), 3)), np.full((len(classes), 3), 0.4)
    center[0], extent[0] = (2, 2, 0), (2, 2, 0.01)
    coord = center[index] + rng.uniform(-1, 1, (len(index), 3)) * extent[index]
    color = np.array([(40 + 30 * k, 240 - 30 * k, 90 * k % 256) for k in classes])[index] + rng.integers(
        0, 9, (len(index), 3)
    )
    order = rng.permutation(len(index))
    rounded = np.round(coord * 1000)[order] / 1000 * scale
    return Labeled(rounded, color[order].astype(np.uint8), np.array(IDS)[index][order], index[order])


def write_ply(path: Path, scan: Labeled, **columns: np.ndarray) -> Path:
    """A PLY with the columns; by default ``label`` alone."""
    rows = records(scan.coord, scan.color, **(columns or {"label": scan.label.astype("i4")}))
    path.write_bytes(ply([*vertex_lines(rows), *face_lines(0)], rows.tobytes()))
    return path


def write_las(path: Path, scan: Labeled, step: float = 0.001) -> Path:
    """A LAS or LAZ with the labels in ``classification``."""
    import laspy

    header = laspy.LasHeader(point_format=7, version="1.4")
    header.scales = np.full(3, step)
    las = laspy.LasData(header)
    las.x, las.y, las.z = scan.coord.T
    las.red, las.green, las.blue = scan.color.astype(np.uint16).T * 257
    las.classification = scan.label.astype(np.uint8)
    las.write(path)
    return path


def _write_tables(folder: Path, name: str, scan: Labeled, ending: str, labels: np.ndarray | str) -> None:
    np.save(folder / f"{name}.npy", np.concatenate([scan.coord, scan.color], 1))
    beside = folder / f"{name}{ending}"
    np.save(beside, labels) if isinstance(labels, np.ndarray) else beside.write_text(labels)


def _write_csv(folder: Path, name: str, scan: Labeled, separator: str = ",", words: bool = False) -> None:
    rows = [separator.join(["x", "y", "z", "red", "green", "blue", "label"])]
    for point, color, label in zip(scan.coord, scan.color, scan.label, strict=True):
        shown = NAMES[IDS.index(label)].title() if words else label
        rows.append(separator.join(map(str, [*point.tolist(), *color.tolist(), shown])))
    (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")


def _write_arrays(folder: Path, name: str, scan: Labeled, label: str) -> None:
    (folder / name).mkdir()
    for array, values in (
        ("coord", scan.coord),
        ("color", scan.color),
        (label, scan.label),
        ("instance", scan.instance),
    ):
        np.save(folder / name / f"{array}.npy", values)


def _lines(scan: Labeled) -> str:
    return "".join(f"{label}\n" for label in scan.label.tolist())


def _names(scan: Labeled) -> str:
    return "".join(f"{NAMES[IDS.index(label)].title()}\n" for label in scan.label.tolist())


def _ply_beside(folder: Path, name: str, scan: Labeled, ending: str, content: str | bytes) -> None:
    write_ply(folder / f"{name}.ply", scan, quality=np.float32(1))
    (folder / f"{name}{ending}").write_bytes(content if isinstance(content, bytes) else content.encode())


def _kitti(scan: Labeled) -> bytes:
    return ((scan.instance.astype("<u4") << 16) | scan.label.astype("<u4")).tobytes()


WAYS: Mapping[str, Callable[[Path, str, Labeled], object]] = {
    "PLY": lambda folder, name, scan: write_ply(folder / f"{name}.ply", scan),
    "PLY of CloudCompare": lambda folder, name, scan: write_ply(
        folder / f"{name}.ply", scan, scalar_Classification=scan.label.astype("f4")
    ),
    "LAS": lambda folder, name, scan: write_las(folder / f"{name}.las", scan),
    "LAZ": lambda folder, name, scan: write_las(folder / f"{name}.laz", scan),
    "NPY, .labels.npy": lambda folder, name, scan: _write_tables(folder, name, scan, ".labels.npy", scan.label),
    "NPY, .labels.npy (N, 1) float": lambda folder, name, scan: _write_tables(
        folder, name, scan, ".labels.npy", scan.label[:, None].astype(np.float32)
    ),
    "NPY, .labels.txt": lambda folder, name, scan: _write_tables(folder, name, scan, ".labels.txt", _lines(scan)),
    "CSV": _write_csv,
    "CSV with semicolons": lambda folder, name, scan: _write_csv(folder, name, scan, ";"),
    "CSV with names": lambda folder, name, scan: _write_csv(folder, name, scan, words=True),
    "NPZ": lambda folder, name, scan: np.savez(
        folder / f"{name}.npz", coord=scan.coord, color=scan.color, label=scan.label
    ),
    "folder, segment.npy": lambda folder, name, scan: _write_arrays(folder, name, scan, "segment"),
    "folder, labels.npy": lambda folder, name, scan: _write_arrays(folder, name, scan, "labels"),
    "PLY, .labels": lambda folder, name, scan: _ply_beside(folder, name, scan, ".labels", _lines(scan)),
    "PLY, .txt": lambda folder, name, scan: _ply_beside(folder, name, scan, ".txt", _lines(scan)),
    "PLY, .ply.txt": lambda folder, name, scan: _ply_beside(folder, name, scan, ".ply.txt", _lines(scan)),
    "PLY, .csv": lambda folder, name, scan: _ply_beside(folder, name, scan, ".csv", "label\n" + _lines(scan)),
    "PLY, .label of SemanticKITTI": lambda folder, name, scan: _ply_beside(folder, name, scan, ".label", _kitti(scan)),
    "PLY, names": lambda folder, name, scan: _ply_beside(folder, name, scan, ".labels.txt", _names(scan)),
}


def write_scans(folder: Path, way: str = "PLY", count: int = 12, classes: bool = True) -> list[Labeled]:
    """Scans ``room00`` ... in a new folder, and with ``classes`` a class file."""
    folder.mkdir(parents=True)
    if classes:
        (folder / "classes.csv").write_text(CLASSES_CSV)
    scans = [made_up(number) for number in range(count)]
    for number, scan in enumerate(scans):
        WAYS[way](folder, f"room{number:02}", scan)
    return scans
