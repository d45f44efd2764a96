"""Scores of labeled files of any origin against files with the truth."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ceco3d.inference.file_scores import score_files
from ceco3d.metrics import Confusion, segmentation_scores
from ceco3d.utils.errors import UserError
from tests.helpers.labeled_scans import CLASSES_CSV, IDS, NAMES, WAYS, Labeled, made_up, write_las, write_ply

SCANS = [made_up(number) for number in range(3)]


def predicted(number: int) -> Labeled:
    """Scan ``number`` with a third of its labels wrong."""
    scan, rng = SCANS[number], np.random.default_rng(number + 50)
    return replace(
        scan, label=np.where(rng.random(len(scan.label)) < 0.3, rng.choice(IDS, len(scan.label)), scan.label)
    )


def by_hand() -> Confusion:
    confusion = Confusion(len(IDS))
    for number, scan in enumerate(SCANS):
        pair = (np.searchsorted(IDS, labels) for labels in (predicted(number).label, scan.label))
        confusion.update(*map(torch.from_numpy, pair))
    return confusion


@pytest.fixture
def classes(tmp_path) -> Path:
    (tmp_path / "classes.csv").write_text(CLASSES_CSV)
    return tmp_path / "classes.csv"


def write(folder: Path, way: str, truth: bool) -> str:
    folder.mkdir()
    for number, scan in enumerate(SCANS):
        if way == "labels alone":
            labels = scan.label if truth else predicted(number).label
            (folder / f"room{number}.txt").write_text("".join(f"{label}\n" for label in labels))
        elif way == "names alone":
            labels = scan.label if truth else predicted(number).label
            lines = [f"{NAMES[IDS.index(label)]}" for label in labels]
            (folder / f"room{number}.labels.txt").write_text("\n".join(lines))
        else:
            WAYS[way](folder, f"room{number}", scan if truth else predicted(number))
    return str(folder)


PAIRS = [("PLY", way) for way in WAYS] + [(way, "PLY") for way in ("LAZ", "labels alone", "names alone", "NPZ")]


@pytest.mark.parametrize(("pred", "truth"), PAIRS)
def test_files_in_any_format_have_the_same_scores(tmp_path, classes, pred, truth):
    scores, space = score_files([write(tmp_path / "a", pred, False)], [write(tmp_path / "b", truth, True)], classes)
    assert scores == segmentation_scores(by_hand(), space)
    assert space.names == NAMES


def test_without_a_class_file_the_labels_of_the_truth_are_the_classes(tmp_path):
    scores, space = score_files([write(tmp_path / "a", "PLY", False)], [write(tmp_path / "b", "NPZ", True)], None)
    assert space.ids == IDS
    assert scores["miou"]["present"] == pytest.approx(by_hand().miou)


def test_the_command_prints_and_writes_the_scores_with_the_names_of_the_classes(run_command, tmp_path, classes):
    pred, truth = write(tmp_path / "a", "LAZ", False), write(tmp_path / "b", "PLY", True)
    outcome = run_command(
        "evaluate", f"pred={pred}/*.laz", f"truth={truth}", f"classes={classes}", f"out={tmp_path}/out"
    )
    assert (outcome.code, outcome.err) == (0, "")
    written = json.loads((tmp_path / "out/metrics.json").read_text())
    assert list(written["per_class"]) == list(NAMES)
    assert written["accuracy"] == pytest.approx(
        by_hand().counts.diagonal().sum().item() / sum(len(s.label) for s in SCANS)
    )
    table = (tmp_path / "out/scores.md").read_text()
    assert all(name in outcome.out for name in NAMES)
    assert f"{100 * by_hand().miou:.1f}" in table


def test_one_file_is_compared_with_one_whatever_their_names(tmp_path, classes):
    write_ply(tmp_path / "a.ply", predicted(0))
    (tmp_path / "truth of a.labels").write_text("".join(f"{label}\n" for label in SCANS[0].label))
    scores, _ = score_files([str(tmp_path / "a.ply")], [str(tmp_path / "truth of a.labels")], classes)
    assert scores["accuracy"] == pytest.approx((predicted(0).label == SCANS[0].label).mean())


def test_points_without_a_class_do_not_count_and_predictions_that_are_no_class_count_as_wrong(
    tmp_path, capsys, classes
):
    classes.write_text(CLASSES_CSV.replace("\n", ",\n").replace("name,", "name,group") + "0,,ignored\n")
    truth, pred = SCANS[0].label.copy(), SCANS[0].label.copy()
    truth[:10], truth[10:15], pred[15:25], pred[25:35] = 0, -1, 77, -1
    for name, labels in (("truth", truth), ("pred", pred)):
        np.save(tmp_path / f"{name}.npy", labels)
    scores, _ = score_files([str(tmp_path / "pred.npy")], [str(tmp_path / "truth.npy")], classes)
    assert scores["accuracy"] == pytest.approx(1 - 20 / (len(truth) - 15))
    assert "warning: predicted labels that are no class count as wrong: 77 (10 points)" in capsys.readouterr().err


def test_files_without_a_prediction_are_told_and_lists_and_other_folders_are_not_read(tmp_path, capsys, classes):
    pred, truth = write(tmp_path / "a", "PLY", False), write(tmp_path / "b", "PLY", True)
    Path(pred, "room1.ply").unlink()
    Path(truth, "pictures").mkdir()
    Path(truth, "notes.md").write_text("x")
    Path(truth, ".room0.ply").write_text("x")
    scores, _ = score_files([pred], [truth], classes)
    assert "truth: 1 files have no prediction and do not count, such as" in capsys.readouterr().err
    right = [predicted(n).label == SCANS[n].label for n in (0, 2)]
    assert scores["accuracy"] == pytest.approx(np.concatenate(right).mean())


@pytest.mark.parametrize("offset", [0, 5_000_000])
def test_rounded_coordinates_are_those_of_the_same_points(tmp_path, classes, offset):
    scan = replace(SCANS[0], coord=SCANS[0].coord + offset)
    write_las(tmp_path / "room.las", scan, step=0.01)
    write_ply(tmp_path / "room.ply", replace(scan, coord=scan.coord.astype(np.float32)))
    scores, _ = score_files([str(tmp_path / "room.las")], [str(tmp_path / "room.ply")], classes)
    assert scores["accuracy"] == 1


def test_points_are_compared_even_if_labels_alone_lie_beside_them(tmp_path, classes):
    pred, truth = write(tmp_path / "a", "PLY, .labels", False), write(tmp_path / "b", "PLY", True)
    write_ply(Path(pred, "room0.ply"), replace(SCANS[0], coord=SCANS[0].coord[::-1]), quality=np.float32(0))
    with pytest.raises(UserError, match=r"a/room0\.ply and .*b/room0\.ply have \d+ points in other places"):
        score_files([pred], [truth], classes)


WRONG = {
    "other length": (
        lambda pred, truth: write_ply(truth / "room1.ply", Labeled(*(part[:-1] for part in vars(SCANS[1]).values()))),
        r"a/room1\.ply has 245 points, .*b/room1\.ply 244: files of other points cannot be compared",
    ),
    "other order": (
        lambda pred, truth: write_ply(truth / "room1.ply", replace(SCANS[1], coord=SCANS[1].coord[::-1])),
        r"have 2\d\d points in other places, first point 0: bring them into the same order, unit and axes",
    ),
    "no partner": (
        lambda pred, truth: (pred / "room1.ply").rename(pred / "hall.ply"),
        r"pred: no truth for 1 of 3 files, such as .*a/hall\.ply",
    ),
    "unknown ids": (
        lambda pred, truth: write_ply(truth / "room1.ply", replace(SCANS[1], label=SCANS[1].label + 1)),
        r"b/room1\.ply: labels that are no class of .*classes\.csv: 3 \(80 points\), .*; add or ignore them there",
    ),
    "no labels": (
        lambda pred, truth: write_ply(truth / "room1.ply", SCANS[1], quality=np.float32(0)),
        r"b/room1\.ply: has no labels; name their column label, or add room1\.labels\.txt beside it",
    ),
    "no files": (
        lambda pred, truth: [path.unlink() for path in pred.iterdir()],
        r"pred=.*a: no labeled file there; give files, folders or patterns",
    ),
    "damaged": (lambda pred, truth: (truth / "room1.ply").write_bytes(b"ply\n"), r"b/room1\.ply: "),
    "no class": (
        lambda pred, truth: (
            [write_ply(path, replace(SCANS[0], label=SCANS[0].label * 0 - 1)) for path in truth.iterdir()]
            and [write_ply(path, SCANS[0]) for path in pred.iterdir()]
        ),
        r"truth=.*b: no point has a label of a class",
    ),
    "class file": (
        lambda pred, truth: (truth.parent / "classes.csv").write_text("id,name\n2,a\n2,b\n"),
        r"classes\.csv: line 3: id 2 is already that of line 2",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_files_that_cannot_be_compared_are_refused_in_one_line(run_command, tmp_path, classes, case):
    damage, message = WRONG[case]
    pred, truth = write(tmp_path / "a", "PLY", False), write(tmp_path / "b", "PLY", True)
    damage(Path(pred), Path(truth))
    outcome = run_command("evaluate", f"pred={pred}", f"truth={truth}", f"classes={classes}", f"out={tmp_path}/out")
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert re.search(message, outcome.err), outcome.err
    assert not (tmp_path / "out/metrics.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pred=a"], "truth is not set: pass pred=... and truth=... to compare labeled files"),
        (["truth=a"], "pred is not set"),
        (["pred=a", "truth=b", "checkpoint=c.pt"], "checkpoint and pred are both set"),
        (["pred={tmp}/none/*.ply", "truth=b"], "/none/*.ply: no labeled file there"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(run_command, tmp_path, arguments, message):
    outcome = run_command("evaluate", *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert outcome.code == 2
    assert message in outcome.err
