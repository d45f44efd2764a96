"""What the words and numbers in a run's report mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ceco3d.data.labels import LabelSpace
from ceco3d.metrics.tables import CONVENTION_NOTES
from ceco3d.utils.plain_text import html_text

LOSS_TERMS = {
    "loss": "what training minimizes: the sum of the terms below, each times its weight",
    "ce": "cross-entropy of the predicted class of each labeled voxel; 0 is perfect",
    "lovasz": "Lovász-softmax, a smooth stand-in for 1 - IoU; 0 is perfect",
    "ceco": "center collapse: how far the mean features of the classes are from a simplex of equal angles (CeCo)",
    "alignment": "1 - cosine between class centers and rows of the classifier; 0: they point the same way",
}
COLUMNS = {
    "lr": "learning rate of the optimizer's first parameter group",
    "grad_norm": "length of the gradient before clipping; spikes go with an unstable loss",
    "voxels_per_second": "voxels trained on per second, all processes together",
    "skipped": "steps left out so far because their loss or gradient was not finite",
}
COLLAPSE = {
    "NC1": "scatter of the features within a class relative to that between classes; 0: each class is one point",
    "Equiangularity": "spread of the angles between the class centers; 0: all angles are equal",
    "Maximal separation": "how far those angles are from the largest possible equal angle; 0: they reach it",
}


def score_terms(space: LabelSpace | None, facts: Mapping[str, str]) -> str:
    """Return the explanation of the scores: IoU, the means, the groups, and how the scores were measured."""
    terms = {
        "IoU": "intersection over union of a class: points that are this class in both prediction and ground truth, "
        "divided by the points that are it in either. 100 % is perfect",
        "mIoU": "mean IoU over classes; every class counts the same, however rare",
        **{name: f"{note}. {_when(name)}" for name, note in CONVENTION_NOTES.items()},
        "accuracy": "share of all labeled points with the right class; frequent classes dominate it",
    }
    if space is not None and space.groups:
        sizes = ", ".join(f"{len(members)} {group}" for group, members in space.groups.items())
        how = "the classes by how often the benchmark's training set has them"
        terms["head, common, tail"] = f"{space.grouping.rstrip('.') or how}: {sizes}"
    return _list(terms | dict(facts))


def column_terms(names: Iterable[str], config: Mapping[str, Any]) -> str:
    """Return the explanation of the columns ``names`` of a log."""
    loss = config.get("loss")
    settings = loss if isinstance(loss, Mapping) else {}
    weights = {"ceco": "center_weight", "lovasz": "lovasz_weight", "alignment": "alignment"}
    found = {}
    for name in names:
        text = (LOSS_TERMS | COLUMNS).get(name, "a term that this run's loss returns by this name")
        weight = settings.get(weights.get(name, ""))
        found[name] = text + (f"; its weight in the loss is {weight}" if isinstance(weight, int | float) else "")
    return _list(found)


def collapse_terms() -> str:
    """Return the explanation of the neural-collapse measures."""
    return _list(COLLAPSE)


def _when(convention: str) -> str:
    return {
        "present": "The fair one where the split lacks some classes",
        "union": "A class that is predicted but never there counts as 0 (ScanNet's own script)",
        "zero_filled": "Never above the share of classes that the split has (Pointcept)",
    }[convention]


def _list(terms: Mapping[str, str]) -> str:
    lines = "".join(f"<dt>{html_text(name)}</dt><dd>{html_text(text)}</dd>" for name, text in terms.items())
    return f"<details><summary>What these numbers mean</summary><dl>{lines}</dl></details>"
