"""The lists of the scenes of each split."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from ceco3d.utils.errors import UserError
from ceco3d.utils.text_files import read_text
from ceco3d.utils.untrusted import one_line

SPLITS = ("train", "val", "test")


def split_list(raw: Path, split: str) -> Path:
    """Where the list of a split is."""
    return raw / f"scannetv2_{split}.txt"


def read_splits(raw: Path) -> dict[str, list[str]]:
    """Scene names by split, in file order, from the lists ``<raw>/scannetv2_{train,val,test}.txt`` that exist.

    A name that a list repeats counts once. UserError if there is no list, a list is empty or cannot be read, or a name
    could point outside its folder.
    """
    files = {split: path for split in SPLITS if (path := split_list(raw, split)).is_file()}
    if not files:
        raise UserError(
            f"no split list in {raw}: copy scannetv2_train.txt, scannetv2_val.txt and scannetv2_test.txt there "
            "from Tasks/Benchmark of https://github.com/ScanNet/ScanNet"
        )
    splits = {}
    for split, path in files.items():
        try:
            names = list(dict.fromkeys(read_text(path, errors="replace").split()))
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror})") from None
        if not names:
            raise UserError(f"{path} lists no scene; copy it again or remove it")
        for name in names:
            if not re.fullmatch(r"\w[\w.-]{,99}", name, re.ASCII):
                shown = one_line(name, 80)
                raise UserError(f"{path}: '{shown}' is not a scene name such as scene0000_00; the list has one a line")
        splits[split] = names
    return splits


def listed_twice(splits: dict[str, list[str]]) -> list[str]:
    """Scenes that several splits list: training on them would leak into the scores."""
    counts = Counter(name for names in splits.values() for name in names)
    return sorted(name for name, count in counts.items() if count > 1)
