"""Data sets of labeled scans: any layout, any classes."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ceco3d.data.labels import LabelSpace, restored_space, stored_space
from ceco3d.preprocessing.labeled.check import Check
from ceco3d.preprocessing.labeled.check_table import print_check
from ceco3d.preprocessing.labeled.classes import (
    AUTO,
    CLASSES,
    find_class_file,
    found_classes,
    read_class_file,
    with_groups,
    write_found,
)
from ceco3d.preprocessing.labeled.findings import Findings
from ceco3d.preprocessing.labeled.folder import FolderLayout
from ceco3d.preprocessing.labeled.layout import SPLITS, Layout, RawScan
from ceco3d.preprocessing.labeled.pipeline import Made, SceneMaker, examine_scans, make_scenes
from ceco3d.preprocessing.labeled.points import Frame
from ceco3d.preprocessing.labeled.splits import SplitRule
from ceco3d.preprocessing.summary import Summary
from ceco3d.utils.atomic import check_writable, write_json
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_json

logger = logging.getLogger(__name__)

SPACE = "classes.json"  # in the processed root: the finished label space
Found = Mapping[RawScan, Findings]


@dataclass(frozen=True)
class LabeledScans(ABC):
    """A data set of labeled scans in some layout. ``unit`` and ``up`` are those of its files.

    ``voxel_size`` (meters) and ``features`` are what suits the scans: defaults of the keys of the same names. ``train``
    names the splits to train on.
    """

    name: str
    raw: Path | None
    root: Path
    voxel_size: float = 0.05
    unit: str = "m"
    up: str = "z"
    features: Sequence[str] | str = "auto"
    train: Sequence[str] = field(default=("train",), kw_only=True)

    @abstractmethod
    def layout(self) -> Layout:
        """Which scans there are, and how to read them. UserError if the raw folder is not there."""

    @abstractmethod
    def label_space(self, found: Found) -> LabelSpace:
        """The classes, without groups if they are to be made from the frequencies in train."""

    def space(self) -> LabelSpace:
        """See ``preprocessing.datasets.DataSet``."""
        path = self.root / SPACE
        try:
            return restored_space(read_json(path))
        except FileNotFoundError:
            raise UserError(f"{path} is missing: make the processed scenes with python -m ceco3d.preprocess") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({one_line(error)}): delete {self.root} and preprocess again") from None

    def check(self, workers: int) -> Check:
        """Read all scans and report what is there. UserError for what makes training impossible."""
        layout = self.layout()
        self._keep_raw()
        found = examine_scans(layout, self.root, workers)
        if all(findings.error for findings in found.values()):
            scan, findings = next(iter(found.items()))
            raise UserError(f"none of the {len(found)} scans can be read; the first, {scan.name}: {findings.error}")
        space = self.label_space(found)
        train = [findings for scan, findings in found.items() if scan.split == "train" and not findings.error]
        left_out = layout.left_out() if isinstance(layout, FolderLayout) else ()
        check = Check(found, with_groups(space, train), self.unit, self.voxel_size, left_out)
        check.refuse(self.classes_source)
        return check

    def _keep_raw(self) -> None:
        """UserError if the processed scenes would go among the raw scans, and replace some."""
        root = self.root.resolve()
        if self.raw is not None and (root == self.raw.resolve() or self.raw.resolve() in root.parents):
            raise UserError(
                f"dataset.root={self.root} is in dataset.raw={self.raw}: choose another folder for the processed scenes"
            )

    @property
    def classes_source(self) -> str:
        """Where the classes come from, for messages."""
        return self.name

    def preprocess(self, splits: Sequence[str] | None, workers: int, shard: tuple[int, int] = (1, 1)) -> Summary:
        """See ``preprocessing.datasets.DataSet``."""
        check_writable(self.root)
        check = self.check(workers)
        unknown = [split for split in splits or () if not any(scan.split == split for scan in check.scans)]
        if unknown:
            raise UserError(
                f"{self.raw}: no scan is in the split {unknown[0]}; name some with dataset.splits.{unknown[0]}="
            )
        usable = {s: f for s, f in check.scans.items() if not f.error and (f.labeled or s.split == "test")}
        wanted = {scan: found.labeled for scan, found in usable.items() if scan.split in (splits or SPLITS)}
        maker = SceneMaker(self.layout(), check.space, Frame(self.unit, self.up), self.root.absolute())
        made = make_scenes(maker, wanted, list(usable), workers, shard)
        if made.done or not (self.root / SPACE).is_file() or stored_space(self.space()) != stored_space(check.space):
            write_json(self.root / SPACE, stored_space(check.space))
        return self._summary(check, made)

    def _summary(self, check: Check, made: Made) -> Summary:
        if made.done:
            print_check(check, f"{self.name}: {self.raw}")
        bare = [name for split in ("train", "val") for name in check.unlabeled(split)]
        notes = [f"{len(bare)} scans of train and val have no labels and are left out"] if bare else []
        notes += [
            f"{what}: {found}; {remark}" for what, found, remark in check.rows() if remark and what != "classes seen"
        ]
        failed = (*check.failed(), *made.failed)
        return Summary(made.done, made.skipped, tuple(sorted(failed)), tuple(notes) if made.done else ())


@dataclass(frozen=True)
class Folder(LabeledScans):
    """A folder of one's own labeled scans; ``conf/dataset/folder.yaml`` explains every field."""

    classes: str | None = None
    labels: str | None = None
    instances: str | None = None
    columns: Sequence[str] | None = None
    splits: Mapping[str, str | Sequence[str] | None] | None = None
    shares: Mapping[str, float] = field(default_factory=lambda: {"val": 0.2, "test": 0.0})
    seed: int = 0
    group: str | None = None

    def layout(self) -> FolderLayout:
        """See ``LabeledScans``."""
        if self.raw is None:
            raise UserError("dataset.raw is not set: pass the folder of your scans, dataset.raw=/my/scans")
        rule = SplitRule(self.splits, self.shares, self.seed, self.group)
        return FolderLayout(self.raw.absolute(), self.labels, self.instances, self.columns, rule)

    def label_space(self, found: Found) -> LabelSpace:
        """The classes of the class file; without one, those that occur, which are written to one for editing."""
        file = self._class_file()
        if file is not None:
            return read_class_file(file, self.name)
        readable = {scan: f for scan, f in found.items() if not f.error}
        las = all(scan.files[0].suffix.lower() in (".las", ".laz") and len(scan.files) == 1 for scan in readable)
        try:
            space = found_classes(self.name, list(readable.values()), las and self.labels in (None, "classification"))
        except UserError as error:
            raise UserError(
                f"{self.raw}: {error}; name the column of the labels, or the ending of files beside the scans, with "
                "dataset.labels=, or a class file with classes="
            ) from None
        path = self.root / f"{CLASSES}.csv"
        write_found(path, space, {"all": list(readable.values())})
        logger.info(f"{path}: {len(space)} classes found; edit their names, colors and groups, and run again")
        return space

    @property
    def classes_source(self) -> str:
        """See ``LabeledScans``."""
        return str(self._class_file() or self.root / f"{CLASSES}.csv")

    def _class_file(self) -> Path | None:
        if self.classes is not None and self.classes != AUTO:
            return Path(self.classes).expanduser()
        written = self.root / f"{CLASSES}.csv"
        if self.classes == AUTO:
            return written if written.is_file() else None
        return find_class_file(self.raw, self.root)
