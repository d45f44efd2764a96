"""Several data sets as one, for joint training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from ceco3d.data.labels import LabelSpace
from ceco3d.preprocessing.datasets import DataSet
from ceco3d.preprocessing.summary import Summary
from ceco3d.utils.errors import UserError


@dataclass(frozen=True)
class Joint:
    """Data sets to train on together, each with its own classes; ``conf/dataset/joint.yaml``.

    parts       by name
    shares      of the parts in the scenes of a batch, in their order, relative to each other; None: all the same
    voxel_size  meters, the same for all, as ``features`` are: defaults of the keys of the same names
    """

    name: str
    parts: Mapping[str, DataSet]
    shares: Sequence[float] | None = None
    voxel_size: float = 0.02
    features: Sequence[str] | str = "auto"

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise ValueError(f"{len(self.parts)} parts; name two data sets or more, dataset.parts=[rooms200,folder]")
        if any(isinstance(part, Joint) for part in self.parts.values()):
            raise ValueError("a part cannot be a joint data set itself")
        shares = self.shares
        if shares is not None and len(shares) != len(self.parts):
            raise ValueError(f"{len(shares)} shares for {len(self.parts)} parts ({', '.join(self.parts)})")
        if shares is not None and not all(isfinite(share) and share > 0 for share in shares):
            raise ValueError(f"shares={list(shares)}: must be above 0")

    @property
    def draw_shares(self) -> tuple[float, ...]:
        """The share of each part; their sum is 1."""
        shares = [1.0] * len(self.parts) if self.shares is None else self.shares
        return tuple(share / sum(shares) for share in shares)

    @property
    def raw(self) -> Path | None:
        """See DataSet: that of the first part."""
        return next(iter(self.parts.values())).raw

    @property
    def root(self) -> Path:
        """See DataSet: that of the first part."""
        return next(iter(self.parts.values())).root

    def space(self) -> LabelSpace:
        """UserError: each part has its own."""
        raise self._refusal()

    def preprocess(self, splits: Sequence[str] | None, workers: int, shard: tuple[int, int] = (1, 1)) -> Summary:
        """UserError: training processes the parts one by one."""
        raise self._refusal()

    def _refusal(self) -> UserError:
        return UserError(
            f"dataset={self.name}: only ceco3d.train takes several data sets; choose one of its parts, such as "
            f"dataset={next(iter(self.parts))}"
        )


def parts_of(dataset: DataSet) -> Mapping[str, DataSet]:
    """The parts of a joint data set by name; any other data set under the name ""."""
    return dataset.parts if isinstance(dataset, Joint) else {"": dataset}
