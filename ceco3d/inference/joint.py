"""Scores of a joint training: one evaluation for each data set, of its own outputs of the classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import fmean
from typing import Any

from ceco3d.data.labels import LabelBlock
from ceco3d.inference.evaluation import Evaluation, ReportFailed, evaluate_scenes
from ceco3d.inference.predictor import Predictor


@dataclass(frozen=True)
class JointEvaluation(Evaluation):
    """The evaluation of the first part, with those of all ``parts`` by name.

    ``scores["parts"]`` holds the scores of each part.
    """

    parts: Mapping[str, Evaluation] = field(default_factory=dict)

    @property
    def quality(self) -> float | None:
        """The mean mIoU of the parts; None if none has labels."""
        found = [part.quality for part in self.parts.values() if part.quality is not None]
        return fmean(found) if found else None

    def values(self) -> dict[str, float]:
        """Those of the first part, those of the others with the name of the part behind, and ``miou_mean``."""
        values = super().values()
        for name in list(self.parts)[1:]:
            values |= {f"{key}_{name}": value for key, value in self.parts[name].values().items()}
        return values if self.quality is None else values | {"miou_mean": self.quality}


def evaluate_parts(
    predictor: Predictor,
    blocks: Sequence[LabelBlock],
    folders: Sequence[Sequence[Path]],
    report_failed: ReportFailed | None = None,
) -> JointEvaluation:
    """Score each part on its scenes; ``predictor`` has the outputs of all. See ``evaluate_scenes``."""
    parts = {
        block.name: evaluate_scenes(predictor.with_outputs(block.outputs), own, block.space, report_failed)
        for block, own in zip(blocks, folders, strict=True)
    }
    first = next(iter(parts.values()))
    scores: dict[str, Any] = first.scores | {"parts": {name: part.scores for name, part in parts.items()}}
    own_fields = {item.name: getattr(first, item.name) for item in fields(first)}
    return JointEvaluation(**own_fields | {"scores": scores, "parts": parts})
