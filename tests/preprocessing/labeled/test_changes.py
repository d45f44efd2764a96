"""Preprocessing again after something has changed: only what depends on it is made anew."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ceco3d.data.labels import IGNORE, read_classes
from tests.helpers.labeled_scans import IDS, made_up, write_ply, write_scans


def counts(outcome) -> tuple[int, int, int]:
    """Scenes made, already there, and failed."""
    found = re.search(r"(\d+) scenes made, (\d+) were there, (\d+) failed", outcome.out)
    assert found, outcome.out + outcome.err
    return tuple(map(int, found.groups()))


def states(root: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of the coordinates of every scene."""
    paths = sorted(root.glob("*/*/coord.npy"))
    return {path.parent.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def remade(root: Path, before: dict[str, tuple[int, int]]) -> list[str]:
    return sorted(name for name, state in states(root).items() if before.get(name) != state)


@pytest.fixture
def done(preprocess, tmp_path) -> Path:
    """Six preprocessed scans in folders called train and val."""
    write_scans(tmp_path / "raw", count=6)
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        (tmp_path / "raw" / split).mkdir()
        for number in numbers:
            (tmp_path / f"raw/room{number:02}.ply").rename(tmp_path / f"raw/{split}/room{number:02}.ply")
    assert counts(preprocess()) == (6, 0, 0)
    return tmp_path / "done"


def test_nothing_changed_nothing_is_made(preprocess, done):
    before = states(done)
    outcome = preprocess()
    assert counts(outcome) == (0, 6, 0)
    assert outcome.err == ""
    assert states(done) == before


def test_a_changed_scan_remakes_its_scene_alone(preprocess, done, tmp_path):
    before = states(done)
    write_ply(tmp_path / "raw/train/room02.ply", made_up(77))
    assert counts(preprocess()) == (1, 5, 0)
    assert remade(done, before) == ["room02"]
    assert len(np.load(done / "train/room02/coord.npy")) == len(made_up(77).coord)


def test_a_new_and_a_removed_scan(preprocess, done, tmp_path):
    before = states(done)
    write_ply(tmp_path / "raw/train/room07.ply", made_up(7))
    (tmp_path / "raw/train/room01.ply").unlink()
    outcome = preprocess()
    assert counts(outcome) == (1, 5, 0)
    assert "room01: removed, its scan is no longer in this split" in outcome.out
    assert remade(done, before) == ["room07"]
    assert "room01" not in states(done)


def test_a_scan_moved_to_another_split_moves_its_scene(preprocess, done, tmp_path):
    (tmp_path / "raw/train/room02.ply").rename(tmp_path / "raw/val/room02.ply")
    assert counts(preprocess()) == (1, 5, 0)
    assert sorted(path.name for path in (done / "train").glob("room*")) == ["room00", "room01", "room03"]
    assert sorted(path.name for path in (done / "val").glob("room*")) == ["room02", "room04", "room05"]


def test_one_split_alone_leaves_the_others_as_they_are(preprocess, done, tmp_path):
    before = states(done)
    write_ply(tmp_path / "raw/train/room02.ply", made_up(77))
    write_ply(tmp_path / "raw/val/room04.ply", made_up(78))
    assert counts(preprocess("splits=[val]")) == (1, 1, 0)
    assert remade(done, before) == ["room04"]
    assert len(states(done)) == 6


def test_parts_of_the_scans_on_several_machines(preprocess, tmp_path):
    write_scans(tmp_path / "raw", count=6)
    assert counts(preprocess("shard=1/2")) == (3, 0, 0)
    assert counts(preprocess("shard=2/2")) == (3, 0, 0)
    assert counts(preprocess()) == (0, 6, 0)


def test_other_classes_remake_all_scenes_and_other_colors_none(preprocess, done, tmp_path):
    file = tmp_path / "raw/classes.csv"
    before = states(done)
    file.write_text(file.read_text().replace("id,name\n", "id,name,color,group\n").replace(",ground", ",ground,1 2 3"))
    assert counts(preprocess()) == (0, 6, 0)
    assert states(done) == before
    assert json.loads((done / "classes.json").read_text())["colors"][0] == [1, 2, 3]
    file.write_text("id,name,alias\n2,floor,5|6|9|17|40\n200,plant,\n")
    assert counts(preprocess()) == (6, 0, 0)
    segment = np.load(done / "train/room00/segment.npy")
    assert segment.tolist() == (made_up(0).label == 200).astype(int).tolist()


def test_found_classes_are_written_with_counts_and_editing_them_remakes_the_scenes(preprocess, tmp_path):
    scans = write_scans(tmp_path / "raw", count=4, classes=False)
    outcome = preprocess("classes=auto")
    assert counts(outcome) == (4, 0, 0)
    file = tmp_path / "done/classes.csv"
    assert "classes.csv: 7 classes found; edit their names, colors and groups, and run again" in outcome.out
    rows = [line.split(",") for line in file.read_text().splitlines()]
    assert rows[0] == ["id", "name", "color", "group", "alias", "points", "scans"]
    everything = np.concatenate([scan.label for scan in scans])
    for row, number in zip(rows[1:], IDS, strict=True):
        assert (row[0], row[1]) == (str(number), f"class {number}")
        assert int(row[5]) == (everything == number).sum()
        assert int(row[6]) == (2 if number == 200 else 4)
    edited = re.sub(r"\n9,.*\n", "\n9,,,ignored,,,\n", file.read_text().replace("class 5,", "Wall,"))
    file.write_text(edited)
    outcome = preprocess("classes=auto")
    assert counts(outcome) == (4, 0, 0)
    assert "classes found" not in outcome.out
    assert file.read_text() == edited
    space = read_classes(file)
    assert "Wall" in space.names
    segment = np.load(next((tmp_path / "done").glob("*/room00/segment.npy")))
    assert (segment == IGNORE).sum() == (scans[0].label == 9).sum()


def test_another_rule_for_splits_makes_no_scene_anew_that_stays(preprocess, tmp_path):
    write_scans(tmp_path / "raw", count=6)
    preprocess("dataset.splits.train=room0[0-3]", "dataset.splits.val=room0[45]")
    before = states(tmp_path / "done")
    outcome = preprocess("dataset.splits.train=room0[0-2]", "dataset.splits.val=room0[3-5]")
    assert counts(outcome) == (1, 5, 0)
    assert remade(tmp_path / "done", before) == ["room03"]


def test_a_damaged_scene_is_made_again(preprocess, done):
    (done / "val/room05/segment.npy").unlink()
    assert counts(preprocess()) == (1, 5, 0)
