"""Scores of labeled files of any origin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ceco3d.inference.file_scores import score_files
from ceco3d.utils.errors import UserError
from tests.helpers.own_scans import FORMATS, IDS, make_points, write_scans


@pytest.fixture
def truth(tmp_path):
    return write_scans(tmp_path / "truth", "ply", 2)


def write_predictions(out: Path, kind: str) -> float:
    """Predictions with every fifth point wrong, in ``out``; returns the IoU of the floor."""
    out.mkdir()
    hits = union = 0
    for number in range(2):
        coord, color, label = make_points(number)
        wrong = np.where(np.arange(len(label)) % 5 == 0, IDS[(number + 1) % 7], label)
        if kind == "text":
            np.savetxt(out / f"room{number:02d}.labels.txt", wrong, "%d")
        else:
            FORMATS[kind](out / f"room{number:02d}", coord, color, wrong)
        hits += int(((wrong == 2) & (label == 2)).sum())
        union += int(((wrong == 2) | (label == 2)).sum())
    return hits / union


@pytest.mark.parametrize("kind", ["ply", "laz", "npy", "csv", "text", "names"])
def test_formats_give_the_same_scores(tmp_path, truth, kind):
    expected = write_predictions(tmp_path / "pred", kind)
    scores, space = score_files([str(tmp_path / "pred")], [str(truth / "*.ply")], truth / "classes.csv")
    assert scores["per_class"]["floor"] == pytest.approx(expected)
    assert scores["per_class"].keys() == set(space.names)


def test_classes_are_found_in_the_truth(tmp_path, truth):
    write_predictions(tmp_path / "pred", "text")
    scores, space = score_files([str(tmp_path / "pred")], [str(truth)], None)
    assert space.ids == IDS
    assert scores["miou"]["present"] > 0.5


def test_one_file_against_one(tmp_path, truth):
    np.save(tmp_path / "other.npy", make_points(0)[2])
    scores, _ = score_files([str(tmp_path / "other.npy")], [str(truth / "room00.ply")], truth / "classes.csv")
    assert scores["miou"]["present"] == 1


def test_unknown_predictions_count_as_wrong(tmp_path, truth, caplog):
    label = make_points(0)[2]
    np.save(tmp_path / "room00.labels.npy", np.where(label == 2, 999, label))
    scores, _ = score_files([str(tmp_path / "room00.labels.npy")], [str(truth / "room00.ply")], truth / "classes.csv")
    assert scores["per_class"]["floor"] == 0
    assert "no class count as wrong: 999" in caplog.text


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda pred: np.save(pred / "room00.labels.npy", np.zeros(3, int)), "has 3 points, .*room00.ply 600"),
        (lambda pred: np.save(pred / "room09.labels.npy", np.zeros(3, int)), "no truth for 1 of 2 files"),
        (lambda pred: FORMATS["ply"](pred / "room00", *make_points(0)[::1][:1], *make_points(3)[1:]), None),
        (lambda pred: np.save(pred / "room00.npy", np.zeros((600, 3))), "room00.npy: has no labels"),
        (lambda pred: FORMATS["ply"](pred / "room00", *make_points(5)), "points in other places, first point 0"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, truth, write, message):
    pred = tmp_path / "pred"
    pred.mkdir()
    FORMATS["ply"](pred / "room01", *make_points(1))
    write(pred)
    if message is None:
        score_files([str(pred)], [str(truth)], truth / "classes.csv")
        return
    with pytest.raises(UserError, match=message):
        score_files([str(pred)], [str(truth)], truth / "classes.csv")


def test_truth_with_other_classes_is_refused(tmp_path, truth):
    write_predictions(tmp_path / "pred", "npy")
    classes = tmp_path / "few.csv"
    classes.write_text("id,name\n2,floor\n")
    with pytest.raises(UserError, match=r"labels that are no class of .*few.csv: 3 "):
        score_files([str(tmp_path / "pred")], [str(truth)], classes)
    with pytest.raises(UserError, match="no labeled file there"):
        score_files([str(tmp_path / "nothing")], [str(truth)], classes)
