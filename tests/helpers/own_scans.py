"""Made-up labeled scans of seven classes with gaps in their ids, in several formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import laspy
import numpy as np

from ceco3d.data.pointclouds import write_ply

IDS = (2, 3, 7, 11, 40, 41, 100)
NAMES = ("floor", "wall", "table", "chair", "plant", "shelf", "crate")
CLASSES = "id,name\n" + "".join(f"{number},{name}\n" for number, name in zip(IDS, NAMES, strict=True))


def make_points(seed: int, count: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates (N, 3) float32 in meters, colors (N, 3) uint8 and raw ids (N,) of a room with floor, wall and boxes."""
    rng = np.random.default_rng(seed)
    label = rng.choice(len(IDS), count, p=(0.3, 0.3, 0.1, 0.1, 0.1, 0.06, 0.04))
    label[: len(IDS)] = np.arange(len(IDS))
    coord = rng.uniform(0, 3, (count, 3))
    coord[label == 0, 2] = 0
    coord[label == 1, 0] = 0
    boxes = label > 1
    coord[boxes] = 0.5 + 0.3 * label[boxes, None] + 0.2 * rng.uniform(size=(int(boxes.sum()), 3))
    color = 30 * label[:, None] + rng.integers(0, 20, (count, 3))
    return (coord.round(3) + 0.0).astype(np.float32), color.astype(np.uint8), np.array(IDS)[label]


def _ply(stem: Path, coord: np.ndarray, color: np.ndarray, label: np.ndarray) -> None:
    columns = dict(zip(("x", "y", "z"), coord.T, strict=True)) | dict(
        zip(("red", "green", "blue"), color.T, strict=True)
    )
    with stem.with_suffix(".ply").open("wb") as file:
        write_ply(file, columns | {"label": label.astype(np.int32)})


def _laz(stem: Path, coord: np.ndarray, color: np.ndarray, label: np.ndarray) -> None:
    las = laspy.create(point_format=7, file_version="1.4")
    las.header.scales = [0.001] * 3
    las.x, las.y, las.z = coord.T.astype(float)
    las.red, las.green, las.blue = color.T.astype(np.uint16) * 257
    las.classification = label.astype(np.uint8)
    las.write(str(stem.with_suffix(".laz")))


def _npy(stem: Path, coord: np.ndarray, color: np.ndarray, label: np.ndarray) -> None:
    np.save(f"{stem}.npy", np.concatenate([coord, color], 1).astype(np.float32))
    np.save(f"{stem}.labels.npy", label)


def _csv(stem: Path, coord: np.ndarray, color: np.ndarray, label: np.ndarray) -> None:
    rows = [f"{x},{y},{z},{r},{g},{b},{k}" for (x, y, z), (r, g, b), k in zip(coord, color, label, strict=True)]
    stem.with_suffix(".csv").write_text("\n".join(["X,Y,Z,R,G,B,Classification", *rows]) + "\n")


def _npz(stem: Path, coord: np.ndarray, color: np.ndarray, label: np.ndarray) -> None:
    np.savez(stem.with_suffix(".npz"), points=coord, colors=color, semantic=label)


def _folder(stem: Path, coord: np.ndarray, color: np.ndarray, label: np.ndarray) -> None:
    stem.mkdir()
    for name, array in (("coord", coord), ("color", color), ("segment", label)):
        np.save(stem / f"{name}.npy", array)


def _names(stem: Path, coord: np.ndarray, color: np.ndarray, label: np.ndarray) -> None:
    np.save(f"{stem}.npy", np.concatenate([coord, color], 1).astype(np.float32))
    names = dict(zip(IDS, NAMES, strict=True))
    Path(f"{stem}.labels.txt").write_text("\n".join(names[k] for k in label.tolist()))


def _kitti(stem: Path, coord: np.ndarray, color: np.ndarray, label: np.ndarray) -> None:
    np.save(f"{stem}.npy", np.concatenate([coord, color], 1).astype(np.float32))
    (label.astype(np.uint32) | (np.arange(len(label), dtype=np.uint32) % 5 << 16)).tofile(f"{stem}.label")


FORMATS: dict[str, Callable[[Path, np.ndarray, np.ndarray, np.ndarray], None]] = {
    **{"ply": _ply, "laz": _laz, "npy": _npy, "csv": _csv, "npz": _npz, "folder": _folder},
    **{"names": _names, "kitti": _kitti},
}


def write_scans(raw: Path, kind: str = "ply", scans: int = 12, classes: bool = True) -> Path:
    """``room00`` ... in ``raw``, with ``classes.csv`` if ``classes``; returns ``raw``."""
    raw.mkdir(parents=True, exist_ok=True)
    for number in range(scans):
        FORMATS[kind](raw / f"room{number:02d}", *make_points(number))
    if classes:
        (raw / "classes.csv").write_text(CLASSES)
    return raw
