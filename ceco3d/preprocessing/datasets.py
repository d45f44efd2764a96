"""Data sets: where their raw scenes come from and where their processed scenes are."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ceco3d.data.labels import LabelSpace, label_space
from ceco3d.data.scenes.processed import list_scenes
from ceco3d.preprocessing.endless import EndlessRooms
from ceco3d.preprocessing.pipeline import preprocess_scenes
from ceco3d.preprocessing.raw_root import RAW_FOLDER
from ceco3d.preprocessing.summary import Summary, summary_lines
from ceco3d.synthetic import Imbalance, LongTail, generate_rooms
from ceco3d.utils.distributed import main_first
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)


@runtime_checkable
class DataSet(Protocol):
    """What training, evaluation and pictures need of a data set.

    name   for titles and error messages
    raw    folder of the raw scenes; None where only processed ones exist
    root   folder of the processed scenes, ``<root>/<split>/<scene>``

    It can have ``train``, the splits to train on, see ``training_scenes``.
    """

    name: str
    raw: Path | None
    root: Path

    def space(self) -> LabelSpace:
        """Its classes. UserError if they are not known before its scenes are processed."""
        ...

    def preprocess(self, splits: Sequence[str] | None, workers: int, shard: tuple[int, int] = (1, 1)) -> Summary:
        """Make the processed scenes that are missing; ``shard`` (i, n) makes the i-th of n parts."""
        ...


@dataclass(frozen=True)
class ScanNet:
    """ScanNet's raw layout. ``align`` applies the axis alignment; ``voxel_size`` (meters) is what suits the scans.

    ``train`` names the splits to train on.
    """

    name: str
    label_space: str
    raw: Path | None
    root: Path
    align: bool = True
    voxel_size: float = 0.02
    train: Sequence[str] = field(default=("train",), kw_only=True)

    def space(self) -> LabelSpace:
        """See DataSet."""
        return label_space(self.label_space)

    def preprocess(self, splits: Sequence[str] | None, workers: int, shard: tuple[int, int] = (1, 1)) -> Summary:
        """See DataSet. UserError when the raw folder is missing or incomplete, or its label table does not fit."""
        return preprocess_scenes(self.raw, self.root, splits, workers, self.align, shard, self.label_space)


@dataclass(frozen=True)
class Rooms200(ScanNet):
    """Synthetic rooms in ScanNet's raw layout, generated when ``raw`` does not exist.

    size     key of ``sizes``: scans of each split and vertices of a scan
    seed     another seed is another data set
    style    plain | coarse | real, see ``ceco3d.synthetic.style``
    endless  whether each epoch of a training after the first has other rooms
    """

    size: str = "small"
    seed: int = 0
    style: str = "plain"
    sizes: Mapping[str, Mapping[str, Any]] | None = None
    endless: bool = False

    def rooms(self) -> EndlessRooms | None:
        """What makes the rooms of later epochs; None if they are those on disk. UserError for an unknown size."""
        if not self.endless:
            return None
        return EndlessRooms(int(self._scans()["vertices"]), self.seed, self.style, self.align)

    def _scans(self) -> Mapping[str, Any]:
        sizes = self.sizes or {}
        if self.size not in sizes:
            raise UserError(f"dataset.size={self.size}: choose one of {', '.join(sizes)}")
        return sizes[self.size]

    def preprocess(self, splits: Sequence[str] | None, workers: int, shard: tuple[int, int] = (1, 1)) -> Summary:
        """See DataSet. UserError for an unknown size."""
        if self.raw is not None and not self.raw.is_dir():
            self._generate(self.raw, dict(self._scans()), workers)
        return super().preprocess(splits, workers, shard)

    def _generate(self, raw: Path, size: dict[str, Any], workers: int) -> None:
        generate_rooms(raw, **size, seed=self.seed, workers=workers, style=self.style)


@dataclass(frozen=True)
class LongTailRooms(Rooms200):
    """Synthetic rooms with a long-tailed training split and a balanced validation split.

    sizes  of each size also ``objects``, ``each``, ``classes`` and ``area``, see ``ceco3d.synthetic.LongTail``
    """

    imbalance: Imbalance = 100

    def rooms(self) -> None:
        """None: their objects are counted. UserError if ``endless`` asks for more."""
        if self.endless:
            raise UserError("dataset.endless: rooms200_lt has a fixed number of objects; leave it out")

    def _generate(self, raw: Path, size: dict[str, Any], workers: int) -> None:
        contents = {key: size.pop(key) for key in ("objects", "each", "classes", "area") if key in size}
        long_tail = LongTail(self.imbalance, **contents)
        generate_rooms(raw, **size, seed=self.seed, workers=workers, style=self.style, long_tail=long_tail)


def make_processed(
    dataset: DataSet, splits: Sequence[str] | None, workers: int | None, shard: tuple[int, int] = (1, 1)
) -> Summary:
    """``dataset.preprocess`` with one worker a core unless told otherwise; logs what was done, and notes on it."""
    summary = dataset.preprocess(splits, workers or os.cpu_count() or 1, shard)
    if summary.done or summary.failed:
        level = logging.WARNING if summary.failed else logging.INFO
        logger.log(level, "\n".join(summary_lines(summary)))
        log_notes(summary)
    return summary


def log_notes(summary: Summary) -> None:
    """Warn about labels that are missing."""
    for note in summary.notes:
        logger.warning(note)


def processed_scenes(dataset: DataSet, splits: Sequence[str], workers: int | None) -> dict[str, list[Path]]:
    """The processed scene folders of each split, made first where they are missing.

    Without a raw folder the processed root must be complete already. UserError when scenes are missing or broken.
    """
    with main_first():
        if dataset.raw is not None or not all((dataset.root / split).is_dir() for split in splits):
            _check(dataset, make_processed(dataset, splits, workers))
        return {split: list_scenes(dataset.root, split) for split in splits}


def training_splits(dataset: DataSet) -> tuple[str, ...]:
    """The splits to train on. UserError if ``dataset.train`` makes no sense."""
    chosen = tuple(map(str, getattr(dataset, "train", ("train",))))
    if not chosen or len({*chosen}) < len(chosen) or {*chosen} - RAW_FOLDER.keys():
        raise UserError(f"dataset.train=[{', '.join(chosen)}]: name some of train, val and test, each once")
    return chosen


def training_scenes(dataset: DataSet, workers: int | None) -> tuple[list[Path], list[Path]]:
    """The processed scenes to train on, those of the splits ``dataset.train``, and those of val.

    Warns if val is trained on. UserError as ``processed_scenes``, and if ``dataset.train`` makes no sense.
    """
    chosen = training_splits(dataset)
    scenes = processed_scenes(dataset, tuple(dict.fromkeys((*chosen, "val"))), workers)
    if "val" in chosen:
        logger.warning(
            f"dataset.train=[{', '.join(chosen)}]: validation scores are of scenes that are trained on, and best.pt is "
            "chosen by them; evaluate last.pt"
        )
    return [scene for split in chosen for scene in scenes[split]], scenes["val"]


def _check(dataset: DataSet, summary: Summary) -> None:
    if summary.failed:
        scene, reason = summary.failed[0]
        raise UserError(
            f"{len(summary.failed)} scenes of {dataset.raw} are broken, first {scene}: {reason}; repair them or "
            "remove them from the split list (`python -m ceco3d.preprocess` lists all)"
        )
