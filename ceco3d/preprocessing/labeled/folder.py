"""A folder of labeled scans in any format: which files are scans, and where their labels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.columns import find_column, named_column, scan_columns, scan_intensity
from ceco3d.data.pointclouds.files import READERS, read_scan
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.data.pointclouds.text_words import read_words
from ceco3d.preprocessing.labeled.label_files import (
    find_array,
    find_label_file,
    is_label_file,
    read_label_file,
    whole_numbers,
)
from ceco3d.preprocessing.labeled.layout import LabeledPoints, RawScan
from ceco3d.preprocessing.labeled.splits import FOLDERS, SplitRule
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

# Usual names of columns, plain (see ``plain_name``); the first that a scan has counts.
LABELS = (
    *("label", "labels", "class", "classification", "class id", "class label", "semantic", "semantic label"),
    *("segment", "category", "gt", "ground truth", "target"),
)
INSTANCES = ("instance", "instance id", "instance label", "object id", "ins")

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class FolderLayout:
    """The scans in ``raw`` and its folders, see ``Layout``.

    labels     name of the column with the labels (of the array, in a folder of arrays), or ending (".labels.npy") of a
               file beside each scan; None: a file beside the scan, else the first column with a usual name, such as
               ``label`` or ``classification``
    instances  name of the column or array with the instances; None: the first with a usual name
    columns    of tables without names, see ``read_scan``
    rule       how scans are split
    """

    raw: Path
    labels: str | None = None
    instances: str | None = None
    columns: Sequence[str] | None = None
    rule: SplitRule = field(default_factory=SplitRule, repr=False)  # another one changes no scene

    def scans(self) -> list[RawScan]:
        """See ``Layout``."""
        paths = self._paths()
        if not paths:
            raise UserError(f"{self.raw}: no scan in it ({', '.join(READERS)}, or folders with coord.npy)")
        by_key: dict[str, Path] = {}
        for path in paths:
            key = self._key(path)
            if key in by_key:
                raise UserError(f"{by_key[key]} and {path} have the same name: rename one of them")
            by_key[key] = path
        chosen = self.rule.choose(self.raw, list(by_key))
        named: dict[tuple[str, str], str] = {}
        found = []
        for key, split in chosen.items():
            name = scene_name(key, split)
            if (split, name) in named:
                raise UserError(f"{named[split, name]} and {key} would be the same scene {name}: rename one of them")
            named[split, name] = key
            found.append(RawScan(name, split, self._files(by_key[key])))
        return sorted(found, key=lambda scan: (scan.split, scan.name))

    def left_out(self) -> list[str]:
        """Names of the scans that are in no split."""
        keys = [self._key(path) for path in self._paths()]
        chosen = self.rule.choose(self.raw, keys)
        return [key for key in keys if key not in chosen]

    def read(self, scan: RawScan) -> LabeledPoints:
        """See ``Layout``."""
        path = scan.files[0]
        points = read_scan(path, self.columns)
        columns = scan_columns(points)
        labels, instance = self._labels(path, points, {**columns, **read_words(path, self.columns)})
        array = self._instance_array(path)
        if array is not None:
            instance = read_label_file(array, len(points))[0]
        elif self.instances is not None:
            instance = self._column(path, columns, self.instances, "dataset.instances")
        elif instance is None:
            name = find_column(columns, INSTANCES)
            instance = None if name is None else self._column(path, columns, name, "dataset.instances")
        return LabeledPoints(points, labels, instance, scan_intensity(points))

    def _labels(self, path: Path, scan: Scan, columns: Columns) -> tuple[np.ndarray | None, np.ndarray | None]:
        file = self._label_file(path)
        if file is not None:
            return read_label_file(file, len(scan))
        if self._ending is not None:
            return None, None
        name = self.labels or find_column(columns, LABELS)
        return (None if name is None else self._column(path, columns, name, "dataset.labels")), None

    def _column(self, path: Path, columns: Columns, name: str, key: str) -> np.ndarray:
        if path.is_dir():
            raise UserError(f"{path}: has no {name}.npy ({key}={name})")
        try:
            return whole_numbers(named_column(columns, name, key))
        except (UserError, ValueError) as error:
            raise UserError(f"{path}: {one_line(error, 300)}") from None

    def _paths(self) -> list[Path]:
        """The scans, sorted: files that READERS read, and folders with coord.npy."""
        if not self.raw.is_dir():
            raise UserError(f"dataset.raw={self.raw}: no such folder; name the folder of your scans")
        everything = sorted(path for path in self.raw.rglob("*") if not _hidden(path.relative_to(self.raw)))
        folders = {path.parent for path in everything if path.name == "coord.npy"}
        files = {p for p in everything if p.suffix.lower() in READERS and p.is_file() and p.parent not in folders}
        others = self.rule.list_files(self.raw) | {(self.raw / f"classes{end}").absolute() for end in (".csv", ".txt")}
        files = {path for path in files if path.absolute() not in others}
        return sorted(folders | {path for path in files if not is_label_file(path, files | folders, self._ending)})

    def _key(self, path: Path) -> str:
        """The path of a scan within ``raw`` without its ending."""
        within = path.relative_to(self.raw)
        return (within if path.is_dir() else within.with_suffix("")).as_posix()

    @property
    def _ending(self) -> str | None:
        return self.labels if self.labels is not None and self.labels.startswith(".") else None

    def _label_file(self, path: Path) -> Path | None:
        """The label file of a scan; None if it has none, or its labels are in a column."""
        if path.is_dir():
            return find_array(path, self.labels)
        return find_label_file(path, self._ending) if self.labels is None or self._ending is not None else None

    def _instance_array(self, path: Path) -> Path | None:
        """The array of instances of a scan that is a folder of arrays."""
        return find_array(path, self.instances or "instance") if path.is_dir() else None

    def _files(self, path: Path) -> tuple[Path, ...]:
        points = [path / f"{name}.npy" for name in ("coord", "color", "normal")] if path.is_dir() else []
        labels = [file for file in (self._label_file(path), self._instance_array(path)) if file is not None]
        return (path, *(file for file in points if file.is_file()), *labels)


def scene_name(key: str, split: str) -> str:
    """The name of a scene: the path of its scan without the folder that names its split, "-" for "/"."""
    parts = [part for part in key.split("/")[:-1] if part.lower() not in FOLDERS[split]]
    return "-".join([*parts, key.rpartition("/")[2]]).replace(" ", "_").lstrip(".")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
