"""How scans are read and labeled: the keys that ``python -m ceco3d.predict`` and ``Model.predict`` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator

from ceco3d.cli.scoring import FragmentPasses
from ceco3d.inference.labeled_scan import LabeledScan
from ceco3d.inference.scan_labeling import LabelingOptions
from ceco3d.inference.segments import Vote
from ceco3d.utils.settings import Count, Index, as_texts, settings


@settings
class LabelingKeys:
    """Part of conf/predict.yaml."""

    unit: Literal["m", "cm", "mm"] = "m"
    up: Literal["z", "y", "-y"] = "z"
    columns: Annotated[Sequence[str] | None, BeforeValidator(as_texts)] = None
    max_voxels: Count = 500_000
    overlap: Index | None = 64
    fragments: FragmentPasses = 4
    vote: Vote | None = None

    def options(
        self, overwrite: bool = False, page: Callable[[LabeledScan, Path], None] | None = None
    ) -> LabelingOptions:
        """As ``inference.scan_labeling`` takes them."""
        return LabelingOptions(
            self.unit,
            self.up,
            self.columns,
            self.max_voxels,
            self.overlap,
            overwrite=overwrite,
            page=page,
            vote=self.vote,
        )
