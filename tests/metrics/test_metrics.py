"""Scores against hand counts and the benchmark's rules."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.data.labels import label_space
from ceco3d.metrics import Confusion, segmentation_scores


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), max_size=60))
@settings(deadline=None)
def test_iou_equals_a_count_by_hand(pairs):
    confusion = Confusion(5)
    for chunk in (pairs[::2], pairs[1::2]):
        prediction, truth = (torch.tensor([p[i] for p in chunk], dtype=torch.int64) for i in (0, 1))
        confusion.update(prediction, truth)
    counted = [(p, t) for p, t in pairs if t >= 0]
    for k in range(5):
        tp = sum(p == k and t == k for p, t in counted)
        union = sum(p == k or t == k for p, t in counted)
        iou = confusion.iou[k].item()
        assert np.isnan(iou) if union == 0 else iou == tp / union
    assert confusion.truth.sum() == len(counted)


def test_three_conventions_differ_as_documented():
    space = label_space("scannet200")
    wall, chair = 0, 1
    tail = space.groups["tail"][0]
    confusion = Confusion(200)
    #                              right, right, wrong, predicted absent class
    prediction = torch.tensor([wall, wall, wall, tail, chair])
    truth = torch.tensor([wall, wall, chair, chair, chair])
    confusion.update(prediction, truth)
    scores = segmentation_scores(confusion, space)
    wall_iou, chair_iou = 2 / 3, 1 / 3
    assert scores["miou"]["present"] == pytest.approx((wall_iou + chair_iou) / 2)
    assert scores["miou"]["union"] == pytest.approx((wall_iou + chair_iou + 0) / 3)
    assert scores["miou"]["zero_filled"] == pytest.approx((wall_iou + chair_iou) / 200)
    assert scores["head"] == pytest.approx({"present": 0.5, "union": 0.5, "zero_filled": 1 / 66})
    assert scores["tail"] == {"present": None, "union": 0.0, "zero_filled": 0.0}
    assert scores["common"] == {"present": None, "union": None, "zero_filled": 0.0}
    assert scores["per_class"]["wall"] == pytest.approx(wall_iou)
    assert scores["per_class"]["floor"] is None
    assert scores["accuracy"] == pytest.approx(3 / 5)


def test_invalid_predictions_are_false_negatives_of_the_truth_only():
    confusion = Confusion(3)
    confusion.update(torch.tensor([-1, 0, 1]), torch.tensor([0, 0, 1]))
    assert confusion.iou.tolist()[:2] == [0.5, 1.0]
    assert confusion.iou[2].isnan()


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [([0, 1], [0], "2.*predictions for.*1"), ([3], [0], "label 3"), ([0], [3], "label 3")],
)
def test_wrong_labels_are_refused(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        Confusion(3).update(torch.tensor(prediction), torch.tensor(truth))


def test_scannet20_has_no_groups():
    space = label_space("scannet20")
    confusion = Confusion(20)
    confusion.update(torch.arange(20), torch.arange(20))
    scores = segmentation_scores(confusion, space)
    assert scores["miou"]["zero_filled"] == 1
    assert scores["head"] == {"present": None, "union": None, "zero_filled": None}


def test_label_space_facts():
    space = label_space("scannet200")
    assert [len(space.groups[g]) for g in ("head", "common", "tail")] == [66, 68, 66]
    assert sorted(sum(space.groups.values(), ())) == list(range(200))
    assert list(space.ids) == sorted(set(space.ids))
    assert space.names[:5] == ("wall", "chair", "floor", "table", "door")
    assert len({tuple(color) for color in space.colors.tolist()}) == 200
    assert space.index_of(np.array([1, 2, 0, -5, 12, 1191, 5000])).tolist() == [0, 1, -1, -1, -1, 199, -1]
    assert label_space("scannet20").index_of(np.array([39, 40])).tolist() == [19, -1]
