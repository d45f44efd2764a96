"""``python -m ceco3d.preprocess``: raw scenes to processed scenes (conf/preprocess.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("preprocess")  # answers --help and wrong keys before the imports below, which take seconds

import logging
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from ceco3d.cli.app import command
from ceco3d.cli.executor import ExecutorSettings
from ceco3d.preprocessing.datasets import DataSet, log_notes, make_processed
from ceco3d.preprocessing.labeled.check_table import print_check
from ceco3d.preprocessing.labeled.dataset import Folder, LabeledScans
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import BUILT, CommonSettings, Text, settings

logger = logging.getLogger(__name__)


@settings
class PreprocessSettings(ExecutorSettings, CommonSettings):
    """conf/preprocess.yaml."""

    dataset: Annotated[DataSet, BUILT]
    splits: Sequence[str] | None = None
    classes: Text | None = None
    check: bool = False
    shard: str = "1/1"


def chosen_dataset(settings: PreprocessSettings) -> DataSet:
    """The data set with the classes of ``classes``; UserError if it has classes of its own."""
    dataset = settings.dataset
    if settings.classes is None:
        return dataset
    if not isinstance(dataset, Folder):
        raise UserError(f"classes={settings.classes}: dataset={dataset.name} has its own classes; leave classes out")
    return replace(dataset, classes=settings.classes)


def parse_shard(text: str) -> tuple[int, int]:
    """``i/n`` as (i, n); UserError unless 1 <= i <= n."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"shard={text}: must be i/n with i from 1 to n, e.g. shard=1/4")
    return int(found[1]), int(found[2])


@command("preprocess", PreprocessSettings)
def main(settings: PreprocessSettings) -> None:
    """Preprocess; exit code 2 when scenes failed."""
    dataset = chosen_dataset(settings)
    shard = parse_shard(settings.shard)
    with settings.connected():
        if settings.check:
            check(dataset, settings.workers or os.cpu_count() or 1)
            return
        summary = make_processed(dataset, settings.splits, settings.workers, shard)
    if not summary.done and not summary.failed:
        log_notes(summary)
    logger.info(
        f"{dataset.root}: {summary.done} scenes made, {summary.skipped} were there, {len(summary.failed)} failed"
    )
    if summary.failed:
        sys.exit(2)


def check(dataset: DataSet, workers: int) -> None:
    """Report what is in the raw scans; exit code 2 if some cannot be read."""
    if not isinstance(dataset, LabeledScans):
        raise UserError(f"check=true: dataset={dataset.name} is checked while it is preprocessed; leave check out")
    found = dataset.check(workers)
    print_check(found, f"{dataset.name}: {dataset.raw}")
    for name, reason in found.failed():
        logger.warning(f"{name}: {reason}")
    if found.failed():
        sys.exit(2)


if __name__ == "__main__":
    main()
