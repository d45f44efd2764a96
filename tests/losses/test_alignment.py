"""The alignment of class centers and classifier rows, against its formula in numpy and finite differences."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from ceco3d.data.labels import label_blocks, label_space
from ceco3d.losses import CenterCollapseLoss, JointLoss, PointLoss, SegmentationLoss, alignment


def reference(features, labels, rows):
    present = sorted(set(labels[labels >= 0].tolist()))
    centers = np.stack([features[labels == k].mean(0) for k in present])
    centers, rows = centers - centers.mean(0), rows[present] - rows[present].mean(0)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(centers, rows, strict=True)]
    return np.mean([1 - cosine for cosine in cosines])


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, 5, (40,), generator=generator)
    labels[labels == 2] = 0  # class 2 is absent
    return features, labels, torch.randn(5, 6, generator=generator, dtype=torch.float64)


def test_the_value_is_that_of_the_formula(inputs):
    features, labels, rows = inputs
    value = alignment(features, labels, rows).item()
    assert value == pytest.approx(reference(features.numpy(), labels.numpy(), rows.numpy()), abs=1e-12)


def test_features_and_classifier_get_the_gradient_of_finite_differences(inputs):
    features, labels, rows = inputs
    assert gradcheck(lambda f, w: alignment(f, labels, w), (features.requires_grad_(), rows.requires_grad_()))


def test_ignored_points_and_absent_classes_get_no_gradient(inputs):
    features, labels, rows = inputs
    alignment(features.requires_grad_(), labels, rows.requires_grad_()).backward()
    assert not features.grad[labels < 0].any()
    assert features.grad[labels >= 0].any(1).all()
    assert rows.grad.any(1).tolist() == [True, True, False, True, True]


@pytest.mark.parametrize(("factor", "value"), [(3.0, 0.0), (-0.5, 2.0)])
def test_it_is_0_where_centers_and_rows_agree_and_2_where_they_are_opposite(inputs, factor, value):
    _, labels, rows = inputs
    points = factor * rows[labels.clamp(min=0)] + 7
    assert alignment(points, labels, rows).item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("classes", [0, 1])
def test_below_two_classes_it_is_0_with_gradients_of_0(inputs, classes):
    features, labels, rows = inputs
    labels = torch.full_like(labels, classes - 1)
    value = alignment(features.requires_grad_(), labels, rows.requires_grad_())
    value.backward()
    assert value.item() == 0
    assert not features.grad.any()
    assert not rows.grad.any()


def test_the_loss_adds_it_with_its_weight_under_its_name(inputs):
    features, labels, rows = inputs
    logits, scenes = features @ rows.T, torch.zeros(len(labels))
    plain = SegmentationLoss(PointLoss(5))(logits, features, labels, scenes)
    loss = SegmentationLoss(PointLoss(5), alignment=0.25)
    assert loss.needs_classifier
    values = loss(logits, features, labels, scenes, rows)
    assert values["alignment"] == alignment(features, labels, rows)
    assert values["loss"].item() == pytest.approx((plain["loss"] + 0.25 * values["alignment"]).item())
    assert plain.keys() == {"loss", "ce"}


def test_without_the_classifier_it_says_what_is_missing(inputs):
    features, labels, rows = inputs
    with pytest.raises(ValueError, match="pass classifier"):
        SegmentationLoss(PointLoss(5), alignment=1.0)(features @ rows.T, features, labels, labels)
    with pytest.raises(ValueError, match="alignment=-1"):
        SegmentationLoss(PointLoss(5), alignment=-1.0)


def test_parts_of_a_joint_training_get_their_own_rows():
    spaces = {"a": label_space("scannet20"), "b": label_space("scannet20")}
    blocks = label_blocks(spaces)
    loss = JointLoss(blocks, [SegmentationLoss(PointLoss(20), alignment=1.0) for _ in spaces])
    assert loss.needs_classifier
    generator = torch.Generator().manual_seed(0)
    features, rows = torch.randn(50, 4, generator=generator), torch.randn(40, 4, generator=generator)
    labels = torch.randint(0, 20, (50,), generator=generator)
    values = loss(features @ rows.T, features, labels, torch.zeros(50), rows)
    torch.testing.assert_close(values["alignment"], alignment(features, labels, rows[:20]))


def memory_loss(momentum, **options):
    options = {"projector": "none", "dim": 6, "prior": None} | options
    return CenterCollapseLoss(5, 6, memory=momentum, **options).double()


def plain_loss(**options):
    return CenterCollapseLoss(5, 6, **{"projector": "none", "dim": 6, "prior": None} | options).double()


def test_the_first_batch_of_a_memory_is_a_plain_batch(inputs):
    features, labels, _ = inputs
    assert memory_loss(0.9)(features, labels) == plain_loss()(features, labels)


def test_a_memory_mixes_centers_with_those_of_earlier_batches(inputs):
    features, labels, _ = inputs
    loss, other = memory_loss(0.75), features.flip(0) + 1
    loss(other, labels)
    mixed = features.clone()
    for k in (0, 1, 3, 4):
        mixed[labels == k] = 0.75 * other[labels == k].mean(0) + 0.25 * features[labels == k].mean(0)
    value = loss(features, labels)
    assert value.item() == pytest.approx(plain_loss()(mixed, labels).item(), abs=1e-12)
    assert loss.memory.known.tolist() == [True, True, False, True, True]
    torch.testing.assert_close(loss.memory.remembered[3], mixed[labels == 3][0])


def test_the_gradient_flows_through_the_part_of_the_batch_only(inputs):
    features, labels, _ = inputs
    loss = memory_loss(0.75)
    loss(features.flip(0) + 1, labels)
    loss.eval()  # finite differences must find the memory unchanged
    before = loss.memory.remembered.clone()
    assert gradcheck(lambda f: loss(f, labels), features.requires_grad_())
    assert torch.equal(loss.memory.remembered, before)


def test_absent_classes_teach_a_trained_projector_and_are_left_out_without_one(inputs):
    features, labels, _ = inputs
    first = torch.where(labels == 3, 2, labels)  # then 2 is remembered and 3 is new
    for projector, takes_part in (("none", False), ("linear", True)):
        options = {"projector": projector, "dim": 6}
        torch.manual_seed(0)
        loss = memory_loss(0.5, **options)
        torch.manual_seed(0)
        plain = plain_loss(**options)
        loss(features, first)
        old = features[first == 2].mean(0)
        value = loss(features, labels)
        four = plain(features, labels) * 4
        expected = (four + plain(old[None], torch.tensor([2]))) / 5 if takes_part else four / 4
        assert value.item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_frozen_projector_leaves_nothing_for_absent_classes():
    assert not CenterCollapseLoss(5, 6, dim=8, memory=0.5, freeze=True).memory.absent
    assert CenterCollapseLoss(5, 6, dim=8, memory=0.5, freeze=True, classifier="learned").memory.absent


def test_without_a_memory_checkpoints_have_no_new_entries():
    assert not [name for name in CenterCollapseLoss(5, 6, dim=8).state_dict() if "memory" in name]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"memory": 1.0}, "below 1"),
        ({"memory": -0.1}, "at least 0"),
        ({"memory": 0.5, "over": "scene"}, "over=batch"),
        ({"memory": 0.5, "across_ranks": False}, "across_ranks=true"),
    ],
)
def test_impossible_memories_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        CenterCollapseLoss(5, 6, dim=8, **options)
