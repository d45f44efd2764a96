"""Which scans are for training, validation and testing."""

from __future__ import annotations

from collections import Counter

import pytest

from ceco3d.preprocessing.labeled.splits import SplitRule
from ceco3d.utils.errors import UserError

ROOMS = [f"room{number:02}" for number in range(12)]
AREAS = [f"area_{area}/{name}" for area in (1, 2, 5) for name in ("hall_1", "hall_2", "office.v2")]


def of(chosen: dict[str, str], split: str) -> list[str]:
    return sorted(scan for scan, where in chosen.items() if where == split)


def test_folders_name_the_splits(tmp_path):
    scans = ["train/a", "Training/b", "x/val/c", "validation/d", "test/e", "other/f", "g", "trainee/h"]
    chosen = SplitRule().choose(tmp_path, scans)
    assert [of(chosen, split) for split in ("train", "val", "test")] == [
        ["Training/b", "train/a"],
        ["validation/d", "x/val/c"],
        ["test/e"],
    ]


@pytest.mark.parametrize("line", ["{}", "{}.ply", "./deep/{}.las", "  {}  "])
def test_lists_name_the_splits(tmp_path, line):
    for split, names in (("train", ROOMS[:8]), ("val", ROOMS[8:10])):
        lines = ["# scans", "", *(line.format(name) for name in names)]
        (tmp_path / f"{split}.txt").write_bytes("\r\n".join(lines).encode())
    chosen = SplitRule().choose(tmp_path, ROOMS)
    assert of(chosen, "train") == ROOMS[:8]
    assert of(chosen, "val") == ROOMS[8:10]
    assert len(chosen) == 10


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("area_5", ["area_5/hall_1", "area_5/hall_2", "area_5/office.v2"]),
        ("area_5/", ["area_5/hall_1", "area_5/hall_2", "area_5/office.v2"]),
        ("area_5/*.ply", ["area_5/hall_1", "area_5/hall_2", "area_5/office.v2"]),
        ("area_5/*.*", ["area_5/hall_1", "area_5/hall_2", "area_5/office.v2"]),
        ("area_?/hall_1", ["area_1/hall_1", "area_2/hall_1", "area_5/hall_1"]),
        ("*_1.LAZ", ["area_1/hall_1", "area_2/hall_1", "area_5/hall_1"]),
        ("office.v2", ["area_1/office.v2", "area_2/office.v2", "area_5/office.v2"]),
        ("office.v2.ply", ["area_1/office.v2", "area_2/office.v2", "area_5/office.v2"]),
        (["area_1/hall_2", "area_2/*_[2-9]"], ["area_1/hall_2", "area_2/hall_2"]),
        ("mine.txt", ["area_2/hall_2", "area_5/hall_1"]),
        ("{tmp}/mine.txt", ["area_2/hall_2", "area_5/hall_1"]),
    ],
)
def test_patterns_name_a_split(tmp_path, pattern, expected):
    (tmp_path / "mine.txt").write_text("area_5/hall_1.ply\narea_2/hall_2\n")
    given = pattern.replace("{tmp}", str(tmp_path)) if isinstance(pattern, str) else pattern
    assert of(SplitRule({"val": given, "train": None}).choose(tmp_path, AREAS), "val") == expected


def test_shares_are_stable_and_counted_in_scans(tmp_path):
    rule = SplitRule(shares={"val": 0.2, "test": 0.1})
    chosen = rule.choose(tmp_path, ROOMS)
    assert Counter(chosen.values()) == {"train": 7, "val": 3, "test": 2}
    assert rule.choose(tmp_path, ROOMS[::-1]) == chosen
    assert SplitRule(shares=rule.shares, seed=1).choose(tmp_path, ROOMS) != chosen
    more = rule.choose(tmp_path, [*ROOMS, "room99"])
    assert sum(more[scan] != chosen[scan] for scan in ROOMS) <= 2


@pytest.mark.parametrize("group", [None, r"(.+)_\d+", r"^scene\d+"])
def test_scans_of_one_place_stay_together(tmp_path, group):
    scans = [f"scene{room:04}_{scan:02}" for room in range(20) for scan in range(1 + room % 4)]
    chosen = SplitRule(group=group, shares={"val": 0.3, "test": 0.2}).choose(tmp_path, scans)
    splits = {scan[:9]: {chosen[other] for other in scans if other.startswith(scan[:9])} for scan in scans}
    assert all(len(found) == 1 for found in splits.values())
    assert 0.3 * len(scans) <= len(of(chosen, "val")) < 0.3 * len(scans) + 4
    assert of(chosen, "test")


def test_no_share_for_validation_leaves_all_in_train(tmp_path):
    assert set(SplitRule(shares={"val": 0, "test": 0}).choose(tmp_path, ROOMS).values()) == {"train"}


WRONG = [
    (
        {"train": "room0*", "val": "room*"},
        "10 scans are in two splits, train and val: room00, room01",
    ),
    ({"train": "hall*"}, "dataset.splits.train=hall*: no scan in {tmp} is in it; scans: room00, room01, room02"),
    ({"train": "gone.txt"}, "dataset.splits.train=gone.txt: no scan in {tmp} is in it"),
    ({"train": "more.txt"}, "{tmp}/more.txt names 2 scans that are not there: room12, hall; scans: room00"),
    ({"train": "none.txt"}, "{tmp}/none.txt names no scan"),
    ({"valid": "room*"}, "dataset.splits.valid: no such split; the splits are train, val, test"),
]


@pytest.mark.parametrize(("patterns", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_split_is_refused(tmp_path, patterns, message):
    (tmp_path / "more.txt").write_text("room01\nroom12\nhall\n")
    (tmp_path / "none.txt").write_text("# room01\n")
    with pytest.raises(UserError) as caught:
        SplitRule(patterns).choose(tmp_path, ROOMS)
    assert message.replace("{tmp}", str(tmp_path)) in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "scans", "message"),
    [
        (SplitRule(), ROOMS[:1], "1 scans in 1 groups are too few for a split by shares"),
        (SplitRule(), ["scene0001_00", "scene0001_01"], "2 scans in 1 groups are too few"),
        (SplitRule(shares={"val": 1.0}), ROOMS, "too few"),
        (SplitRule(group="(room"), ROOMS, "dataset.group=(room: is no regular expression"),
        (SplitRule(), ["train/val/a"], "1 scans are in two splits, train and val: train/val/a"),
    ],
)
def test_scans_that_cannot_be_split_are_refused(tmp_path, rule, scans, message):
    with pytest.raises(UserError) as caught:
        rule.choose(tmp_path, scans)
    assert message in str(caught.value)


def test_a_name_of_two_scans_in_a_list_needs_its_folder(tmp_path):
    (tmp_path / "train.txt").write_text("hall_1\n")
    with pytest.raises(UserError, match=r"train.txt: hall_1 can be area_1/hall_1 and area_2/hall_1; write it with"):
        SplitRule().choose(tmp_path, AREAS)
