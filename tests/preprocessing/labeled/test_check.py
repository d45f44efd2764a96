"""The check of labeled scans: what it says about good ones, odd ones, and wrong ones."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.helpers.labeled_scans import CLASSES_CSV, IDS, Labeled, made_up, write_ply, write_scans


def plain(text: str) -> str:
    """Tables as one line, without frames and breaks."""
    return " ".join(re.sub(r"[│┃┏┓└┘┡┩━─┴┳╇]", " ", text).split())


@pytest.fixture(autouse=True)
def _wide(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "220")


def test_the_check_reports_and_writes_no_scenes(preprocess, tmp_path):
    scans = write_scans(tmp_path / "raw", "folder, segment.npy")
    outcome = preprocess("check=true", "dataset.name=rooms")
    assert (outcome.code, outcome.err) == (0, "")
    said = plain(outcome.out)
    for row in ("scans train 9, val 3, test 0", "classes seen 7 of 7", "points without a class 0 (0.0 %)"):
        assert row in said
    assert f"points {sum(len(scan.coord) for scan in scans):,}" in said
    assert "scans without labels 0" in said
    assert "scans with colors 12 of 12" in said
    assert "Head, common and tail are thirds of the classes by instances in train." in said
    assert re.search(r"2 ground head 720 9 240 3", said)
    assert not list((tmp_path / "done").glob("*/*/coord.npy"))


def test_groups_are_thirds_of_the_points_if_there_are_no_instances(preprocess, tmp_path):
    write_scans(tmp_path / "raw")
    said = plain(preprocess("check=true").out)
    assert "Head, common and tail are thirds of the classes by points in train." in said
    for row in ("2 ground head", "6 building head", "9 water common", "17 chair common", "40 lamp tail"):
        assert row in said


def test_groups_of_the_class_file_win(preprocess, tmp_path):
    write_scans(tmp_path / "raw")
    (tmp_path / "raw/classes.csv").write_text(
        CLASSES_CSV.replace("name\n", "name,group\n").replace("plant", "plant,head")
    )
    said = plain(preprocess("check=true").out)
    assert "200 plant head" in said
    assert "2 ground - " in said
    assert "thirds" not in said


ODD = {
    "millimeters as meters": (1000, [], "check dataset.unit=m"),
    "meters as millimeters": (1, ["dataset.unit=mm"], "scans of unusual size: check dataset.unit=mm"),
}


@pytest.mark.parametrize("case", ODD)
def test_sizes_that_look_wrong_are_remarked(preprocess, tmp_path, case):
    scale, arguments, remark = ODD[case]
    write_scans(tmp_path / "raw", count=0)
    for number in range(4):
        write_ply(tmp_path / f"raw/room{number}.ply", made_up(number, scale))
    outcome = preprocess("check=true", *arguments)
    assert outcome.code == 0
    assert remark in plain(outcome.out)


def test_voxels_much_larger_than_the_spacing_of_the_points_are_remarked(preprocess, tmp_path):
    write_scans(tmp_path / "raw", count=0)
    for number in range(4):
        scan = made_up(number)
        coord = np.concatenate([scan.coord, scan.coord + 0.0005])
        twice = Labeled(coord, *(np.concatenate([part, part]) for part in (scan.color, scan.label, scan.instance)))
        write_ply(tmp_path / f"raw/room{number}.ply", twice)
    said = plain(preprocess("check=true").out)
    assert "0.000866 m (median) voxels of 0.05 m hardly fit: try voxel_size=0.002" in said


def test_odd_scans_are_remarked_in_the_table_and_after_preprocessing(preprocess, tmp_path):
    raw = tmp_path / "raw"
    write_scans(raw, count=0)
    scans = [made_up(number) for number in range(5)]
    broken = scans[1].coord.copy()
    broken[:7] = np.nan
    (raw / "train").mkdir()
    (raw / "val").mkdir()
    (raw / "more").mkdir()
    write_ply(raw / "train/a.ply", scans[0])
    write_ply(raw / "train/b.ply", Labeled(broken, scans[1].color, scans[1].label, scans[1].instance))
    write_ply(raw / "train/c.ply", scans[2], quality=np.float32(0))  # no labels
    write_ply(raw / "val/copy of a.ply", scans[0])
    write_ply(raw / "val/d.ply", scans[3])
    write_ply(raw / "more/e.ply", scans[4])
    said = plain(preprocess("check=true").out)
    for remark in (
        "in no split: more/e",
        "7 not usable (NaN, or far from all others)",
        "scans without labels 1 c",
        "duplicates 1 in several splits, so scores are of seen scans: train/a=val/copy_of_a",
    ):
        assert remark in said
    outcome = preprocess()
    assert outcome.code == 0
    assert "4 scenes made" in outcome.out
    assert "warning: 1 scans of train and val have no labels and are left out" in outcome.err
    assert "warning: duplicates: 1; in several splits" in outcome.err


def test_a_class_that_train_lacks_is_named(preprocess, tmp_path):
    write_scans(tmp_path / "raw")
    said = plain(preprocess("check=true", "dataset.splits.train=room0[1357]", "dataset.splits.val=room0[24]").out)
    assert "not in train: plant" in said


def test_an_unreadable_scan_is_told_and_the_others_are_made(preprocess, tmp_path):
    write_scans(tmp_path / "raw", count=6)
    file = tmp_path / "raw/room02.ply"
    file.write_bytes(file.read_bytes()[:400])
    for arguments in (["check=true"], []):
        outcome = preprocess(*arguments)
        assert outcome.code == 2
        assert "Traceback" not in outcome.err
        assert re.search(r"room02: .*room02\.ply: ", outcome.err)
    assert "5 scenes made, 0 were there, 1 failed" in outcome.out
    assert len(list((tmp_path / "done").glob("*/*/coord.npy"))) == 5


# Wrong input: one line, exit 2, nothing half-written


def _label(raw, change):
    for number in range(4):
        scan = made_up(number)
        write_ply(raw / f"room{number:02}.ply", scan, label=change(scan.label))


def _unknown(labels):
    return np.select([labels == 40, labels == 200, labels == 17], [41, -7, 1000 + np.arange(len(labels)) % 6], labels)


WRONG = {
    "labels of another length": (
        lambda raw: [(raw / f"room{n:02}.labels.txt").write_text("2\n5\n") for n in range(4)],
        [],
        r"none of the 4 scans can be read; the first, room0\d: .*room0\d\.labels\.txt has 2 labels for 2\d\d points",
    ),
    "unknown labels": (
        lambda raw: _label(raw, _unknown),
        [],
        r"raw/classes\.csv: 170 points have 8 labels that are no class: 41 \(60 points\), -7 \(30 points\), "
        r"1\d\d\d \(\d+ points\), 1\d\d\d \(\d+ points\), 1\d\d\d \(\d+ points\), and 3 more; add them, or give them "
        "the group ignored",
    ),
    "no labels, class file": (
        lambda raw: [write_ply(raw / f"room{n:02}.ply", made_up(n), quality=np.float32(0)) for n in range(4)],
        [],
        r"none of the \d training scans has labels of a class: name their column.* dataset\.labels=",
    ),
    "no labels": (
        lambda raw: [
            (raw / "classes.csv").unlink(),
            *(write_ply(raw / f"room{n:02}.ply", made_up(n), quality=np.float32(0)) for n in range(4)),
        ],
        [],
        r"raw: none of the scans has labels; name the column .* dataset\.labels=",
    ),
    "no such column": (lambda raw: None, ["dataset.labels=truth"], r"has no column 'truth' \(dataset\.labels=truth\)"),
    "no such ending": (lambda raw: None, ["dataset.labels=.gt"], r"none of the \d training scans has labels"),
    "fractions": (lambda raw: _label(raw, lambda label: label + np.float32(0.5)), [], "such as "),
    "names and numbers": (
        lambda raw: [(raw / "classes.csv").unlink(), (raw / "room00.labels").write_text("wall\n" * 260)],
        [],
        "labels are names, such as 'wall', and numbers, such as 2, so a class file must have both",
    ),
    "repeated ids": (
        lambda raw: (raw / "classes.csv").write_text("id,name\n2,a\n2,b\n"),
        [],
        r"raw/classes\.csv: line 3: id 2 is already that of line 2",
    ),
    "repeated names": (
        lambda raw: (raw / "classes.csv").write_text("id,name\n2,a\n3,A\n"),
        [],
        r"raw/classes\.csv: line 3: name 'a' is already that of line 2",
    ),
    "no class file": (lambda raw: None, ["classes=gone.csv"], r"gone\.csv: no such class file"),
    "missing scans": (
        lambda raw: (raw / "train.txt").write_text("room00\nhall\n"),
        [],
        r"raw/train\.txt names 1 scans that are not there: hall; scans: room00, room01",
    ),
    "two splits": (
        lambda raw: [(raw / f"{split}.txt").write_text("room00\nroom01\n") for split in ("train", "val")],
        [],
        "2 scans are in two splits, train and val: room00, room01; scores would be of seen scans",
    ),
    "no scans": (lambda raw: [path.unlink() for path in raw.glob("*.ply")], [], r"raw: no scan in it \(\.ply, "),
    "no folder": (lambda raw: None, ["dataset.raw=/none"], "dataset.raw=/none: no such folder"),
    "no raw": (lambda raw: None, ["dataset.raw=null"], "dataset.raw is not set: pass the folder of your scans"),
    "same names": (
        lambda raw: (
            np.save(raw / "room00.npy", made_up(0).coord.repeat(2, 1))
            or (raw / "room00.npy").rename(raw / "room00.obj")
        ),
        [],
        r"room00\.obj and .*room00\.ply have the same name: rename one",
    ),
    "root in raw": (lambda raw: None, ["dataset.root={raw}"], "choose another folder for the processed scenes"),
    "root below raw": (lambda raw: None, ["dataset.root={raw}/x/done"], "choose another folder for the processed"),
    "no such split": (lambda raw: None, ["splits=[test]"], "no scan is in the split test; name some with"),
    "all NaN": (
        lambda raw: [
            write_ply(raw / f"room{n:02}.ply", Labeled(s.coord * np.nan, s.color, s.label, s.instance))
            for n in range(4)
            for s in [made_up(n)]
        ],
        [],
        "no point has finite coordinates",
    ),
    "columns of a PLY": (lambda raw: None, ["dataset.columns=[x,y,z]"], "columns= names the columns of tables"),
}


@pytest.mark.parametrize(
    ("case", "check"), [*((case, False) for case in WRONG), ("unknown labels", True), ("no labels", True)]
)
def test_wrong_input_ends_with_one_line_and_no_scenes(preprocess, tmp_path, case, check):
    damage, arguments, message = WRONG[case]
    write_scans(tmp_path / "raw", count=4)
    damage(tmp_path / "raw")
    given = [argument.replace("{raw}", str(tmp_path / "raw")) for argument in arguments]
    outcome = preprocess(*given, *(["check=true"] if check else []))
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if not line.startswith("warning: ")]
    assert len(errors) == 1, outcome.err
    assert errors[0].startswith("error: ")
    assert re.search(message, errors[0]), errors[0]
    assert not list(tmp_path.rglob("coord.npy"))


def test_ids_outside_the_classes_are_counted_over_all_scans(preprocess, tmp_path):
    scans = write_scans(tmp_path / "raw")
    (tmp_path / "raw/classes.csv").write_text("id,name\n2,ground\n")
    total = sum(int((scan.label != 2).sum()) for scan in scans)
    assert f"{total:,} points have {len(IDS) - 1} labels that are no class: 5 (720 points), 6" in preprocess().err


def test_classes_of_a_data_set_with_its_own_are_not_replaced(run_command, tiny):
    outcome = run_command("preprocess", *tiny, "classes=auto")
    assert outcome.code == 2
    assert "error: classes=auto: dataset=rooms200 has its own classes; leave classes out" in outcome.err
