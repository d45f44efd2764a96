"""Processed scenes on disk: ``<root>/<split>/<scene>/<array>.npy``, the layout of Pointcept."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ceco3d.data.labels import IGNORE, LabelSpace
from ceco3d.data.scenes.colors import GRAY, color_bytes, has_colors
from ceco3d.data.scenes.height import height_above_ground
from ceco3d.data.scenes.index import read_index
from ceco3d.data.scenes.normals import has_normals, stored_normals, unit_normals
from ceco3d.data.scenes.precision import check_steps, near_origin
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_npy

# torch is imported where scenes are read: preprocessing workers only write, and start many times faster without it.
if TYPE_CHECKING:
    from torch import Tensor

    from ceco3d.data.scenes.scene import Scene

# dtype and columns of the arrays; None = (N,). Frames and units as in Scene. Labels (``LabelSpace.array``, int16) are
# training indices, -1 = ignore.
ARRAYS: dict[str, tuple[type, int | None]] = {
    "coord": (np.float32, 3),
    "color": (np.uint8, 3),
    "normal": (np.float32, 3),
    "intensity": (np.float32, None),
    "instance": (np.int16, None),
}
SEGMENT = "segment"  # begins the names of the arrays of labels
FEATURES = ("coord", "color", "normal")
INTENSITY = ("intensity", "strength")  # the second: Pointcept's outdoor data sets
TEMPORARY = ".*.tmp"  # name of an unfinished scene, for Path.glob
AGAIN = "delete its folder and run ceco3d.preprocess again"

Load = Callable[[Path], np.ndarray]
Rows = Callable[[np.ndarray, np.ndarray], "np.ndarray | None"]


def write_scene(folder: Path, arrays: dict[str, np.ndarray], record: Callable[[], None] = lambda: None) -> None:
    """Write a scene to ``folder``, which appears when it is complete and replaces an older one.

    record  writes down what the scene was made from, while there is no scene: neither counts for another one

    ValueError if an array does not have the dtype and shape given in ``ARRAYS``, or that of labels.
    """
    count = len(arrays["coord"])
    for name in arrays:
        dtype, width = (np.int16, None) if name.startswith(SEGMENT) else ARRAYS[name]
        shape = (count,) if width is None else (count, width)
        if arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}, not {np.dtype(dtype)} {shape}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(folder)
    temporary.mkdir()
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        remove_scene(folder)
        record()
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_scene(folder: Path) -> None:
    """Delete a scene, if it is there. Who reads it or stops this never finds a part of it under its name."""
    temporary = _temporary(folder)
    with suppress(FileNotFoundError):
        os.rename(folder, temporary)
    shutil.rmtree(temporary, ignore_errors=True)


def _temporary(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")


def is_finished(folder: Path, needed: Sequence[str]) -> bool:
    """Whether ``folder`` holds the arrays ``needed``, also if another program was stopped while writing it."""
    return all((folder / f"{name}.npy").is_file() for name in ("coord", *needed))


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
    space: LabelSpace,
    rows: Rows | None = None,
    load: Load = read_npy,
    features: Sequence[str] = FEATURES,
) -> Scene:
    """Read the scene in ``folder``, with ``segment`` in the label space ``space``.

    rows      chooses points from the (N, 3) coordinates and (N,) instance ids: returns their indices, or None for all.
              Little more than these points is read from the other arrays.
    load      reads one array from its path
    features  that are needed: without "normal", missing normals are zero; "intensity" and "height" are only read or
              made if they are asked for

    Reads folders of Pointcept too. Colors that are missing or the same everywhere become gray. Normals that are missing
    or zero everywhere are estimated, see ``stored_normals``. All labels may be missing (test scenes, then -1), and
    labels may have any signed integer type; of several columns, as in Pointcept's ScanNet++, the first counts. Colors
    may have any number type, see ``color_bytes``. float64 coordinates far from the origin move there. UserError names a
    file that is missing, damaged or of the wrong shape.
    """
    import torch

    from ceco3d.data.scenes.scene import Scene

    coord = _load(folder / "coord.npy", "f", 3, None, load)
    count = len(coord)
    if not count:
        raise UserError(f"{folder / 'coord.npy'} has no points: delete the folder and run ceco3d.preprocess again")
    color = _load_color(folder / "color.npy", count, load)
    normal = _load_if_there(folder / "normal.npy", "f", 3, count, load)
    segment = instance = np.full(count, IGNORE, np.int16)
    labels = folder / f"{space.array}.npy"
    if any(folder.glob(f"{SEGMENT}*.npy")):
        segment = _load_ids(labels, count, load)
    if (folder / "instance.npy").exists():
        instance = _load_ids(folder / "instance.npy", count, load)
    intensity = _load_intensity(folder, count, load) if "intensity" in features else None
    chosen = None if rows is None else rows(coord, instance)
    near = near_origin(coord) if coord.dtype.itemsize > 4 else coord
    if color is None or not has_colors(color):
        color = np.full((1, 1), GRAY, np.float32).repeat(3, 1).repeat(count, 0)
    if normal is None or not has_normals(normal):
        normal = np.zeros((count, 3), np.float32)
        if "normal" in features:
            _check_finite(folder / "coord.npy", coord)
            check_steps(folder / "coord.npy", near)
            normal = stored_normals(folder, coord)
    coord = near
    if chosen is not None:
        coord, color, normal = coord[chosen], color[chosen], normal[chosen]
        segment, instance = segment[chosen], instance[chosen]
        intensity = None if intensity is None else intensity[chosen]
    _check_labels(labels, segment, space)
    for name, values in (("coord", coord), ("normal", normal)):
        _check_finite(folder / f"{name}.npy", values)
    check_steps(folder / "coord.npy", coord)
    return Scene(
        name=folder.name,
        coord=_points(coord),
        color=_points(color),
        normal=_points(unit_normals(normal)),
        segment=torch.from_numpy(np.array(segment, np.int64)),
        instance=torch.from_numpy(np.array(instance, np.int64)),
        intensity=None if intensity is None else torch.from_numpy(np.array(intensity, np.float32)),
        height=torch.from_numpy(height_above_ground(coord)) if "height" in features else None,
    )


def read_labels(folder: Path, space: LabelSpace) -> tuple[np.ndarray, np.ndarray | None]:
    """(N,) training indices, -1 = ignore, and (N,) instance ids, None without a file. Errors as in ``read_scene``."""
    path = folder / f"{space.array}.npy"
    segment = _load_ids(path, None, read_npy)
    _check_labels(path, segment, space)
    path = folder / "instance.npy"
    return segment, _load_ids(path, len(segment), read_npy) if path.exists() else None


def _points(values: np.ndarray) -> Tensor:
    """(N, 3) as float32 with contiguous columns, see ``Scene``. A copy, so the file may then change or vanish."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(values.T, np.float32)).t()


def _load_intensity(folder: Path, count: int, load: Load) -> np.ndarray:
    for name in INTENSITY:
        if (folder / f"{name}.npy").exists():
            return _load(folder / f"{name}.npy", "f", None, count, lambda path: load(path).reshape(-1))
    raise UserError(
        f"{folder} has no intensity.npy: leave intensity out of features=, or preprocess scans that have it"
    )


def _load_ids(path: Path, count: int | None, load: Load) -> np.ndarray:
    """Labels or instances (N,), the first column of (N, k)."""
    return _load(path, "i", None, count, lambda path: first_column(load(path)))


def first_column(array: np.ndarray) -> np.ndarray:
    """An array (N,) as it is, the first column of (N, k)."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] else array


def _load_color(path: Path, count: int, load: Load) -> np.ndarray | None:
    if not path.exists():
        return None
    return _load(path, "u1", 3, count, lambda path: _bytes(load(path)))


def _bytes(color: np.ndarray) -> np.ndarray:
    return color_bytes(color) if color.dtype.kind in "fiu" and color.ndim == 2 and color.size else color


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


def _check_finite(path: Path, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise UserError(f"{path} holds NaN or infinity: {AGAIN}")


def _check_labels(path: Path, segment: np.ndarray, space: LabelSpace) -> None:
    """UserError if a label is neither -1 nor a training index: on a GPU it would crash the run without a message."""
    classes = len(space)
    if len(segment) and (segment.min() < IGNORE or segment.max() >= classes):
        remedy = "if 255 marks unlabeled points, replace it by -1" if segment.max() == 255 else AGAIN
        raise UserError(
            f"{path} holds labels {segment.min()}..{segment.max()}, not training indices -1..{classes - 1}: {remedy}"
        )
