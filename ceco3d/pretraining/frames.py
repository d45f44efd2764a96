"""Read pairs of depth frames, as CSC and Pointcept extract them from ScanNet's sensor streams.

``frames`` is a list file or a folder with lists: ``splits/overlap30.txt`` or ``overlap30.txt`` (CSC), or
``<scene>/pcd/overlap.txt`` per scene (Pointcept's scannet_pair). A line is ``FRAME FRAME [OVERLAP]``, with paths
relative to the folder. A frame is an ``.npz`` with ``pcd`` (N, 6 or more): x y z in meters, r g b in 0..255; or a
``.pth`` with ``coord`` and ``color``, (N, 3) each. All frames of a scene share the scene's coordinate frame, z up.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import torch

from ceco3d.data.labels import IGNORE
from ceco3d.data.scenes.scene import Scene
from ceco3d.utils.errors import UserError
from ceco3d.utils.pickles import Array, read_arrays
from ceco3d.utils.untrusted import RefusedError, one_line, read_npz

LISTS = ("splits/overlap30.txt", "overlap30.txt")
FORMATS = (".npz", ".pth")
MAX_NAME = 255  # bytes of a file name on common systems


def list_frame_pairs(frames: Path, min_overlap: float) -> list[tuple[Path, Path]]:
    """The pairs of frames whose overlap (a share) is at least ``min_overlap``, in the order of the lists.

    Pairs without a third column count as overlapping. UserError if there is no pair or a line has another form.
    """
    pairs = [pair for root, path in _lists(frames) for pair in _read_list(root, path, min_overlap)]
    if not pairs:
        raise UserError(f"{frames}: no pair of frames overlaps by {min_overlap:.0%}; lower method.min_overlap")
    return pairs


def _lists(frames: Path) -> list[tuple[Path, Path]]:
    """(folder that its paths are relative to, list file) of every list."""
    if frames.is_file():
        above = {"splits": 1, "pcd": 2}.get(frames.parent.name, 0)
        return [(frames.parents[above], frames)]
    if not frames.is_dir():
        raise UserError(f"{frames}: no such folder or list of frame pairs; set method.frames=null to use the scans")
    for name in LISTS:
        if (frames / name).is_file():
            return [(frames, frames / name)]
    found = sorted(frames.glob("*/pcd/overlap.txt"))
    if not found:
        raise UserError(f"{frames}: holds neither {' nor '.join(LISTS)} nor SCENE/pcd/overlap.txt")
    return [(frames, path) for path in found]


def _read_list(root: Path, path: Path, min_overlap: float) -> list[tuple[Path, Path]]:
    pairs = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            first, second, overlap = (*words, "1") if len(words) == 2 else words
            pair, enough = (_resolve(root, first), _resolve(root, second)), float(overlap) >= min_overlap
        except ValueError:
            what = f"not a line FRAME FRAME [OVERLAP]: {one_line(line, 80)} (frames lie below {one_line(root)})"
            raise UserError(f"{path}:{number}: {what}") from None
        if enough:
            pairs.append(pair)
    return pairs


def _resolve(root: Path, name: str) -> Path:
    """The path of a frame below ``root``, also with Pointcept's leading slash; ValueError if it points outside."""
    path = PurePosixPath(name)
    if not name.isprintable() or ".." in path.parts or any(len(part.encode()) > MAX_NAME for part in path.parts):
        raise ValueError(name)
    return Path(name) if path.is_relative_to(root.absolute()) else root / name.lstrip("/")


def read_frame(path: Path) -> Scene:
    """The points of one frame, unlabeled and with zero normals; UserError if the file is not a frame."""
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: frames are {' or '.join(FORMATS)} files")
    if not path.is_file():
        raise UserError(f"{path}: no such frame; a list names it")
    try:
        coord, color = (_read_npz if path.suffix == ".npz" else _read_pth)(path)
    except RefusedError as error:
        raise UserError(f"{path}: refused ({error}); extract it again") from error
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(f"{path}: not a readable frame ({one_line(error)}); extract it again") from error
    for array in (coord, color):
        if array.shape != (len(coord), 3) or array.dtype.kind not in "fiu" or not len(array):
            raise UserError(f"{path}: coordinates or colors are {array.dtype} {array.shape}, not N numbers by 3")
    if not np.isfinite(coord).all():
        raise UserError(f"{path}: coordinates are not all finite; remove the frame from the list")
    unlabeled = torch.full((len(coord),), IGNORE)
    points, colors = (torch.from_numpy(np.ascontiguousarray(array, np.float32)) for array in (coord, color))
    name = f"{path.parent.parent.name if path.parent.name == 'pcd' else path.parent.name}/{path.stem}"
    return Scene(name, points, colors, torch.zeros_like(points), unlabeled, unlabeled)


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    points = read_npz(path, ["pcd"])["pcd"]
    return points[:, :3], points[:, 3:6]


def _read_pth(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = read_arrays(path)
    coord, color = content["coord"], content["color"]
    if not all(isinstance(value, Array | torch.Tensor) for value in (coord, color)):
        raise TypeError("coord and color are not arrays")
    return np.asarray(coord), np.asarray(color)
