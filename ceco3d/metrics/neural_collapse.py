"""Measure how far features and classifiers are from a simplex equiangular tight frame (neural collapse).

Measures of Papyan, Han and Donoho (PNAS 2020), where mu_k is the center (mean feature) of class k, mu_G the mean of the
mu_k, w_k a row of the classifier and K the number of classes that occur::

    nc1             tr(Sigma_W Sigma_B^+) / K, within- and between-class covariance, all classes alike -> 0
    equinorm        std_k |v_k| / mean_k |v_k|                                                         -> 0
    equiangularity  std over k != l of cos(v_k, v_l)                                                   -> 0
    separation      mean over k != l of |cos(v_k, v_l) + 1 / (K - 1)|                                  -> 0
    self_duality    | W / |W| - M / |M| |, Frobenius norms, M of rows mu_k - mu_G                      -> 0
    nearest_center  share of the points whose nearest mu_k is the classifier's choice                  -> 1

v are class centers or classifier rows, either "centred" (their mean over the classes subtracted) or "raw". The CeCo
paper plots equiangularity and separation without saying which. Classes without points are omitted. A group of classes
uses the K of all classes. Standard deviations are those of the population.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ceco3d.utils.distributed import gather, reduce

SAMPLE = 32  # points kept per class


class ClassMoments:
    """Moments of the features for the measures, gathered in one pass: O(d^2) for each class that occurs, float64.

    groups  classes by name, e.g. ``LabelSpace.groups``; each gets its own measures

    Also keeps a random sample of at most SAMPLE points per class. The draws for a scene depend only on its number
    (``seed``), so the sample depends neither on the order of scenes nor on how processes divide them.
    """

    def __init__(self, num_classes: int, dim: int, groups: Mapping[str, Sequence[int]] | None = None) -> None:
        self.groups = {"all": tuple(range(num_classes))} | {k: tuple(v) for k, v in (groups or {}).items() if v}
        self.counts = torch.zeros(num_classes, dtype=torch.int64)
        self.sums = torch.zeros(num_classes, dim, dtype=torch.float64)
        self.squares: dict[int, Tensor] = {}  # (d, d) by class
        self.features, self.labels = torch.zeros(0, dim), torch.zeros(0, dtype=torch.int64)
        self._keys = torch.zeros(0, dtype=torch.float64)
        self._generator = torch.Generator().manual_seed(0)

    def seed(self, number: int) -> None:
        """Announce that the next points belong to scene ``number``."""
        self._generator.manual_seed(number)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add points: (N, d) features, (N,) training index, negative = ignored."""
        valid = labels >= 0
        features, labels = features[valid].detach().float().cpu(), labels[valid].cpu()
        wide = features.double()
        self.counts += torch.bincount(labels, minlength=len(self.counts))
        self.sums.scatter_add_(0, labels[:, None].expand_as(wide), wide)
        for label in torch.bincount(labels).nonzero().flatten().tolist():
            member = wide[labels == label]
            self._squares_of(label).addmm_(member.T, member)
        self._sample(features, labels)

    def _squares_of(self, label: int) -> Tensor:
        if label not in self.squares:
            self.squares[label] = self.sums.new_zeros(self.sums.shape[1], self.sums.shape[1])
        return self.squares[label]

    def _sample(self, features: Tensor, labels: Tensor) -> None:
        """Draw a random key for every point; the smallest keys of each class stay."""
        self._keep(features, labels, torch.rand(len(labels), generator=self._generator, dtype=torch.float64))

    def add(self, other: ClassMoments) -> None:
        """Add the moments and the sample of ``other``, of the same classes and groups."""
        self.counts += other.counts
        self.sums += other.sums
        for label, square in other.squares.items():
            self._squares_of(label).add_(square)
        self._keep(other.features, other.labels, other._keys)

    def share(self) -> None:
        """Combine the moments and samples of all processes, on each of them."""
        self.counts, self.sums = reduce(self.counts), reduce(self.sums)
        self.squares = {label: reduce(self._squares_of(label)) for label in self.counts.nonzero().flatten().tolist()}
        samples = gather((self.features, self.labels, self._keys))
        self.features, self.labels, self._keys = self.features[:0], self.labels[:0], self._keys[:0]
        for sample in samples:
            self._keep(*sample)

    def _keep(self, features: Tensor, labels: Tensor, keys: Tensor) -> None:
        keys, labels = torch.cat([self._keys, keys]), torch.cat([self.labels, labels])
        order = keys.argsort(stable=True)
        order = order[labels[order].argsort(stable=True)]
        first = torch.searchsorted(labels[order], labels[order])  # where a point's class begins
        order = order[torch.arange(len(order)) - first < SAMPLE]
        old = order < len(self.features)
        chosen = torch.empty(len(order), features.shape[1])
        chosen[old] = self.features[order[old]]
        chosen[~old] = features[order[~old] - len(self.features)]
        self.features, self.labels, self._keys = chosen, labels[order], keys[order]

    @property
    def centers(self) -> Tensor:
        """(K, d) float64 class means; NaN where a class has no points."""
        return self.sums / self.counts[:, None]

    def within(self, classes: Tensor) -> Tensor:
        """(d, d) within-class covariance, the mean over ``classes``, each of which occurs.

        Every class counts alike, as in data of balanced classes, for which the measure was defined.
        """
        total = torch.zeros(self.sums.shape[1], self.sums.shape[1], dtype=torch.float64)
        for label in classes.tolist():
            mean = self.centers[label]
            total += self.squares[label] / self.counts[label] - torch.outer(mean, mean)
        return total / len(classes)


def neural_collapse(moments: ClassMoments, classifiers: Tensor, bias: Tensor | None = None) -> dict[str, Any]:
    """Return the measures over all classes and per group of ``moments``; None where fewer than two classes occur.

    classifiers  (K, d) weight of the point classifier
    bias         (K,) bias of the point classifier

    Returns ``{"all" | group: {"classes": int, "nc1": ..., "centers": {"centred" | "raw": {"equinorm",
    "equiangularity", "separation"}}, "classifiers": likewise, "self_duality": ..., "nearest_center": ...}}``. The
    sample estimates ``nearest_center``, with each point standing for its share of the class.
    """
    weight = classifiers.detach().double().cpu()
    offset = torch.zeros(len(weight)) if bias is None else bias.detach().double().cpu().flatten()
    agreement = _nearest_center(moments, weight, offset)
    return {name: _measures(moments, name, weight, agreement) for name in moments.groups}


def _measures(moments: ClassMoments, group: str, weight: Tensor, agreement: Tensor) -> dict[str, Any] | None:
    present = moments.counts > 0
    everything = present.nonzero().squeeze(1)
    members = torch.tensor(moments.groups[group])
    classes = members[present[members]]
    if len(classes) < 2:
        return None
    # Center on all classes: the groups share one frame.
    centers = moments.centers - moments.centers[everything].mean(0)
    rows = weight - weight[everything].mean(0)
    between = centers[classes].T @ centers[classes] / len(classes)
    m, w = centers[classes], weight[classes]
    return {
        "classes": len(classes),
        "nc1": (moments.within(classes) * torch.linalg.pinv(between, hermitian=True)).sum().item() / len(classes),
        "centers": {
            "centred": frame_distance(m, len(everything)),
            "raw": frame_distance(moments.centers[classes], len(everything)),
        },
        "classifiers": {
            "centred": frame_distance(rows[classes], len(everything)),
            "raw": frame_distance(w, len(everything)),
        },
        "self_duality": (w / w.norm() - m / m.norm()).norm().item(),
        "nearest_center": (agreement[classes] * moments.counts[classes]).sum().item()
        / moments.counts[classes].sum().item(),
    }


def frame_distance(vectors: Tensor, num_classes: int) -> dict[str, float]:
    """Return equinorm, equiangularity and separation of (S, d) vectors, S >= 2, from a frame of ``num_classes``."""
    norms = vectors.norm(dim=1)
    directions = F.normalize(vectors, dim=1)
    cosines = (directions @ directions.T)[~torch.eye(len(vectors), dtype=torch.bool)]
    return {
        "equinorm": (norms.std(correction=0) / norms.mean()).item(),
        "equiangularity": cosines.std(correction=0).item(),
        "separation": (cosines + 1 / (num_classes - 1)).abs().mean().item(),
    }


def _nearest_center(moments: ClassMoments, weight: Tensor, bias: Tensor) -> Tensor:
    """Return (K,) share of each class's sampled points on which classifier and nearest center agree."""
    present = (moments.counts > 0).nonzero().squeeze(1)
    features, labels = moments.features.double(), moments.labels
    by_classifier = present[(features @ weight[present].T + bias[present]).argmax(1)]
    by_center = present[torch.cdist(features, moments.centers[present]).argmin(1)]
    same = torch.zeros(len(moments.counts), dtype=torch.float64)
    same.scatter_add_(0, labels, (by_classifier == by_center).double())
    return same / torch.bincount(labels, minlength=len(same)).clamp(min=1)


def summary(measures: Mapping[str, Any]) -> dict[str, float]:
    """Return the columns of a training log: of centered class centers, over all classes and per group; {} if undefined.

    ``val_nc1`` and so on over all classes, ``val_nc1_tail`` and so on of a group.
    """
    columns: dict[str, float] = {}
    for group, found in measures.items():
        if found is not None:
            end = "" if group == "all" else f"_{group}"
            flat = {key: found[key] for key in ("nc1", "self_duality", "nearest_center")}
            columns |= {f"val_{name}{end}": value for name, value in (flat | found["centers"]["centred"]).items()}
    return columns
