"""Where a data set's processed scenes come from: found on disk, made from raw scenes, or generated from nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from ceco3d.data.scenes.processed import list_scenes
from ceco3d.preprocessing.pipeline import Summary, preprocess_scenes, summary_lines
from ceco3d.synthetic import generate_rooms
from ceco3d.utils.distributed import main_first
from ceco3d.utils.errors import UserError


def processed_scenes(dataset: DictConfig, splits: Sequence[str], workers: int | None) -> dict[str, list[Path]]:
    """The processed scene folders of each split of ``dataset`` (conf/dataset), made first where they are missing.

    Without a raw folder the processed root must be complete already. UserError when scenes are missing or broken.
    """
    with main_first():
        return _processed_scenes(dataset, splits, workers)


def _processed_scenes(dataset: DictConfig, splits: Sequence[str], workers: int | None) -> dict[str, list[Path]]:
    root = Path(dataset.root)
    if dataset.raw is not None or not all((root / split).is_dir() for split in splits):
        summary = make_processed(dataset, splits, workers)
        if summary.failed:
            scene, reason = summary.failed[0]
            raise UserError(
                f"{len(summary.failed)} scenes of {dataset.raw} are broken, first {scene}: {reason}; repair them or "
                "take them off the split list (`python -m ceco3d.preprocess` lists all)"
            )
    return {split: list_scenes(root, split) for split in splits}


def make_processed(
    dataset: DictConfig, splits: Sequence[str], workers: int | None, shard: tuple[int, int] = (1, 1)
) -> Summary:
    """Preprocess what ``dataset.root`` lacks, generating the raw scenes first where the data set is a generated one.

    ``shard`` as in ``preprocess_scenes``.
    """
    raw = None if dataset.raw is None else Path(dataset.raw)
    workers = workers or os.cpu_count() or 1
    if "sizes" in dataset and raw is not None and not raw.is_dir():
        if dataset.size not in dataset.sizes:
            raise UserError(f"dataset.size={dataset.size}: choose one of {', '.join(dataset.sizes)}")
        generate_rooms(raw, **dataset.sizes[dataset.size], seed=dataset.seed, workers=workers)
    summary = preprocess_scenes(raw, Path(dataset.root), splits, workers, dataset.align, shard)
    if summary.done or summary.failed:
        print("\n".join(summary_lines(summary)), file=sys.stderr)
    return summary
