"""Lovász-softmax against a slow reference from its definition."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.losses import lovasz_softmax


def reference(logits, labels):
    """The extension from its set function, one class and one point at a time, in numpy."""
    logits, labels = logits.numpy()[labels.numpy() >= 0], labels.numpy()[labels.numpy() >= 0]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    def jaccard_loss(truth, wrong):  # the prediction differs from the truth in the points of `wrong`
        prediction = truth ^ wrong
        return 1 - len(truth & prediction) / len(truth | prediction)

    losses = []
    for c in sorted(set(labels.tolist())):
        truth = set(np.flatnonzero(labels == c).tolist())
        errors = np.abs((labels == c) - p[:, c])
        wrong, before, total = set(), 0.0, 0.0
        for i in np.argsort(-errors, kind="stable").tolist():
            wrong.add(i)
            after = jaccard_loss(truth, wrong)
            total += errors[i] * (after - before)
            before = after
        losses.append(total)
    return np.mean(losses)


def data(n, classes, seed, spread=2.0):
    rng = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(n, classes, generator=rng, dtype=torch.float64)
    return logits, torch.randint(-1, classes, (n,), generator=rng)


@given(st.integers(1, 40), st.integers(2, 7), st.integers(0, 1000), st.sampled_from([0.1, 2.0, 20.0]))
@settings(deadline=None, max_examples=60)
def test_value_equals_the_definition(n, classes, seed, spread):
    logits, labels = data(n, classes, seed, spread)
    labels[0] = 1
    assert lovasz_softmax(logits, labels).item() == pytest.approx(reference(logits, labels), rel=1e-9, abs=1e-12)


def test_gradcheck():
    logits, labels = data(15, 4, 0)
    labels[labels == 2] = 0  # an absent class
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: lovasz_softmax(x, labels), logits)
    lovasz_softmax(logits, labels).backward()
    assert logits.grad[labels < 0].abs().max() == 0
    assert logits.grad[labels >= 0].abs().min() > 0


@pytest.mark.parametrize("labels", list(itertools.product([0, 1], repeat=4)))
def test_hard_predictions_give_one_minus_the_mean_iou(labels):
    labels, predicted = torch.tensor(labels), torch.tensor([0, 1, 1, 0])
    logits = 1000.0 * torch.nn.functional.one_hot(predicted, 2)
    ious = [
        ((labels == c) & (predicted == c)).sum() / ((labels == c) | (predicted == c)).sum()
        for c in labels.unique().tolist()
    ]
    assert lovasz_softmax(logits, labels).item() == pytest.approx(1 - np.mean(ious), abs=1e-6)


def test_equal_errors_and_half_precision():
    logits, labels = torch.zeros(50, 5), torch.arange(50) % 5
    assert lovasz_softmax(logits, labels).item() == pytest.approx(reference(logits, labels), rel=1e-6)
    value = lovasz_softmax(logits.bfloat16(), labels)
    assert value.dtype == torch.float32


def test_without_labels_the_loss_is_zero():
    logits = torch.randn(9, 4, requires_grad=True)
    value = lovasz_softmax(logits, torch.full((9,), -1))
    value.backward()
    assert value == 0
    assert logits.grad.abs().max() == 0


def test_it_learns_a_rare_class():
    torch.manual_seed(0)
    labels = (torch.arange(400) >= 390).long()
    features = torch.randn(400, 2) + 3 * labels[:, None]
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    for _ in range(60):
        optimizer.zero_grad()
        loss = lovasz_softmax(layer(features), labels)
        loss.backward()
        optimizer.step()
    assert loss < 0.2
