"""``dataset=folder``: scans of any format with any classes become processed scenes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import laspy
import numpy as np
import pytest

from ceco3d.data.scenes.processed import list_scenes, read_scene
from ceco3d.preprocessing.labeled import Folder, SplitRule
from ceco3d.utils.errors import UserError
from tests.helpers.own_scans import CLASSES, FORMATS, IDS, NAMES, make_points, write_scans


def folder(tmp_path, raw, **options):
    return Folder("mine", raw, tmp_path / "processed", **options)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Three scans, the last one for validation."""
    raw = write_scans(tmp_path_factory.mktemp("raw"), scans=3)
    (raw / "train.txt").write_text("room00\nroom01.ply\n")
    (raw / "val.txt").write_text("room02\n")
    return raw


@pytest.fixture
def copied(raw, tmp_path):
    return Path(shutil.copytree(raw, tmp_path / "raw"))


@pytest.mark.parametrize("kind", FORMATS)
def test_all_formats_give_the_same_scenes(tmp_path, kind):
    raw = write_scans(tmp_path / "raw", kind, 2)
    data = folder(tmp_path, raw, splits={"train": ["room00*"], "val": ["room01*"]})
    assert data.preprocess(None, 1).failed == ()
    (scene_folder,) = list_scenes(data.root, "val")
    scene = read_scene(scene_folder, data.space(), features=["color"])
    coord, color, label = make_points(1)
    assert scene.name == "room01"
    np.testing.assert_allclose(scene.coord.numpy(), coord - coord.min(0), atol=2e-4)
    np.testing.assert_array_equal(scene.color.numpy(), color)
    np.testing.assert_array_equal(np.array(IDS)[scene.segment.numpy()], label)
    expected = np.arange(len(label)) % 5 - 1 if kind == "kitti" else np.full(len(label), -1)
    np.testing.assert_array_equal(scene.instance.numpy(), expected)


def test_the_space_is_finished_with_groups(tmp_path, raw):
    data = folder(tmp_path, raw)
    with pytest.raises(UserError, match=r"classes.json is missing: make the processed scenes"):
        data.space()
    data.preprocess(None, 1)
    space = data.space()
    assert (space.ids, space.names) == (IDS, NAMES)
    assert space.groups == {"head": (0, 1, space.groups["head"][2]), **{k: space.groups[k] for k in ("common", "tail")}}
    assert space.grouping == "Head, common and tail are thirds of the classes by points in train."


def test_a_second_run_makes_only_what_changed(tmp_path, copied):
    data = folder(tmp_path, copied)
    assert data.preprocess(None, 1).done == 3
    assert (data.preprocess(None, 1).done, data.preprocess(None, 1).skipped) == (0, 3)
    FORMATS["ply"](copied / "room01", *make_points(7))
    assert data.preprocess(None, 1).done == 1
    (copied / "classes.csv").write_text(CLASSES.replace("100,crate\n", "").replace("41,shelf", "41,shelf\n100,box"))
    assert data.preprocess(None, 1).done == 3
    assert data.space().names[-1] == "box"
    (copied / "val.txt").write_text("room01\n")
    (copied / "train.txt").write_text("room00\nroom02\n")
    assert data.preprocess(None, 1).done == 2
    assert [[f.name for f in list_scenes(data.root, s)] for s in ("train", "val")] == [["room00", "room02"], ["room01"]]


def test_classes_are_found_and_edited(tmp_path):
    raw = write_scans(tmp_path / "raw", "laz", 4, classes=False)
    data = folder(tmp_path, raw, classes="auto", shares={"val": 0.25})
    data.preprocess(None, 1)
    written = data.root / "classes.csv"
    lines = written.read_text().splitlines()
    assert lines[0] == "id,name,color,group,alias,points,scans"
    assert [line.split(",")[:2] for line in lines[1:4]] == [
        ["2", "ground"],
        ["3", "low vegetation"],
        ["7", "low noise"],
    ]
    assert all(line.endswith(",4") for line in lines[1:])
    written.write_text(written.read_text().replace("ground", "soil").replace("100,class 100,", "100,ignored,"))
    written.write_text(
        "\n".join(x if not x.startswith("100,") else "100,,,ignored,," for x in written.read_text().splitlines())
    )
    assert data.preprocess(None, 1).done == 4
    assert data.space().names[0] == "soil"
    assert len(data.space()) == 6


def test_las_points_that_were_never_classified_have_no_class(tmp_path):
    raw = write_scans(tmp_path / "raw", "laz", 2, classes=False)
    las = laspy.read(raw / "room00.laz")
    las.classification[:10] = [0, 1] * 5
    las.write(str(raw / "room00.laz"))
    data = folder(tmp_path, raw)
    data.preprocess(None, 1)
    assert data.space().ids == IDS
    assert data.space().ignored == (0, 1)


def test_labels_and_instances_are_named(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    coord, color, label = make_points(0)
    for name in ("a", "b"):
        np.savez(raw / f"{name}.npz", points=coord, label=label * 0, mine=label, thing=np.arange(len(label)) // 100)
    data = folder(tmp_path, raw, labels="mine", instances="thing", shares={"val": 0.5})
    (raw / "classes.csv").write_text(CLASSES)
    data.preprocess(None, 1)
    scene = read_scene(list_scenes(data.root, "val")[0], data.space(), features=["coord"])
    np.testing.assert_array_equal(np.array(IDS)[scene.segment.numpy()], label)
    assert scene.instance.unique().tolist() == [0, 1, 2, 3, 4, 5]
    assert "by instances" in data.space().grouping


SCANS = [f"scene{place:04d}_{take:02d}" for place in range(10) for take in range(2)]


def test_a_split_by_shares_keeps_places_together():
    chosen = SplitRule(shares={"val": 0.2, "test": 0.1}).choose(Path("raw"), SCANS)
    counts = [list(chosen.values()).count(split) for split in ("train", "val", "test")]
    assert counts == [14, 4, 2]
    assert all(chosen[scan] == chosen[scan[:-1] + "0"] for scan in SCANS)
    more = SplitRule(shares={"val": 0.2, "test": 0.1}).choose(Path("raw"), [*SCANS, "other_00"])
    assert sum(more[scan] != chosen[scan] for scan in SCANS) <= 4
    assert SplitRule(seed=1, shares={"val": 0.2, "test": 0.1}).choose(Path("raw"), SCANS) != chosen


def test_a_group_of_ones_own():
    scans = [f"hall{k}-take{i}" for k in range(4) for i in range(5)]
    chosen = SplitRule(group=r"(hall\d+)").choose(Path("raw"), scans)
    assert list(chosen.values()).count("val") == 5
    assert all(chosen[scan] == chosen[scan[:-1] + "0"] for scan in scans)


@pytest.mark.parametrize(
    ("scans", "patterns", "expected"),
    [
        (
            ["train/a", "validation/b", "test/c", "d"],
            None,
            {"train/a": "train", "validation/b": "val", "test/c": "test"},
        ),
        (["x/a1", "x/a2", "b1"], {"train": "x/*", "val": "b*"}, {"x/a1": "train", "x/a2": "train", "b1": "val"}),
        (["x/a1", "y/b1"], {"train": "x", "val": ["y"]}, {"x/a1": "train", "y/b1": "val"}),
    ],
)
def test_splits_by_folders_and_patterns(scans, patterns, expected):
    assert SplitRule(patterns).choose(Path("raw"), scans) == expected


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": "room00\nroom01\n", "val": "room01\n"}, "1 scans are in two splits, train and val.*room01"),
        ({"train": "room00\nroom07\nroom08\n"}, "train.txt names 2 scans that are not there: room07, room08"),
        ({"train": "# none\n"}, "train.txt names no scan"),
    ],
)
def test_lists_that_do_not_fit(tmp_path, copied, lists, message):
    for split, text in lists.items():
        (copied / f"{split}.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        folder(tmp_path, copied).preprocess(None, 1)
    assert not list((tmp_path / "processed").glob("*/room*"))


def test_patterns_that_match_nothing(tmp_path, copied):
    with pytest.raises(UserError, match=r"dataset.splits.val=no\*: no scan in .* scans: room00"):
        folder(tmp_path, copied, splits={"train": "room*", "val": "no*"}).preprocess(None, 1)
    with pytest.raises(UserError, match=r"dataset.splits.valid: no such split"):
        folder(tmp_path, copied, splits={"train": "room*", "valid": "room02"}).preprocess(None, 1)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"labels": "kind"}, None, r"room00.ply: has no column 'kind' \(dataset.labels=kind\); its columns: x, y, z"),
        ({"labels": ".mine"}, None, "none of the 2 training scans has labels of a class"),
        ({"raw": None}, None, "dataset.raw is not set"),
        ({"raw": Path("missing")}, None, "missing: no such folder"),
        ({"classes": "none.csv"}, None, "none.csv: no such class file"),
        ({}, ("classes.csv", "id,name\n1,a\n1,b\n"), "classes.csv: line 3: id 1 is already that of line 2"),
        ({}, ("classes.csv", "id,name\n1,a\n2,A\n"), "classes.csv: line 3: name 'a' is already that of line 2"),
        (
            {},
            ("classes.csv", "id,name\n2,floor\n"),
            r"classes.csv: 1,2\d\d points have 6 labels that are no class: 3 \(5\d\d points\).*, and 1 more; add them, or",
        ),
        ({}, ("room00.labels.txt", "2\n3\n"), "room00.labels.txt has 2 labels for 600 points"),
        ({}, ("room00.labels.txt", "2\n2.5\n" * 300), "room00.labels.txt: holds numbers that are no labels"),
        ({}, ("room00.labels.txt", "1,2\n" * 600), "room00.labels.txt: has several values in a line"),
    ],
)
def test_bad_input_is_one_line(tmp_path, copied, options, change, message):
    if change is not None:
        (copied / change[0]).write_text(change[1])
    data = replace(folder(tmp_path, copied), **options)
    with pytest.raises(UserError, match=message) as error:
        summary = data.preprocess(None, 1)
        raise UserError(summary.failed[0][1])
    assert "\n" not in str(error.value)


def test_an_unreadable_scan_does_not_stop_the_others(tmp_path, copied):
    (copied / "room01.ply").write_bytes(b"ply\nnothing")
    summary = folder(tmp_path, copied).preprocess(None, 1)
    assert (summary.done, [name for name, _ in summary.failed]) == (2, ["room01"])


def test_the_check_sees_what_looks_wrong(tmp_path, copied):
    coord, color, label = make_points(0)
    coord[3] = np.nan
    FORMATS["ply"](copied / "room02", coord * 1000, color, label)
    shutil.copy(copied / "room00.ply", copied / "room05.ply")
    shutil.copy(copied / "room00.ply", copied / "room06.ply")
    (copied / "val.txt").write_text("room02\nroom05\n")
    (copied / "classes.csv").write_text(CLASSES + "200,lamp\n")
    check = folder(tmp_path, copied).check(1)
    rows = {what: (found, remark) for what, found, remark in check.rows()}
    assert rows["scans"] == ("train 2, val 2, test 0", "in no split: room06")
    assert rows["points"] == ("2,400", "1 not usable (NaN, or far from all others)")
    assert rows["classes seen"] == ("7 of 8", "not in train: lamp")
    assert rows["duplicates"][1] == "in several splits, so scores are of seen scans: train/room00=val/room05"
    assert rows["longest side"][0].endswith("3000 m")
    assert check.class_rows()[0][:3] == ("2", "floor", "head")
    assert not list((tmp_path / "processed").glob("*/room*"))


def test_unusable_points_are_left_out(tmp_path, copied):
    coord, color, label = make_points(2)
    coord[5] = np.inf
    FORMATS["ply"](copied / "room02", coord, color, label)
    data = folder(tmp_path, copied)
    data.preprocess(None, 1)
    assert len(read_scene(list_scenes(data.root, "val")[0], data.space(), features=["color"])) == len(coord) - 1


def test_scans_without_labels_are_left_out_of_train(tmp_path, copied):
    (copied / "train.txt").write_text("room00\nroom01\nroom03\n")
    np.save(copied / "room03.npy", np.random.default_rng(0).uniform(0, 3, (50, 3)))
    data = folder(tmp_path, copied)
    summary = data.preprocess(None, 1)
    assert [scene.name for scene in list_scenes(data.root, "train")] == ["room00", "room01"]
    assert "1 scans of train and val have no labels and are left out" in summary.notes
    (copied / "test.txt").write_text("room03\n")
    (copied / "train.txt").write_text("room00\nroom01\n")
    data.preprocess(None, 1)
    assert (read_scene(list_scenes(data.root, "test")[0], data.space(), features=["color"]).segment == -1).all()


def test_what_is_stored_for_the_next_check_is_not_trusted(tmp_path, copied):
    data = folder(tmp_path, copied)
    data.check(1)
    for path in (data.root / ".check").glob("*/*.json"):
        stored = json.loads(path.read_text())
        path.write_text(json.dumps({**stored, "findings": {"points": "many"}}))
    assert data.preprocess(None, 1).done == 3
