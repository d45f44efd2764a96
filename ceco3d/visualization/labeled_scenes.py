"""Build segmented scenes from run folders and from labeled files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ceco3d.data.labels import IGNORE, LabelSpace, restored_space
from ceco3d.data.pointclouds.axes import UP_ROTATIONS
from ceco3d.data.pointclouds.column_names import COLOR_NAMES, NORMAL_NAMES, find_columns
from ceco3d.data.pointclouds.earlier_result import ORIGINAL_COLORS
from ceco3d.data.pointclouds.ply_open import open_ply
from ceco3d.data.scenes.colors import color_bytes
from ceco3d.data.scenes.missing import warn_missing
from ceco3d.data.scenes.normals import directions
from ceco3d.data.scenes.processed import FEATURES, list_scenes, read_scene
from ceco3d.inference.labeled_scan import SUMMARY
from ceco3d.inference.predictor import View, load_predictor
from ceco3d.runs.naming import run_labels
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_json
from ceco3d.visualization.segmented import Panel, SegmentedScene, is_probability

SPLITS = ("val", "test", "train")

logger = logging.getLogger(__name__)


def find_scene(name: str, root: Path) -> Path:
    """Return the folder of the processed scene ``name``, a path or the name of a scene in the dataset at ``root``.

    Raises UserError if there is no such scene.
    """
    if (Path(name) / "coord.npy").is_file():
        return Path(name)
    splits = [split for split in SPLITS if (root / split).is_dir()]
    for split in splits:
        if name and (root / split / name / "coord.npy").is_file():
            return root / split / name
    if not splits:
        raise UserError(
            f"scene={name}: no processed scenes in {root}; make them with `python -m ceco3d.preprocess`, "
            "choose dataset=..., or pass the folder of a processed scene"
        )
    first = ", ".join(path.name for path in list_scenes(root, splits[0])[:3])
    raise UserError(f"scene={name}: no such scene in {root}/{{{','.join(splits)}}}; there are {first}, ...")


def find_checkpoint(run: Path) -> Path:
    """Return ``checkpoints/best.pt`` of a run folder, else ``last.pt``; UserError if it has neither.

    A file, such as the weights that come with ceco3d, stands for itself.
    """
    if run.is_file():
        return run
    for name in ("best.pt", "last.pt"):
        if (run / "checkpoints" / name).is_file():
            return run / "checkpoints" / name
    raise UserError(f"{run}: no checkpoints/best.pt in it; train it with `python -m ceco3d.train run_dir={run}`")


def segment_scene(
    folder: Path,
    space: LabelSpace | None,
    runs: Sequence[Path],
    labels: Sequence[str] | None,
    device: torch.device,
    views: Sequence[View],
    dtype: torch.dtype,
    voxel_size: float | None = None,
    head: str | None = None,
    fragments: int | None = 1,
) -> SegmentedScene:
    """Return the processed scene in ``folder`` with its ground truth and the predictions of ``runs``.

    space       None: that of the first run
    labels      titles of the runs, by default their names
    voxel_size  meters, of the predictions; None: that of each checkpoint
    head        the part of a joint training to predict; None: the one with the classes of ``space``
    views, dtype, fragments  see ``Predictor``
    Raises UserError if a run predicts another label space than ``space``.
    """
    titles = run_labels(runs, labels)
    checkpoints = [find_checkpoint(run) for run in runs]
    rest = dtype, voxel_size, head, space, fragments
    loaded = [load_predictor(path, device, views, *rest) for path in checkpoints]
    space = loaded[0][1] if space is None else space
    scene = read_scene(folder, space, features=[*FEATURES, *(name for made, _ in loaded for name in made.features)])
    predictions = []
    for title, checkpoint, (predictor, predicted) in zip(titles, checkpoints, loaded, strict=True):
        if not predicted.same_classes(space):
            raise UserError(f"{checkpoint}: predicts {predicted.name}, not {space.name}; choose its dataset=...")
        warn_missing([folder], predictor.features)
        label, confidence = predictor.predict(scene)
        if not is_probability(confidence.numpy()):
            raise UserError(f"{checkpoint}: predicts NaN for {scene.name}; choose another checkpoint or precision=fp32")
        predictions.append(Panel(title, label.numpy(), confidence.numpy()))
    truth = scene.segment.numpy()
    return SegmentedScene(
        name=scene.name,
        coord=scene.coord.numpy(),
        color=scene.color.byte().numpy(),
        normal=scene.normal.numpy() if scene.normal.any() else None,
        space=space,
        truth=Panel("Ground truth", truth) if (truth >= 0).any() else None,
        predictions=predictions,
    )


def labels_space(path: Path) -> LabelSpace | None:
    """Return the label space of a file that `python -m ceco3d.predict` wrote, from its summary; None without one."""
    try:
        return restored_space(read_json(path.with_name(path.stem + SUMMARY))["label_space"])
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None


def read_labeled(path: Path, space: LabelSpace, up: str) -> SegmentedScene:
    """Read a PLY with the vertex property ``label`` (raw id of ``space``) and optionally ``confidence``.

    `python -m ceco3d.predict` writes such files: if ``red`` ... hold class colors, ``original_red`` ... hold those of
    the scan. ``up`` is a key of UP_ROTATIONS. Raises UserError if the file is damaged or has no labels of ``space``.
    """
    vertex = _read_vertices(path)
    labels = _labels(path, vertex, space)
    turn = UP_ROTATIONS[up].astype(np.float32)
    coord = _columns(vertex, "xyz")
    finite = np.isfinite(coord).all(1)
    if not finite.any():
        raise UserError(f"{path}: no points with finite coordinates")
    normal = _normals(vertex)
    return SegmentedScene(
        name=path.stem,
        coord=coord @ turn.T,
        color=_scan_colors(vertex, labels, space),
        normal=None if normal is None else normal @ turn.T,
        space=space,
        predictions=[Panel("Prediction", labels, _confidence(path, vertex))],
    ).select(np.flatnonzero(finite))


def _read_vertices(path: Path) -> np.ndarray:
    if not path.is_file():
        raise UserError(f"input={path}: no such file; pass a .ply that `python -m ceco3d.predict` wrote")
    try:
        vertex = open_ply(path).vertices()
        _columns(vertex, "xyz")
    except (ValueError, OSError) as error:
        beside = path.with_suffix(".ply")
        hint = f"; pass {beside}" if beside != path and beside.is_file() else ""
        raise UserError(f"{path}: not a PLY file with vertices ({one_line(error)}){hint}") from None
    if not len(vertex):
        raise UserError(f"{path}: no points in it")
    return vertex


def _labels(path: Path, vertex: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return (N,) training indices of the raw ids in ``label``."""
    if "label" not in (vertex.dtype.names or ()):
        raise UserError(f"{path}: no vertex property label; label the scan with `python -m ceco3d.predict` first")
    with np.errstate(invalid="ignore"):
        ids = vertex["label"].astype(np.int64)
    broken = ids[ids != vertex["label"]]  # fractions and NaN
    if len(broken):
        raise UserError(f"{path}: label is not a whole number everywhere; it must hold raw ids of {space.name}")
    labels = space.index_of(ids)
    unknown = np.setdiff1d(ids[labels == IGNORE], [space.unlabeled, IGNORE, *space.ignored_ids])
    if len(unknown):
        raise UserError(f"{path}: label {unknown[0]} is not a class of {space.name}; choose the dataset= of the run")
    return labels


def _confidence(path: Path, vertex: np.ndarray) -> np.ndarray | None:
    """Return (N,) float32 probabilities, or None if the file has none; scanners mean other things by confidence."""
    if "confidence" not in (vertex.dtype.names or ()):
        return None
    confidence: np.ndarray = vertex["confidence"].astype(np.float32)
    if is_probability(confidence):
        return confidence
    logger.warning("%s: confidence leaves 0..1, so these are no probabilities of classes; not shown", path)
    return None


def _normals(vertex: np.ndarray) -> np.ndarray | None:
    """Return (N, 3) float32 of unit length, or zero where the file has none of a direction."""
    names = find_columns(vertex.dtype.names or (), NORMAL_NAMES)
    if names is None:
        return None
    unit = directions(_columns(vertex, names))
    return unit if unit.any() else None


def _scan_colors(vertex: np.ndarray, labels: np.ndarray, space: LabelSpace) -> np.ndarray | None:
    """Return (N, 3) uint8 colors of the scan; None if the file has only class colors."""
    fields = vertex.dtype.names or ()
    original = find_columns(fields, ORIGINAL_COLORS)
    if original is not None:
        return color_bytes(_columns(vertex, original))
    names = find_columns(fields, COLOR_NAMES)
    if names is None:
        return None
    colors = color_bytes(_columns(vertex, names))
    classes = (colors == space.colors[labels]).all(1) | (labels == IGNORE)
    return None if classes.all() else colors


def _columns(vertex: np.ndarray, names: Sequence[str]) -> np.ndarray:
    return np.stack([vertex[name] for name in names], 1)
