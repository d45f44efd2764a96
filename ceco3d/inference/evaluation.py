"""Scores and neural-collapse measures of a network on labeled scenes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ceco3d.data.labels import GROUPS, IGNORE, LabelSpace
from ceco3d.data.scenes.blocks import BlockRows, scene_blocks
from ceco3d.data.scenes.missing import warn_missing
from ceco3d.data.scenes.processed import read_scene
from ceco3d.inference.predictor import Predictor
from ceco3d.inference.segments import Segments
from ceco3d.inference.votes import SegmentVotes
from ceco3d.metrics import Calibration, ClassMoments, Confusion, neural_collapse, segmentation_scores
from ceco3d.metrics.confusion import mean_iou
from ceco3d.utils.atomic import json_bytes, write_files
from ceco3d.utils.distributed import gather, rank, world
from ceco3d.utils.errors import UserError
from ceco3d.utils.progress import track

# Is told (scene name, reason) of every scene that cannot be read.
ReportFailed = Callable[[list[tuple[str, str]]], None]


@dataclass(frozen=True)
class Evaluation:
    """The measures of a network on labeled scenes.

    scores    see ``metrics.segmentation_scores``; and "calibration_error" and "calibration", see
              ``metrics.Calibration``
    collapse  see ``metrics.neural_collapse``
    moments   of the voxels' features, from which ``collapse`` is computed
    counts    (K, K + 1) int64, see ``metrics.Confusion``
    scenes    by scene name: mIoU over the classes present in the scene, None without ground truth
    sums      (scenes, 3, K) int64, of each scene in the same order: see ``metrics.Confusion.sums``
    protocol  how it was measured: voxel size, views of test-time augmentation, fragments, precision
    """

    scores: dict[str, Any]
    collapse: dict[str, Any]
    moments: ClassMoments
    counts: Tensor
    scenes: dict[str, float | None]
    sums: Tensor
    protocol: dict[str, Any]

    @property
    def quality(self) -> float | None:
        """What the best checkpoint has the most of: the mIoU over the classes present; None without labels."""
        found: float | None = self.scores["miou"]["present"]
        return found

    def values(self) -> dict[str, float]:
        """``miou``, ``head``, ``common``, ``tail`` (classes present) and ``accuracy``, where there are labels."""
        values = {key: self.scores[key]["present"] for key in ("miou", *GROUPS)} | {"accuracy": self.scores["accuracy"]}
        return {key: value for key, value in values.items() if value is not None}

    def write(self, folder: Path, split: str, **about: str) -> None:
        """Write ``neural_collapse.json``, ``confusion.npz``, ``scenes.json``, ``evaluation.json``, ``metrics.json``.

        ``evaluation.json`` holds ``split``, the ``protocol`` and what else there is to say ``about`` the evaluation.
        ``confusion.npz`` also has the sums of each scene (``scenes``), of the classes that occur in them (``classes``).
        ``metrics.json`` is the last to be written. If one of them does not fit on the disk, the earlier ones stay.
        """
        counts = io.BytesIO()
        classes = self.sums.sum((0, 1)).nonzero().squeeze(1)
        np.savez(counts, counts=self.counts.numpy(), classes=classes.numpy(), scenes=self.sums[:, :, classes].numpy())
        contents = {
            "evaluation.json": json_bytes({"split": split, **self.protocol, **about}),
            "neural_collapse.json": json_bytes(self.collapse),
            "confusion.npz": counts.getvalue(),
            "scenes.json": json_bytes(self.scenes),
            "metrics.json": json_bytes(self.scores),
        }
        write_files({folder / name: content for name, content in contents.items()})


def evaluate_scenes(
    predictor: Predictor,
    folders: Sequence[Path],
    space: LabelSpace,
    report_failed: ReportFailed | None = None,
    segments: Segments | None = None,
) -> Evaluation:
    """Score a network over all vertices, and measure neural collapse over all voxels, of the scenes in ``folders``.

    Distributed processes (``utils.distributed``) share the scenes; each returns the measures of all.

    report_failed  is told (scene name, reason) of scenes that cannot be read and are skipped; None: UserError instead
    segments       of each scene, whose points vote for one label; None: each point has its own
    """
    confusion, moments, calibration = Confusion(len(space)), empty_moments(predictor, space), Calibration()
    sums, before = {}, confusion.counts.clone()
    labeled = label_scenes(predictor, folders, space, confusion, moments, report_failed, calibration, segments)
    for name, _ in labeled:
        sums[name] = Confusion(len(space), confusion.counts - before).sums
        before = confusion.counts.clone()
    confusion.share()
    moments.share()
    calibration.share()
    sums = {name: found for part in gather(sums) for name, found in part.items()}
    vote = None if segments is None else segments.vote
    return summarize(predictor, space, confusion, moments, calibration, sums, vote)


def summarize(
    predictor: Predictor,
    space: LabelSpace,
    confusion: Confusion,
    moments: ClassMoments,
    calibration: Calibration,
    sums: Mapping[str, Tensor],
    vote: str | None = None,
) -> Evaluation:
    """The measures from the counts and moments of all scenes, and the ``sums`` (3, K) of each by name."""
    weight, bias = predictor.classifier
    scores = segmentation_scores(confusion, space) | {
        "calibration_error": calibration.error,
        "calibration": calibration.bins,
    }
    collapse = neural_collapse(moments, weight, bias)
    protocol = {
        "voxel_size": predictor.voxel_size,
        "precision": str(predictor.dtype).removeprefix("torch."),
        "views": [asdict(view) for view in predictor.views],
        "fragments": predictor.fragments,
    }
    if len(predictor.members) > 1:
        protocol["voxel_sizes"] = [member.voxel_size for member in predictor.members]
    if vote is not None:
        protocol["vote"] = vote
    names = sorted(sums)
    scenes = {name: mean_iou(sums[name]) for name in names}
    stacked = torch.stack([sums[name] for name in names]) if names else torch.zeros(0, 3, len(space), dtype=torch.int64)
    return Evaluation(scores, collapse, moments, confusion.counts, scenes, stacked, protocol)


def label_scenes(
    predictor: Predictor,
    folders: Sequence[Path],
    space: LabelSpace,
    confusion: Confusion,
    moments: ClassMoments | None = None,
    report_failed: ReportFailed | None = None,
    calibration: Calibration | None = None,
    segments: Segments | None = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (scene name, (N,) predicted training indices) for this process's share of the scenes.

    confusion      counts the predictions that have ground truth
    moments        adds the features of their voxels
    report_failed  see ``evaluate_scenes``
    calibration    adds the confidence of the predictions
    segments       see ``evaluate_scenes``
    """
    warn_missing(folders, predictor.features)
    mine = range(rank(), len(folders), world())
    for number in track(mine, len(mine), "labeling scenes"):
        folder = folders[number]
        if moments is not None:
            moments.seed(number)
        try:
            yield folder.name, label_scene(predictor, folder, space, confusion, moments, calibration, segments)
        except UserError as error:
            if report_failed is None:
                raise
            report_failed([(folder.name, str(error))])


def label_scene(
    predictor: Predictor,
    folder: Path,
    space: LabelSpace,
    confusion: Confusion,
    moments: ClassMoments | None = None,
    calibration: Calibration | None = None,
    segments: Segments | None = None,
) -> np.ndarray:
    """(N,) predicted training indices of a processed scene, added to ``confusion``, ``moments`` and ``calibration``.

    Block by block if the scene is large, see ``data.scenes.blocks``. Then only its ``segments`` take all its points.
    """
    truth, labels, confidence = label_points(predictor, folder, space, moments, segments)
    confusion.update(labels, truth)
    if calibration is not None:
        calibration.update(confidence, labels, truth)
    return labels.numpy()


def label_points(
    predictor: Predictor,
    folder: Path,
    space: LabelSpace,
    moments: ClassMoments | None = None,
    segments: Segments | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Training indices (N,) int64 of the ground truth, of the predictions, and their probability (N,) float32."""
    votes = None if segments is None else SegmentVotes(segments(folder, space))
    blocks = scene_blocks(folder, None)
    if blocks is None:
        scene = read_scene(folder, space, features=predictor.features)
        count = None if votes is None else partial(votes.add, torch.arange(len(scene)))
        found = predictor.predict(scene, moments, count=count)
        return scene.segment, *(found if votes is None else votes.result())
    total = int(blocks.counts.sum())
    truth, labels, confidence = torch.full((total,), IGNORE), torch.full((total,), IGNORE), torch.zeros(total)
    for number in range(len(blocks)):
        block = BlockRows(blocks, number)
        scene = read_scene(folder, space, block, features=predictor.features)
        core = torch.from_numpy(block.core)
        points = torch.from_numpy(block.rows[block.core])
        own = core.nonzero().squeeze(1)
        count = None if votes is None else partial(votes.add, points)
        # Points in overlaps add to the moments of each block.
        labels[points], confidence[points] = predictor.predict(scene, moments, own, count)
        truth[points] = scene.segment[core]
    return truth, *((labels, confidence) if votes is None else votes.result())


def empty_moments(predictor: Predictor, space: LabelSpace) -> ClassMoments:
    """Moments of the predictor's features, of no points yet."""
    return ClassMoments(len(space), predictor.classifier[0].shape[1], space.groups)
