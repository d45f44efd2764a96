"""What keeps the rare classes from being found: voxels, time, balance or data.

The IoU of a group of classes falls short of 100 by four parts, which add up to the whole::

    voxels   100 - oracle(val)                  what the voxel size costs: each voxel with its most frequent true label
    balance  adjusted(val) - val                gained by deciding for rare classes more often, without training
    time     oracle(train) - adjusted(train)    not learned on the training scenes themselves
    data     what is left                       learned on the training scenes, but not found in others

``adjusted`` subtracts tau * log(frequency in training) from the logits of the trained network (Menon et al., ICLR
2021), with the tau that scores best on the validation scenes: its figures are optimistic. On the training scenes a
class counts as many points as on the validation scenes, so that long-tailed and balanced scenes can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.data.labels import GROUPS, LabelSpace
from ceco3d.metrics.confusion import Confusion
from ceco3d.metrics.tables import markdown_table, percent

PARTS = ("voxels", "balance", "time", "data")
MEASURES = ("IoU", "adjusted", "train", "train adjusted", "oracle")
ADVICE = {
    "voxels": "the voxels are too coarse for these objects: a smaller voxel_size",
    "balance": "the classes are learned, but decided against: a balanced loss such as loss=logit_adjustment",
    "time": "the training scenes themselves are not learned: more epochs, or a larger network",
    "data": "what is learned does not hold in other scenes: more scenes with these classes, or more augmentation",
}


@dataclass(frozen=True)
class Shortfall:
    """The IoU of a group of classes, 0..1, and what its parts are computed from."""

    classes: int
    val: float
    adjusted: float
    train: float
    train_adjusted: float
    oracle: float
    oracle_train: float

    @property
    def parts(self) -> dict[str, float]:
        """By name in PARTS; with ``val`` they add up to 1. Negative where there is a gain instead of a loss."""
        parts = {"voxels": 1 - self.oracle, "balance": self.adjusted - self.val}
        parts["time"] = self.oracle_train - self.train_adjusted
        return parts | {"data": 1 - self.val - sum(parts.values())}

    @property
    def measures(self) -> tuple[float, ...]:
        """In the order of MEASURES."""
        return self.val, self.adjusted, self.train, self.train_adjusted, self.oracle


@dataclass(frozen=True)
class Diagnosis:
    """What was measured, of the classes with points in both splits.

    groups  shortfall of "all" and of each group that has such classes
    sweep   IoU on the validation scenes, by tau and group
    best    the tau with the highest mIoU
    """

    groups: Mapping[str, Shortfall]
    sweep: Mapping[float, Mapping[str, float]]
    best: float

    @property
    def verdict(self) -> str:
        """One sentence: what the rarest group lacks most, and the figures behind it."""
        name = next((group for group in reversed(GROUPS) if group in self.groups), "all")
        found = self.groups[name]
        worst = max(PARTS, key=lambda part: found.parts[part])
        figures = ", ".join(f"{part} {percent(found.parts[part])}" for part in PARTS)
        return (
            f"{'The network' if name == 'all' else f'The {name}'} lacks {worst} most: {ADVICE[worst]} (its IoU of "
            f"{percent(found.val)} is short of 100 by {figures})."
        )


def diagnose(
    val: Mapping[float, Confusion],
    train: Mapping[float, Confusion],
    oracles: tuple[Confusion, Confusion],
    space: LabelSpace,
) -> Diagnosis:
    """The diagnosis from confusions over points: by tau (with 0) on ``val`` and ``train``; ``oracles`` of the two.

    ValueError if no class has points in both splits.
    """
    truth = val[0.0].truth
    both = (truth > 0) & (train[0.0].truth > 0)
    if not both.any():
        raise ValueError("no class has points in both splits")
    index = {"all": range(len(space)), **{group: space.groups.get(group, ()) for group in GROUPS}}
    members = {name: torch.tensor([k for k in classes if both[k]]) for name, classes in index.items()}
    members = {name: classes for name, classes in members.items() if len(classes)}
    sweep = {tau: {name: _mean(found.iou, own) for name, own in members.items()} for tau, found in val.items()}
    best = max(sorted(sweep, key=abs), key=lambda tau: sweep[tau]["all"])
    ious = [val[0.0].iou, val[best].iou, *(iou_at(train[tau], truth) for tau in (0.0, best))]
    ious += [oracles[0].iou, iou_at(oracles[1], truth)]
    groups = {name: Shortfall(len(own), *(_mean(iou, own) for iou in ious)) for name, own in members.items()}
    return Diagnosis(groups, sweep, best)


def iou_at(found: Confusion, truth: Tensor) -> Tensor:
    """(K,) the IoU if the classes had ``truth`` (K,) points each and were confused as often as they are."""
    counts = found.counts * (truth.double() / found.truth.clamp(min=1))[:, None]
    hits = counts.diagonal()
    return hits / (counts.sum(1) + counts[:, :-1].sum(0) - hits)


def _mean(iou: Tensor, classes: Tensor) -> float:
    return iou[classes].mean().item()


def measures_rows(found: Diagnosis) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Header and rows of the table of what was measured, in percent."""
    rows = [(name, str(one.classes), *map(percent, one.measures)) for name, one in found.groups.items()]
    return ("", "classes", *MEASURES), rows


def parts_rows(found: Diagnosis) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Header and rows of the table of the parts, in percent."""
    rows = [(name, percent(one.val), *map(percent, one.parts.values())) for name, one in found.groups.items()]
    return ("", "IoU", *PARTS), rows


def diagnosis_markdown(found: Diagnosis, title: str) -> str:
    """``diagnosis.md``: the verdict, what was measured, the parts, and the sweep."""
    names = list(found.groups)
    sweep = [(f"{tau:g}", *(percent(values[name]) for name in names)) for tau, values in sorted(found.sweep.items())]
    lines = ["# Diagnosis", "", f"{title}. {found.verdict}", "", *markdown_table(*measures_rows(found)), ""]
    lines += [
        "IoU in percent, means over the classes with points in both splits; one pass, no test-time augmentation.",
        "`train`: on the training scenes, each class with as many points as on the validation scenes. `adjusted`: the",
        f"logits minus {found.best:g} * log(frequency in training); that tau scores best on these very validation",
        "scenes, so this is optimistic. `oracle`: each voxel with its most frequent true label.",
        "",
        *markdown_table(*parts_rows(found)),
        "",
        "A row adds up to 100: what the voxel size costs, what adjusted logits gain, what is not learned on the",
        "training scenes, and the rest: learned there, not found in other scenes. A negative part is a gain.",
        "",
        *markdown_table(("tau", *names), sweep),
    ]
    return "\n".join(lines) + "\n"
