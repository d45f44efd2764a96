"""The folder of the raw data set: is it there, and which scenes does it list?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ceco3d.preprocessing.label_table import LABEL_TABLE
from ceco3d.preprocessing.split_lists import read_splits, split_list
from ceco3d.utils.errors import UserError

RAW_FOLDER = {"train": "scans", "val": "scans", "test": "scans_test"}


def check_raw(raw: Path | None) -> Path:
    """``raw``; UserError with the steps to get ScanNet if it is not a folder."""
    if raw is None or not raw.is_dir():
        state = "dataset.raw is not set" if raw is None else f"there is no folder {raw}"
        raise UserError(
            f"{state}: request ScanNet at http://www.scan-net.org/, put scans/, scans_test/, {LABEL_TABLE} "
            "and the scannetv2_*.txt lists into one folder and pass dataset.raw=/path/to/scannet (data/README.md has "
            "the steps); dataset=rooms200 needs no download"
        )
    return raw


def choose_scenes(raw: Path, splits: Sequence[str] | None) -> dict[str, list[str]]:
    """Scene names of the chosen splits; UserError if one has no list."""
    listed = read_splits(raw)
    for split in splits or ():
        if split not in listed:
            raise UserError(
                f"{split_list(raw, split)} is missing (there are lists of {', '.join(listed)}): copy it "
                "from Tasks/Benchmark of https://github.com/ScanNet/ScanNet"
            )
    return {split: listed[split] for split in splits or listed}
