"""What public data sets have in common: classes that are known in advance, and a download."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from ceco3d.data.labels import LabelSpace
from ceco3d.preprocessing.labeled.dataset import SPACE, Found, LabeledScans
from ceco3d.utils.errors import UserError


@dataclass(frozen=True)
class PublicScans(LabeledScans):
    """A public data set. Without ``raw``, processed scenes of other programs count as they are."""

    @abstractmethod
    def known_classes(self) -> LabelSpace:
        """All classes of the data set."""

    def label_space(self, found: Found) -> LabelSpace:
        """See ``LabeledScans``."""
        return self.known_classes()

    def space(self) -> LabelSpace:
        """See ``preprocessing.datasets.DataSet``."""
        if self.raw is None and not (self.root / SPACE).is_file():
            return self.known_classes()
        return super().space()


def check_download(raw: Path | None, how: str) -> Path:
    """``raw``; UserError that says ``how`` to get the data set if it is not a folder."""
    if raw is None or not raw.is_dir():
        state = "dataset.raw is not set" if raw is None else f"there is no folder {raw}"
        raise UserError(f"{state}: {how}; pass the folder as dataset.raw= (docs/datasets.md)")
    return raw


def check_length(path: Path, labels: int, points: int) -> None:
    """UserError unless the file ``path`` has a label for each point."""
    if labels != points:
        raise UserError(f"{path} has {labels:,} labels for {points:,} points: is it the file of this scan?")
