"""Processed scenes on disk: ``<root>/<split>/<scene>/<array>.npy``, the layout of Pointcept."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ceco3d.data.scenes.colors import GRAY, has_colors
from ceco3d.data.scenes.index import read_index
from ceco3d.data.scenes.labels import IGNORE, label_space
from ceco3d.data.scenes.normals import has_normals, stored_normals, unit_normals
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_npy

# torch is imported where scenes are read: preprocessing workers only write, and start many times faster without it.
if TYPE_CHECKING:
    from torch import Tensor

    from ceco3d.data.scenes.scene import Scene

# dtype and columns of every array; None = (N,). Frames and units as in Scene. Labels are training indices of ScanNet20
# and ScanNet200, -1 = ignore.
ARRAYS = {
    "coord": (np.float32, 3),
    "color": (np.uint8, 3),
    "normal": (np.float32, 3),
    "segment20": (np.int16, None),
    "segment200": (np.int16, None),
    "instance": (np.int16, None),
}
SEGMENT = {"scannet20": "segment20", "scannet200": "segment200"}
FEATURES = ("coord", "color", "normal")
TEMPORARY = ".*.tmp"  # name of an unfinished scene, for Path.glob
FINE, COARSE = 1e-3, 1e-2  # meters: steps of float32 that lose nothing, and that move points to other voxels
AGAIN = "delete its folder and run ceco3d.preprocess again"

Load = Callable[[Path], np.ndarray]
Rows = Callable[[np.ndarray, np.ndarray], "np.ndarray | None"]


def write_scene(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write all of ``ARRAYS`` to ``folder``, which appears when it is complete and replaces an older one.

    ValueError if an array does not have the dtype and shape given in ``ARRAYS``.
    """
    count = len(arrays["coord"])
    for name, (dtype, width) in ARRAYS.items():
        shape = (count,) if width is None else (count, width)
        if arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}, not {np.dtype(dtype)} {shape}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    try:
        for name in ARRAYS:
            np.save(temporary / f"{name}.npy", arrays[name])
        if folder.exists():
            shutil.rmtree(folder)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_finished(folder: Path, annotated: bool) -> bool:
    """Whether ``folder`` holds a complete scene, also if another program was stopped while writing it."""
    needed = ["coord", "color", *(["segment20", "segment200", "instance"] if annotated else [])]
    return all((folder / f"{name}.npy").is_file() for name in needed)


def remove_temporary(root: Path) -> None:
    """Delete the unfinished scenes of killed runs under ``root``. No other run may be writing there."""
    for folder in root.glob(f"*/{TEMPORARY}"):
        shutil.rmtree(folder, ignore_errors=True)


def list_scenes(root: Path, split: str) -> list[Path]:
    """The scene folders of a split, sorted by name; UserError if the split is missing or empty."""
    folder = root / split
    scenes = [folder / name for name in read_index(root, split)["scenes"]]
    if not scenes:
        state = "is empty" if folder.is_dir() else "does not exist"
        raise UserError(
            f"{folder} {state}: make its scenes with `python -m ceco3d.preprocess dataset=... "
            f"dataset.raw=/path/to/raw dataset.root={root}`, or point dataset.root at processed scenes"
        )
    for name in (scene.name for scene in scenes):
        if not name.isprintable():  # it becomes a file name in a submission
            raise UserError(f"{folder}: {name!r} is not the name of a scene; rename the folder")
    return scenes


def read_scene(
    folder: Path,
    label_space: str,
    rows: Rows | None = None,
    load: Load = read_npy,
    features: Sequence[str] = FEATURES,
) -> Scene:
    """Read the scene in ``folder``, with ``segment`` in the label space ``scannet200`` or ``scannet20``.

    rows      chooses points from the (N, 3) coordinates and (N,) instance ids: returns their indices, or None for all.
              Little more than these points is read from the other arrays.
    load      reads one array from its path
    features  that are needed: without "normal", missing normals are zero

    Reads folders of Pointcept too. Colors that are missing or the same everywhere become gray. Normals that are missing
    or zero everywhere are estimated, see ``stored_normals``. All labels may be missing (test scenes, then -1), and
    labels may have any signed integer type. float64 coordinates far from the origin move there. UserError names a file
    that is missing, damaged or of the wrong shape.
    """
    import torch

    from ceco3d.data.scenes.scene import Scene

    if label_space not in SEGMENT:
        raise UserError(f"unknown label space {label_space!r}; choose {' or '.join(SEGMENT)}")
    coord = _load(folder / "coord.npy", "f", 3, None, load)
    count = len(coord)
    if not count:
        raise UserError(f"{folder / 'coord.npy'} has no points: delete the folder and run ceco3d.preprocess again")
    color = _load_if_there(folder / "color.npy", "u1", 3, count, load)
    normal = _load_if_there(folder / "normal.npy", "f", 3, count, load)
    segment = instance = np.full(count, IGNORE, np.int16)
    if any((folder / f"{name}.npy").exists() for name in SEGMENT.values()):
        segment = _load(folder / f"{SEGMENT[label_space]}.npy", "i", None, count, load)
    if (folder / "instance.npy").exists():
        instance = _load(folder / "instance.npy", "i", None, count, load)
    chosen = None if rows is None else rows(coord, instance)
    near = _near_origin(coord) if coord.dtype.itemsize > 4 else coord
    if color is None or not has_colors(color):
        color = np.full((1, 1), GRAY, np.float32).repeat(3, 1).repeat(count, 0)
    if normal is None or not has_normals(normal):
        normal = np.zeros((count, 3), np.float32)
        if "normal" in features:
            _check_finite(folder / "coord.npy", coord)
            _check_steps(folder / "coord.npy", near)
            normal = stored_normals(folder, coord)
    coord = near
    if chosen is not None:
        coord, color, normal = coord[chosen], color[chosen], normal[chosen]
        segment, instance = segment[chosen], instance[chosen]
    _check_labels(folder / f"{SEGMENT[label_space]}.npy", segment, label_space)
    for name, values in (("coord", coord), ("normal", normal)):
        _check_finite(folder / f"{name}.npy", values)
    _check_steps(folder / "coord.npy", coord)
    return Scene(
        name=folder.name,
        coord=_points(coord),
        color=_points(color),
        normal=_points(unit_normals(normal)),
        segment=torch.from_numpy(np.array(segment, np.int64)),
        instance=torch.from_numpy(np.array(instance, np.int64)),
    )


def read_labels(folder: Path, label_space: str) -> tuple[np.ndarray, np.ndarray | None]:
    """(N,) training indices, -1 = ignore, and (N,) instance ids, None without a file. Errors as in ``read_scene``."""
    path = folder / f"{SEGMENT[label_space]}.npy"
    segment = _load(path, "i", None, None, read_npy)
    _check_labels(path, segment, label_space)
    path = folder / "instance.npy"
    return segment, _load(path, "i", None, len(segment), read_npy) if path.exists() else None


def _points(values: np.ndarray) -> Tensor:
    """(N, 3) as float32 with contiguous columns, see ``Scene``. A copy, so the file may then change or vanish."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(values.T, np.float32)).t()


def _load_if_there(path: Path, kind: str, width: int | None, count: int | None, load: Load) -> np.ndarray | None:
    return _load(path, kind, width, count, load) if path.exists() else None


def _load(path: Path, kind: str, width: int | None, count: int | None, load: Load) -> np.ndarray:
    """An array of dtype ``kind`` (f, i: any size), ``count`` rows (None: any), ``width`` columns (None: no axis)."""
    try:
        array = load(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: delete the folder and run ceco3d.preprocess again") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): {AGAIN}") from None
    shape = tuple(length for length in (count, width) if length is not None)
    same_shape = array.ndim == (1 if width is None else 2) and array.shape[array.ndim - len(shape) :] == shape
    if not same_shape or not array.dtype.str[1:].startswith(kind):
        rows = "N" if count is None else str(count)
        wanted = f"({rows},)" if width is None else f"({rows}, {width})"
        names = {"f": "float", "u1": "uint8", "i": "int"}
        transposed = width is not None and array.ndim == 2 and array.shape[0] == width and not same_shape
        remedy = "transpose the array" if transposed else AGAIN
        raise UserError(f"{path} is {one_line(array.dtype)} {array.shape}, not {names[kind]} {wanted}: {remedy}")
    return array


def _near_origin(coord: np.ndarray) -> np.ndarray:
    """float64 coordinates moved by whole meters where float32 would round them; the same array where it would not."""
    low = np.floor(coord.min(0))
    return coord if _step(np.abs(coord).max()) < FINE else coord - low


def _step(value: float, dtype: type = np.float32) -> float:
    """The distance between numbers of a type near ``value``."""
    with np.errstate(all="ignore"):
        return float(np.spacing(dtype(value)))


def _check_steps(path: Path, coord: np.ndarray) -> None:
    """UserError if coordinates are so far from the origin that their type rounds them to other voxels."""
    largest = float(max(coord.max(initial=0), -coord.min(initial=0)))
    kind = np.float16 if coord.dtype.itemsize == 2 else np.float32
    step = _step(largest, kind)
    if not step < COARSE:
        raise UserError(
            f"{path} has coordinates up to {largest:,.0f} m, which {kind.__name__} rounds to steps of "
            f"{step:.2g} m: subtract an offset from the original coordinates and save them again"
        )


def _check_finite(path: Path, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise UserError(f"{path} holds NaN or infinity: {AGAIN}")


def _check_labels(path: Path, segment: np.ndarray, space: str) -> None:
    """UserError if a label is neither -1 nor a training index: on a GPU it would crash the run without a message."""
    classes = len(label_space(space))
    if len(segment) and (segment.min() < IGNORE or segment.max() >= classes):
        remedy = "if 255 marks unlabeled points, replace it by -1" if segment.max() == 255 else AGAIN
        raise UserError(
            f"{path} holds labels {segment.min()}..{segment.max()}, not training indices -1..{classes - 1}: {remedy}"
        )
