"""The classifier of a checkpoint for other classes: rows of the same names, the others as initialized."""

from __future__ import annotations

import logging

import pytest
import torch

from ceco3d.data.labels import LabelBlock, label_blocks, label_space, stored_blocks, stored_space
from ceco3d.models import build_model, load_weights
from ceco3d.models.classifier import match_classes
from ceco3d.utils.errors import UserError
from tests.helpers.label_spaces import named


def one(space):
    return (LabelBlock("", space, 0),)


def network(classes, seed=0):
    torch.manual_seed(seed)
    return build_model("MinkUNet14A", 3, classes, 3)


THEIRS = named("wall", "floor", "chair", "3", aliases={"sofa": 2, 40: 0, "plate": 1})


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (named("floor", "pump", "wall"), {0: 1, 2: 0}),
        (named(" WALL ", "Chair"), {0: 0, 1: 2}),
        (named("Sofa"), {0: 2}),  # an alias of theirs
        (named("seat", aliases={"chair": 0}), {0: 2}),  # an alias of ours
        (named("couch", aliases={"sofa": 0}), {0: 2}),  # of both
        (named("seat", aliases={"bench": 0, "sofa": 0, "wall": 0}), {0: 2}),  # the first one
        (named("wall", aliases={"chair": 0}), {0: 0}),  # the name before the alias
        (named("chair", "sofa"), {0: 2, 1: 2}),  # one class becomes two
        (named("pump", "valve", "pipe", "tank"), {}),  # the same ids
        (named("3", "40", aliases={40: 0}), {}),  # numbers
    ],
)
def test_classes_match_by_name_or_alias_but_not_by_number(ours, expected):
    assert match_classes(one(ours), one(THEIRS)) == expected


def test_a_part_takes_the_rows_of_the_part_of_its_name_first():
    theirs = label_blocks({"a": named("wall", "floor"), "b": named("floor", "wall", "pump")})
    assert match_classes(label_blocks({"b": named("wall", "pump")}), theirs) == {0: 3, 1: 4}
    assert match_classes(one(named("wall", "pump")), theirs) == {0: 0, 1: 4}
    assert match_classes(label_blocks({"x": named("pipe"), "b": named("floor")}), theirs) == {1: 2}


def checkpoint(path, model, stored):
    torch.save({"setup": {"label_space": stored}, "model": model.state_dict()}, path)
    return path


def test_rows_of_the_same_name_are_taken_and_the_others_are_as_initialized(tmp_path, caplog):
    source, ours = network(4, seed=1), named("pump", "Floor", "valve", "sofa", "wall")
    path = checkpoint(tmp_path / "best.pt", source, THEIRS.to_plain())
    model, fresh = network(5), network(5)
    with caplog.at_level(logging.INFO):
        load_weights(model, path, classes=one(ours))
    assert (
        f"classifier: 3 of 5 classes taken from {path} (Floor, sofa, wall), 2 start fresh (pump, valve)" in caplog.text
    )
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    for part in ("kernel", "bias"):
        value, untouched, theirs = (getattr(net.final, part) for net in (model, fresh, source))
        assert torch.equal(value[:, [0, 2]], untouched[:, [0, 2]])
        assert torch.equal(value[:, [1, 3, 4]], theirs[:, [1, 2, 0]])
    assert torch.equal(model.conv0p1s1.kernel, source.conv0p1s1.kernel)


def test_the_same_classes_take_the_whole_classifier(tmp_path, caplog):
    space = label_space("scannet20")
    source = network(20, seed=1)
    path = checkpoint(tmp_path / "best.pt", source, stored_space(space))
    model = network(20)
    with caplog.at_level(logging.INFO):
        load_weights(model, path, classes=one(space))
    assert "classifier: 20 of 20 classes taken" in caplog.text
    assert "fresh" not in caplog.text
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())


def test_rows_of_several_data_sets_are_found(tmp_path, caplog):
    blocks = label_blocks({"a": named("wall", "floor"), "b": named("pump")})
    source = network(3, seed=1)
    path = checkpoint(tmp_path / "joint.pt", source, stored_blocks(blocks))
    model = network(2)
    with caplog.at_level(logging.INFO):
        load_weights(model, path, classes=one(named("pump", "floor")))
    assert "2 of 2 classes taken" in caplog.text
    assert torch.equal(model.final.kernel, source.final.kernel[:, [2, 1]])


def test_no_common_class_is_said(tmp_path, caplog):
    path = checkpoint(tmp_path / "best.pt", network(4, seed=1), THEIRS.to_plain())
    model = network(1)
    with caplog.at_level(logging.INFO):
        load_weights(model, path, classes=one(named("pump")))
    assert f"classifier: 0 of 1 classes taken from {path}, 1 starts fresh (pump)" in caplog.text
    assert torch.equal(model.final.kernel, network(1).final.kernel)


@pytest.mark.parametrize(
    ("stored", "outputs", "leave_out", "message"),
    [
        (None, 4, (), "predicts no classes"),  # features of a pretraining, by chance as many as classes
        (THEIRS.to_plain(), 7, (), "no classifier that fits"),
        (THEIRS.to_plain(), 4, ("final",), None),
    ],
)
def test_a_classifier_that_does_not_fit_or_is_left_out_starts_fresh(
    tmp_path, caplog, stored, outputs, leave_out, message
):
    path = checkpoint(tmp_path / "best.pt", network(outputs, seed=1), stored)
    model = network(4)
    with caplog.at_level(logging.INFO):
        load_weights(model, path, leave_out, classes=one(THEIRS))
    assert torch.equal(model.final.kernel, network(4).final.kernel)
    assert torch.equal(model.bn0.bn.weight, network(4, seed=1).bn0.bn.weight)
    lines = [record.message for record in caplog.records if "weights found under model" not in record.message]
    assert not lines if message is None else len(lines) == 1 and message in lines[0]


def test_a_classifier_without_names_is_taken_as_it_is_if_it_fits(tmp_path, caplog):
    source = network(4, seed=1)
    torch.save(source.state_dict(), tmp_path / "foreign.pth")
    model = network(4)
    with caplog.at_level(logging.INFO):
        load_weights(model, tmp_path / "foreign.pth", classes=one(THEIRS))
    assert "the file names no classes; init_leave_out=[final] starts it fresh" in caplog.text
    assert torch.equal(model.final.kernel, source.final.kernel)


@pytest.mark.parametrize("stored", ["scannet7", 7, {"names": ["wall"]}, {"joint": 7}])
def test_classes_that_cannot_be_read_are_one_line(tmp_path, stored):
    path = checkpoint(tmp_path / "bad.pt", network(4, seed=1), stored)
    model = network(4)
    with pytest.raises(UserError, match=r"bad.pt: its classes are not readable .*init_leave_out=\[final\]") as caught:
        load_weights(model, path, classes=one(THEIRS))
    assert "\n" not in str(caught.value)
    load_weights(model, path, ["final"], classes=one(THEIRS))
