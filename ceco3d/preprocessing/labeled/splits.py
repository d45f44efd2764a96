"""Which scans are for training, validation and testing."""

from __future__ import annotations

import fnmatch
import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ceco3d.data.pointclouds.files import READERS
from ceco3d.preprocessing.labeled.layout import SPLITS
from ceco3d.utils.errors import UserError
from ceco3d.utils.text_files import read_text

FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
LISTS = (".txt", ".lst")
SAME_PLACE = r"(scene\d{4})_\d{2}"  # ScanNet's names: several scans of one room


@dataclass(frozen=True)
class SplitRule:
    """How scans are split; ``conf/dataset/folder.yaml`` explains every field.

    patterns  by split: a list file, a folder, or glob patterns of paths within the raw folder; None: see ``choose``
    shares    of the scans that go to val and test if nothing else says so
    seed      of that choice
    group     regular expression for the part of a name that scans of one place share; they stay in one split
    """

    patterns: Mapping[str, str | Sequence[str] | None] | None = None
    shares: Mapping[str, float] = field(default_factory=lambda: {"val": 0.2, "test": 0.0})
    seed: int = 0
    group: str | None = None

    def choose(self, raw: Path, scans: Sequence[str]) -> dict[str, str]:
        """The split of each scan, a path within ``raw`` without its ending; scans in no split are left out.

        Without patterns: by folders called train, val and test, else by lists train.txt, val.txt and test.txt, else by
        shares. UserError if a scan is in two splits, a list names scans that are not there, or a split stays empty.
        """
        if self.patterns:
            unknown = [name for name in self.patterns if name not in SPLITS]
            if unknown:
                raise UserError(f"dataset.splits.{unknown[0]}: no such split; the splits are {', '.join(SPLITS)}")
            given = {split: value for split, value in self.patterns.items() if value}
            return _unique({split: _matching(raw, scans, split, value) for split, value in given.items()})
        by_folder = {split: [scan for scan in scans if _in_folder(scan, split)] for split in SPLITS}
        if by_folder["train"]:
            return _unique(by_folder)
        lists = {split: path for split in SPLITS if (path := raw / f"{split}.txt").is_file() and split not in scans}
        if "train" in lists:
            return _unique({split: _listed(path, scans) for split, path in lists.items()})
        return self._by_shares(scans)

    def list_files(self, raw: Path) -> set[Path]:
        """Absolute paths of the list files of the splits, which are no scans."""
        given = [value for value in (self.patterns or {}).values() if value]
        patterns = [str(one) for value in given for one in ([value] if isinstance(value, str) else value)]
        found = {path for pattern in patterns if (path := _list_file(raw, pattern)) is not None}
        return {path.absolute() for path in found | {raw / f"{split}.txt" for split in SPLITS}}

    def _by_shares(self, scans: Sequence[str]) -> dict[str, str]:
        groups: dict[str, list[str]] = defaultdict(list)
        for scan in scans:
            groups[self._place(scan)].append(scan)
        # By hash: a new scan leaves the splits of nearly all others as they are.
        order = sorted(groups, key=lambda name: hashlib.sha256(f"{self.seed}/{name}".encode()).hexdigest())
        chosen: dict[str, str] = {}
        for split in ("val", "test"):
            wanted = math.ceil(self.shares.get(split, 0) * len(scans) - 1e-9)
            while wanted > 0 and order:
                members = groups[order.pop(0)]
                chosen |= dict.fromkeys(members, split)
                wanted -= len(members)
        if not order:
            raise UserError(
                f"{len(scans)} scans in {len(groups)} groups are too few for a split by shares: add scans, or name the "
                "splits with dataset.splits.train=... and dataset.splits.val=..."
            )
        return {scan: chosen.get(scan, "train") for scan in scans}

    def _place(self, scan: str) -> str:
        try:
            found = re.search(self.group or SAME_PLACE, scan)
        except re.error as error:
            raise UserError(f"dataset.group={self.group}: is no regular expression ({error})") from None
        return scan if found is None else found[1] if found.groups() else found[0]


def _in_folder(scan: str, split: str) -> bool:
    return any(part.lower() in FOLDERS[split] for part in scan.split("/")[:-1])


def _matching(raw: Path, scans: Sequence[str], split: str, value: str | Sequence[str]) -> list[str]:
    """The scans of one split: ``value`` is a list file, a folder, or one or more glob patterns."""
    patterns = [value] if isinstance(value, str) else [str(pattern) for pattern in value]
    found: dict[str, None] = {}
    for pattern in patterns:
        path = _list_file(raw, pattern)
        names = _listed(path, scans) if path is not None else [scan for scan in scans if _fits(scan, pattern)]
        if not names:
            raise UserError(f"dataset.splits.{split}={pattern}: no scan in {raw} is in it; scans: {_some(scans)}")
        found |= dict.fromkeys(names)
    return list(found)


def _list_file(raw: Path, pattern: str) -> Path | None:
    paths = (raw / pattern, Path(pattern))
    return next((path for path in paths if path.suffix.lower() in LISTS and path.is_file()), None)


def _fits(scan: str, pattern: str) -> bool:
    """Whether a scan is in the folder ``pattern``, or its path or name fits the pattern, with or without ending."""
    stem, dot, ending = pattern.rpartition(".")
    patterns = [pattern, stem] if dot and (f".{ending}".lower() in READERS or ending == "*") else [pattern]
    names = (scan,) if "/" in pattern else (scan, scan.rpartition("/")[2])
    return scan.startswith(pattern.rstrip("/") + "/") or any(
        fnmatch.fnmatchcase(name, one) for name in names for one in patterns
    )


def _listed(path: Path, scans: Sequence[str]) -> list[str]:
    """The scans that a list names, one a line: by name, with or without folders and ending."""
    try:
        lines = [line.strip() for line in read_text(path, errors="replace").splitlines()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    by_name: dict[str, list[str]] = defaultdict(list)
    for scan in scans:
        by_name[scan.rpartition("/")[2]].append(scan)
    found: dict[str, None] = {}
    known, missing = set(scans), []
    for line in (line for line in lines if line and not line.startswith("#")):
        whole = [line, line.rpartition(".")[0]]
        exact = [[name] for name in whole if name in known]
        names = next(filter(None, [*exact, *(by_name.get(Path(name).name, []) for name in whole)]), [])
        if not names:
            missing.append(line)
        elif len(names) > 1:
            raise UserError(f"{path}: {line} can be {names[0]} and {names[1]}; write it with its folder")
        found |= dict.fromkeys(names)
    if missing:
        raise UserError(
            f"{path} names {len(missing)} scans that are not there: {_some(missing)}; scans: {_some(scans)}"
        )
    if not found:
        raise UserError(f"{path} names no scan")
    return list(found)


def _unique(splits: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The split of each scan; UserError if one is in two of them."""
    chosen: dict[str, str] = {}
    for split, scans in splits.items():
        twice = [scan for scan in scans if scan in chosen]
        if twice:
            where = f"{chosen[twice[0]]} and {split}"
            raise UserError(
                f"{len(twice)} scans are in two splits, {where}: {_some(twice)}; scores would be of seen scans"
            )
        chosen |= dict.fromkeys(scans, split)
    return chosen


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
