"""Calibration of confidences: the error against a loop over the bins, and temperatures that are known."""

from __future__ import annotations

import pytest
import torch

from ceco3d.metrics import Calibration, fit_temperature
from ceco3d.metrics.calibration import BINS, RANGE


def slow_error(confidence, prediction, truth):
    total, count = 0.0, 0
    for number in range(BINS):
        inside = (confidence >= number / BINS) & ((confidence < (number + 1) / BINS) | (number == BINS - 1))
        inside &= truth >= 0
        if inside.any():
            right = (prediction[inside] == truth[inside]).double().mean()
            total += float((confidence[inside].double().mean() - right).abs()) * int(inside.sum())
            count += int(inside.sum())
    return total / count


def points(count=5000):
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(count, generator=generator)
    confidence[:2] = torch.tensor([0.0, 1.0])
    return confidence, *(torch.randint(-1, 4, (count,), generator=generator) for _ in range(2))


def test_the_error_is_that_of_a_loop_over_the_bins():
    confidence, prediction, truth = points()
    whole, parts = Calibration(), Calibration()
    whole.update(confidence, prediction, truth)
    for part in torch.arange(len(truth)).split(777):
        parts.update(confidence[part], prediction[part], truth[part])
    assert whole.error == pytest.approx(slow_error(confidence, prediction, truth), abs=1e-9)
    assert parts.error == pytest.approx(whole.error, abs=1e-9)
    assert int(whole.sums[0].sum()) == int((truth >= 0).sum())
    known, right = truth >= 0, prediction == truth
    inside = known & (confidence >= 3 / BINS) & (confidence < 4 / BINS)
    third = whole.bins[3]
    assert third["points"] == int(inside.sum())
    assert third["confidence"] == pytest.approx(float(confidence[inside].mean()), abs=1e-6)
    assert third["accuracy"] == pytest.approx(float(right[inside].double().mean()), abs=1e-9)


def test_without_labeled_points_there_is_no_error():
    empty = Calibration()
    empty.update(torch.rand(3), torch.zeros(3, dtype=torch.int64), torch.full((3,), -1))
    assert empty.error is None


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40_000, 10, generator=generator)
    labels = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator).squeeze(1)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.03)
    before, after = Calibration(), Calibration()
    before.update(*logits.softmax(1).max(1), labels)
    after.update(*(logits / found).softmax(1).max(1), labels)
    assert after.error < 0.02
    assert after.error <= before.error + 0.005


def test_a_network_that_is_always_right_or_never_ends_at_a_limit():
    logits = torch.eye(5).repeat(3, 1)
    assert fit_temperature(logits, logits.argmax(1)) == pytest.approx(RANGE[0], rel=1e-3)
    assert fit_temperature(logits, logits.argmin(1)) == pytest.approx(RANGE[1], rel=1e-3)
