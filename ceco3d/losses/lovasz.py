"""Lovász-softmax: a surrogate for the mean IoU (Berman, Triki, Blaschko, CVPR 2018).

Let e_i = |[y_i = c] - p_i(c)| be the error of point i for class c. The IoU loss of c is a function of the set of wrong
points; its Lovász extension takes real-valued errors. Sort the errors in descending order, and let J_r be the Jaccard
loss if the first r points are wrong: ``loss_c = sum over r of e_(r) * (J_r - J_(r-1))``. The loss is the mean over the
classes present.
"""

from __future__ import annotations

import torch
from torch import Tensor


def lovasz_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """(N, K), (N,) training index, negative = ignored -> scalar, float32 or wider; 0 if no label is valid.

    Averages over the classes that have a valid label ("present" in the authors' code), on all points of the batch
    together.
    """
    valid = labels >= 0
    labels = labels[valid]
    logits = logits[valid].to(torch.promote_types(logits.dtype, torch.float32))
    if len(labels) == 0:
        return logits.sum()
    probabilities = logits.softmax(1)
    with torch.no_grad():
        slopes, classes = _slopes(probabilities, labels)
        constant = -slopes.gather(1, labels[:, None]).sum()
    # The loss is linear in the errors: p for the other classes; 1 - p, hence a negative slope, for the true one.
    return ((probabilities * slopes).sum() + constant) / classes


def _slopes(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """(N, K) derivative of the sum of all loss_c by each probability, and the number of classes present.

    Once all points of a class are wrong, J stays at 1. So for each class we sort only the points whose error is at
    least the smallest error among the class's own points. These are few if most points are right, or all are unsure.
    """
    counts = torch.bincount(labels, minlength=probabilities.shape[1])
    classes = counts.nonzero().squeeze(1)
    errors = probabilities[:, classes].T.contiguous()
    row, point = (counts > 0).cumsum(0)[labels] - 1, torch.arange(len(labels), device=labels.device)
    own = 1 - errors[row, point]
    errors[row, point] = own
    smallest = own.new_full((len(classes),), 2.0).scatter_reduce(0, row, own, "amin")
    slopes = torch.zeros_like(probabilities)
    for error, least, label in zip(errors, smallest, classes, strict=True):
        candidates = (error >= least).nonzero().squeeze(1)
        order = candidates[error[candidates].argsort(descending=True)]
        positive = labels[order] == label
        wrong = positive.cumsum(0).to(error.dtype)  # positives among the first r
        rank = torch.arange(1, len(order) + 1, device=error.device, dtype=error.dtype)
        jaccard = 1 - (wrong[-1] - wrong) / (wrong[-1] + rank - wrong)
        step = torch.diff(jaccard, prepend=jaccard.new_zeros(1))
        slopes[order, label] = torch.where(positive, -step, step)
    return slopes, len(classes)
