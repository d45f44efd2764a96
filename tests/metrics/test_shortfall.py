"""The parts of what an IoU falls short of, and the sentence about them."""

import pytest
import torch

from ceco3d.data.labels import label_space
from ceco3d.metrics.confusion import Confusion, mean_iou
from ceco3d.metrics.shortfall import PARTS, diagnose, diagnosis_markdown, iou_at

SPACE = label_space("scannet200")
HEAD, TAIL = (SPACE.groups[group][0] for group in ("head", "tail"))
PERFECT = ({"head": 100, "tail": 100}, {"head": 1000, "tail": 10})  # points of the classes in val and in train


def confusion(points, right):
    """A confusion of two classes: a share ``right`` of their ``points`` is correct, the rest taken for the other."""
    found = Confusion(len(SPACE))
    for own, other, group in ((HEAD, TAIL, "head"), (TAIL, HEAD, "tail")):
        hits = round(points[group] * right[group])
        found.counts[own, own], found.counts[own, other] = hits, points[group] - hits
    return found


def case(val, adjusted, train, oracle=(1.0, 1.0)):
    """A diagnosis from the share of correct points in the tail; all of the head are correct."""
    rights = [{"head": 1.0, "tail": share} for share in (val, adjusted, train, *oracle)]
    at = [confusion(PERFECT[index], right) for index, right in zip((0, 0, 1, 0, 1), rights, strict=True)]
    return diagnose({0.0: at[0], 1.0: at[1]}, {0.0: at[2], 1.0: at[2]}, (at[3], at[4]), SPACE)


@pytest.mark.parametrize(
    ("numbers", "part"),
    [
        ({"val": 0.1, "adjusted": 0.1, "train": 0.2}, "time"),
        ({"val": 0.1, "adjusted": 0.1, "train": 1.0}, "data"),
        ({"val": 0.1, "adjusted": 0.9, "train": 1.0}, "balance"),
        ({"val": 0.1, "adjusted": 0.2, "train": 0.3, "oracle": (0.4, 0.4)}, "voxels"),
    ],
)
def test_the_verdict_names_what_the_tail_lacks_most(numbers, part):
    found = case(**numbers)
    assert found.verdict.startswith(f"The tail lacks {part} most: ")
    shortfall = found.groups["tail"]
    assert shortfall.val + sum(shortfall.parts.values()) == pytest.approx(1)
    for name in PARTS:
        assert f"{name} {100 * shortfall.parts[name]:.1f}" in found.verdict
    assert set(found.groups) == {"all", "head", "tail"}


def test_the_parts_are_the_differences_of_what_was_measured():
    parts = case(val=0.2, adjusted=0.5, train=0.8, oracle=(0.9, 1.0)).groups["tail"].parts
    assert parts == pytest.approx({"voxels": 0.1, "balance": 0.3, "time": 0.2, "data": 0.2})


def test_training_scenes_count_as_if_their_classes_were_as_frequent_as_in_validation():
    train = confusion({"head": 1000, "tail": 10}, {"head": 0.9, "tail": 0.5})
    same = confusion({"head": 100, "tail": 100}, {"head": 0.9, "tail": 0.5})
    assert train.iou[TAIL] < 0.05  # the points of the head that are taken for the tail bury it
    assert torch.allclose(iou_at(train, same.truth)[[HEAD, TAIL]], same.iou[[HEAD, TAIL]])
    assert iou_at(train, train.truth)[TAIL] == pytest.approx(train.iou[TAIL].item())


def test_the_best_tau_has_the_highest_miou_and_the_smaller_of_equals_wins():
    points = PERFECT[0]
    right = {0.0: 0.5, -0.5: 0.2, 0.5: 0.9, 1.0: 0.9}
    val = {tau: confusion(points, {"head": 1.0, "tail": share}) for tau, share in right.items()}
    train = dict.fromkeys(val, confusion(PERFECT[1], {"head": 1.0, "tail": 1.0}))
    found = diagnose(val, train, (val[1.0], train[0.0]), SPACE)
    assert found.best == 0.5
    assert list(found.sweep) == list(right)
    assert "| -0.5 |" in diagnosis_markdown(found, "a network")


def test_classes_of_one_split_alone_do_not_count():
    val, train = Confusion(len(SPACE)), Confusion(len(SPACE))
    val.counts[HEAD, HEAD], train.counts[TAIL, TAIL] = 5, 5
    with pytest.raises(ValueError, match="no class has points in both"):
        diagnose({0.0: val}, {0.0: train}, (val, train), SPACE)


def test_sums_of_scenes_give_their_miou():
    found = confusion(PERFECT[0], {"head": 0.9, "tail": 0.4})
    found.counts[HEAD, -1] = 7  # without a prediction
    assert mean_iou(found.sums) == pytest.approx(found.iou[[HEAD, TAIL]].mean().item())
    assert torch.equal(found.sums[1] + found.sums[2] - found.sums[0], found.union)
    assert mean_iou(Confusion(3).sums) is None
