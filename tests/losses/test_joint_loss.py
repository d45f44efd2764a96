"""The loss of a joint training against the losses of its parts, computed one by one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ceco3d.data.labels import label_blocks
from ceco3d.losses import CenterCollapseLoss, JointLoss, PointLoss, SegmentationLoss
from tests.helpers.label_spaces import numbered

SIZES, CHANNELS = (3, 4), 6
BLOCKS = label_blocks({"first": numbered(SIZES[0]), "second": numbered(SIZES[1])})


def ceco(classes: int) -> SegmentationLoss:
    counts = torch.arange(1, classes + 1)
    center = CenterCollapseLoss(classes, CHANNELS, dim=8, class_counts=counts)
    return SegmentationLoss(PointLoss(classes, tau=1.0, class_points=counts), center, 0.3, lovasz_weight=0.5)


def voxels(low: int = -1, high: int = sum(SIZES)) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(5)
    return {
        "logits": torch.randn(80, sum(SIZES), generator=rng).requires_grad_(),
        "features": torch.randn(80, CHANNELS, generator=rng).requires_grad_(),
        "labels": torch.randint(low, high, (80,), generator=rng),
        "scenes": torch.arange(80) // 20,
    }


def test_it_is_the_mean_over_voxels_of_the_losses_of_the_parts():
    torch.manual_seed(0)
    parts, batch = [ceco(size) for size in SIZES], voxels()
    terms = JointLoss(BLOCKS, parts)(**batch)
    labels, start = batch["labels"], 0
    expected = {"loss": 0.0, "ce": 0.0, "lovasz": 0.0, "ceco": 0.0}
    for name, part, size in zip(("first", "second"), parts, SIZES, strict=True):
        rows = (labels >= start) & (labels < start + size)
        share = rows.sum() / (labels >= 0).sum()
        logits = batch["logits"][rows][:, start : start + size]
        own = part(logits, batch["features"][rows], labels[rows] - start, batch["scenes"][rows])
        expected = {key: value + share * own[key] for key, value in expected.items()}
        torch.testing.assert_close(terms[f"loss_{name}"], share * own["loss"])
        start += size
    assert terms.keys() == expected.keys() | {"loss_first", "loss_second"}
    for key, value in expected.items():
        torch.testing.assert_close(terms[key], value)


@pytest.mark.parametrize(("low", "high"), [(0, 3), (3, 7), (-1, 0)])
def test_a_part_without_voxels_adds_nothing(low, high):
    parts, batch = [ceco(size) for size in SIZES], voxels(low, high)
    terms = JointLoss(BLOCKS, parts)(**batch)
    terms["loss"].backward()
    for number, block in enumerate(BLOCKS):
        there = bool(block.covers(batch["labels"]).any())
        assert (terms[f"loss_{block.name}"] > 0) == there
        assert batch["logits"].grad[:, block.outputs].any() == there
        for parameter in parts[number].parameters():
            assert parameter.grad.isfinite().all()  # there, so that processes can exchange them
            assert parameter.grad.any() == there
    assert all(value.isfinite() for value in terms.values())


class Mean(nn.Module):
    """A loss that is NaN without rows."""

    def forward(self, logits, features, labels, scenes):
        return {"loss": nn.functional.cross_entropy(logits, labels)}


def test_a_criterion_that_is_nan_without_rows_adds_nothing():
    batch = voxels(0, 3)
    terms = JointLoss(BLOCKS, [Mean(), Mean()])(**batch)
    terms["loss"].backward()
    assert terms["loss_second"] == 0
    torch.testing.assert_close(terms["loss"], nn.functional.cross_entropy(batch["logits"][:, :3], batch["labels"]))
    assert batch["logits"].grad.isfinite().all()
