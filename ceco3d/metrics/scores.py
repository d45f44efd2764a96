"""Mean IoU under the three conventions behind published ScanNet200 numbers.

``present``      mean over classes with ground truth (the fair one on validation, where 11 classes have none)
``union``        mean over classes with ground truth or predictions (ScanNet's own IoU, LGround's final test)
``zero_filled``  mean over all classes, absent = 0 (Pointcept, LGround's online metric): at most 0.945 on validation
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ceco3d.data.labels import GROUPS, LabelSpace
from ceco3d.metrics.confusion import Confusion

CONVENTIONS = ("present", "union", "zero_filled")


def segmentation_scores(confusion: Confusion, space: LabelSpace) -> dict[str, Any]:
    """Return the content of ``metrics.json``.

    It has miou, head, common and tail (each under three conventions), per-class IoU and the accuracy over all points. A
    mean over no classes (a group without ground truth, ScanNet20's missing groups) and the IoU of an empty union are
    None.
    """
    everything = tuple(range(len(space)))
    scores: dict[str, Any] = {"miou": _means(confusion, everything)}
    scores |= {group: _means(confusion, space.groups.get(group, ())) for group in GROUPS}
    scores["per_class"] = {name: _number(iou) for name, iou in zip(space.names, confusion.iou, strict=True)}
    scores["accuracy"] = confusion.accuracy
    return scores


def _means(confusion: Confusion, classes: tuple[int, ...]) -> dict[str, float | None]:
    index = torch.tensor(classes, dtype=torch.int64)
    iou = confusion.iou[index]
    present = confusion.truth[index] > 0
    union = confusion.union[index] > 0
    means = iou[present].mean(), iou[union].mean(), iou.nan_to_num(0).mean()
    return {convention: _number(mean) for convention, mean in zip(CONVENTIONS, means, strict=True)}


def _number(value: Tensor) -> float | None:
    number = value.item()
    return None if math.isnan(number) else number
