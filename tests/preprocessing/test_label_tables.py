"""Label tables, split lists and annotations that do not fit: what preprocessing says, and how a repair takes effect."""

import json
import os
import shutil

import numpy as np
import pytest

from ceco3d.data.labels import label_space
from ceco3d.data.scenes.frequency import class_frequency
from ceco3d.data.scenes.processed import list_scenes, read_scene
from ceco3d.preprocessing.label_table import read_label_table
from ceco3d.preprocessing.pipeline import preprocess_scenes
from ceco3d.preprocessing.split_lists import read_splits
from ceco3d.preprocessing.summary import Summary, summary_lines
from ceco3d.utils.errors import UserError
from tests.helpers.raw_scene import (
    GROUPS,
    TABLE,
    TABLE_NAME,
    write_groups,
    write_raw_root,
    write_raw_scene,
    write_table,
)

SCANNET200 = label_space("scannet200")

HEADER = "id\traw_category\tnyu40id\n"
BOM = b"\xef\xbb\xbf"


@pytest.fixture
def raw(tmp_path):
    return write_raw_root(tmp_path / "raw")


def without(*names):
    return [row for row in TABLE if row[1] not in names]


def segments(root, split="train"):
    return {folder.name: read_scene(folder, SCANNET200).segment.tolist() for folder in list_scenes(root, split)}


# Names that the table lacks


def test_names_that_the_table_lacks_are_counted_and_named(tmp_path, raw):
    write_table(raw, rows=[*without("chair", "floor"), (9, "chairs", 5)])
    summary = preprocess_scenes(raw, tmp_path / "root", None, 1, True)
    (note,) = summary.notes
    assert note == (
        f"{raw / TABLE_NAME} lacks 2 object names, so 6 objects, 21 vertices stay unlabeled: "
        "'chair' (3 objects, 6 vertices), 'floor' (3 objects, 15 vertices) (for 'chair' it has 'chairs')"
    )
    again = preprocess_scenes(raw, tmp_path / "root", None, 1, True)
    assert again == Summary(done=0, skipped=4, failed=(), notes=(note,))


def test_the_list_of_names_is_short(tmp_path, raw):
    folder = raw / "scans" / "scene0000_00"
    write_groups(folder, [("wall", [37, 40]), *[(f"thing {number:02}", [number]) for number in range(30)]])
    note, _ = preprocess_scenes(raw, tmp_path / "root", ["train"], 1, True).notes
    assert "lacks 30 object names" in note
    assert note.endswith("'thing 09' (1 object, 0 vertices) and 20 more")


def test_clean_data_has_no_notes(tmp_path, raw):
    assert preprocess_scenes(raw, tmp_path / "root", None, 1, True, space="scannet20").notes == ()


def test_scenes_without_labels_are_named(tmp_path, raw):
    write_groups(raw / "scans" / "scene0001_00", [])
    summary = preprocess_scenes(raw, tmp_path / "root", None, 1, True, space="scannet200")
    assert summary.notes == ("1 scene without any labeled vertex of scannet200: train/scene0001_00",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [(3, "flor", 2)],
            "knows none of 3 object names",
        ),
        (
            [(99999, name, 99) for name in ("wall", "floor", "chair")],
            "gives none of 3 object names a class of scannet200",
        ),
    ],
)
def test_a_table_that_labels_nothing_ends_the_run(tmp_path, raw, rows, message):
    write_table(raw, rows=rows)
    for _ in range(2):  # also when all scenes are there
        with pytest.raises(UserError, match=message) as error:
            preprocess_scenes(raw, tmp_path / "root", None, 1, True, space="scannet200")
        assert str(raw / TABLE_NAME) in str(error.value)
        assert "2 scenes of train" in str(error.value)
        assert "\n" not in str(error.value)


def test_a_table_that_labels_nothing_of_one_label_space_ends_its_run(tmp_path, raw):
    write_table(raw, rows=[(raw_id, name, 0) for raw_id, name, _ in TABLE])
    assert preprocess_scenes(raw, tmp_path / "root", None, 1, True, space="scannet200").notes == ()
    with pytest.raises(UserError, match="a class of scannet20 "):
        preprocess_scenes(raw, tmp_path / "root", None, 1, True, space="scannet20")


def test_splits_without_objects_end_the_run(tmp_path, raw):
    write_groups(raw / "scans" / "scene0002_00", [])
    with pytest.raises(UserError, match=r"1 scene of val has a label: their aggregation\.json list no objects"):
        preprocess_scenes(raw, tmp_path / "root", None, 1, True)


def test_objects_of_other_segments_are_counted(tmp_path, raw):
    scans = raw / "scans"
    write_groups(scans / "scene0000_00", [("wall", [37, 40, 10**6]), ("floor", [-5])])
    (note,) = preprocess_scenes(raw, tmp_path / "root", None, 1, True).notes
    assert note.startswith("2 objects in aggregation.json consist of segments that segs.json lacks")
    assert note.endswith("scene0000_00")
    for name in ("scene0000_00", "scene0001_00"):
        write_groups(scans / name, [("wall", [10**6])])
    with pytest.raises(UserError, match=r"aggregation\.json and segs\.json do not fit"):
        preprocess_scenes(raw, tmp_path / "root", ["train"], 1, True)


def test_the_command_ends_with_one_line_and_exit_code_2(run_command, tmp_path, raw):
    write_table(raw, rows=[(3, "flor", 2)])
    options = ["dataset=scannet200", f"dataset.raw={raw}", f"dataset.root={tmp_path / 'root'}", "workers=1"]
    for command in ("preprocess", "train"):
        extra = [] if command == "preprocess" else [f"run_dir={tmp_path / 'run'}", "device=cpu"]
        result = run_command(command, *options, *extra)
        assert result.code == 2
        assert result.err.count("error: ") == 1
        assert "knows none of 3 object names" in result.err
    write_table(raw, rows=without("chair"))
    result = run_command("preprocess", *options)
    assert result.code == 0
    assert "scenes made anew because their label table has changed: 3" in result.out
    assert "warning: " in result.err
    assert "lacks 1 object name" in result.err


# Repairs


def test_a_repaired_table_makes_the_scenes_anew(tmp_path, raw):
    root = tmp_path / "root"
    write_groups(raw / "scans" / "scene0001_00", [("wall", [43, 40])])
    write_table(raw, rows=without("floor"))
    preprocess_scenes(raw, root, None, 1, True)
    assert 2 not in segments(root)["scene0000_00"]
    write_table(raw)
    summary = preprocess_scenes(raw, root, None, 1, True)
    assert summary == Summary(done=2, skipped=2, failed=())  # scene0001 has no floor, the test scene no labels
    assert 2 in segments(root)["scene0000_00"]
    write_table(raw, "\r\n", rows=[(5000, "other", 1), *reversed(TABLE)])  # the same ids
    assert preprocess_scenes(raw, root, None, 1, True) == Summary(done=0, skipped=4, failed=())


@pytest.mark.parametrize("change", ["size", "newer"])
def test_a_changed_scan_is_made_anew(tmp_path, raw, change):
    root = tmp_path / "root"
    preprocess_scenes(raw, root, None, 1, True)
    folder = raw / "scans" / "scene0000_00"
    if change == "size":
        path = folder / "scene0000_00.aggregation.json"
        before = path.stat()
        write_groups(folder, GROUPS[:1])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        path = folder / "scene0000_00_vh_clean_2.ply"
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    assert preprocess_scenes(raw, root, None, 1, True).done == 1
    assert preprocess_scenes(raw, root, None, 1, True).done == 0


def test_scenes_whose_scans_are_gone_stay(tmp_path, raw):
    root = tmp_path / "root"
    preprocess_scenes(raw, root, None, 1, True)
    before = segments(root)
    shutil.rmtree(raw / "scans")
    assert preprocess_scenes(raw, root, None, 1, True) == Summary(done=0, skipped=4, failed=())
    write_table(raw, rows=without("floor"))
    summary = preprocess_scenes(raw, root, None, 1, True)
    assert summary.done == 0
    assert any("3 scenes keep the labels of another" in note for note in summary.notes)
    assert segments(root) == before
    (raw / TABLE_NAME).unlink()
    assert preprocess_scenes(raw, root, None, 1, True) == Summary(done=0, skipped=4, failed=())


def test_scenes_of_other_programs_stay_as_they_are(tmp_path, raw):
    root = tmp_path / "root"
    preprocess_scenes(raw, root, None, 1, True)
    for made in (root / "preprocess.json", root / ".made"):
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    write_table(raw, rows=[(3, "flor", 2)])
    os.utime(raw / "scans" / "scene0000_00" / "scene0000_00_vh_clean_2.ply")
    before = segments(root)
    assert preprocess_scenes(raw, root, None, 1, True) == Summary(done=0, skipped=4, failed=())
    assert segments(root) == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"files": {"x": [Infinity, 1]}, "objects": null}',
        '{"files": 3, "objects": null}',
        '{"files": {}, "objects": {"ids": []}}',
    ],
)
def test_a_damaged_record_counts_as_none(tmp_path, raw, text):
    root = tmp_path / "root"
    preprocess_scenes(raw, root, None, 1, True)
    (root / ".made" / "train" / "scene0000_00.json").write_text(text)
    write_table(raw, rows=without("floor"))
    assert preprocess_scenes(raw, root, None, 1, True).done == 2


def test_a_scene_that_fails_the_second_time_stays(tmp_path, raw):
    root = tmp_path / "root"
    preprocess_scenes(raw, root, None, 1, True)
    (raw / "scans" / "scene0000_00" / "scene0000_00.aggregation.json").write_text("{")
    summary = preprocess_scenes(raw, root, None, 1, True)
    assert [scene for scene, _ in summary.failed] == ["scene0000_00"]
    assert (root / "train" / "scene0000_00" / "coord.npy").is_file()


# Split lists


@pytest.mark.parametrize(
    "data",
    [
        BOM + b"scene0000_00\nscene0001_00\n",
        b"scene0000_00\r\n\r\nscene0001_00\r\nscene0000_00\r\n",
        b"\n\n scene0000_00 \n\tscene0001_00",
        "scene0000_00\r\nscene0001_00\r\n".encode("utf-16"),
    ],
    ids=["byte order mark", "CRLF, blank line, twice", "blanks", "UTF-16"],
)
def test_split_lists_of_any_editor(tmp_path, data):
    (tmp_path / "scannetv2_train.txt").write_bytes(data)
    assert read_splits(tmp_path) == {"train": ["scene0000_00", "scene0001_00"]}


def test_scenes_that_do_not_exist_share_a_line(tmp_path, raw):
    names = [f"scene{number:04}_00" for number in range(100, 140)]
    with (raw / "scannetv2_train.txt").open("a") as file:
        file.write("\n".join(names))
    lines = summary_lines(preprocess_scenes(raw, tmp_path / "root", ["train"], 1, True))
    assert lines[0] == "2 scenes preprocessed, 0 already there, 40 failed"
    assert len(lines) == 2
    assert "40 scenes are listed but missing in the raw folder: scene0100_00, " in lines[1]
    assert "and 30 more" in lines[1]


def test_a_scene_in_two_splits_is_named(tmp_path, raw):
    with (raw / "scannetv2_val.txt").open("a") as file:
        file.write("scene0001_00\n")
    (note,) = preprocess_scenes(raw, tmp_path / "root", None, 1, True).notes
    assert note.endswith("so scores are not of unseen scenes: scene0001_00")


# Label tables


@pytest.mark.parametrize(
    "data",
    [
        BOM + (HEADER + "1\twall\t1\n").encode(),
        (HEADER + "1\twall\t1\n").encode("utf-16"),
        b' id \traw_category\t"nyu40id"\r\n"1"\t"wall"\t1\r\n\r\n',
        (HEADER.strip() + '\tcategory\n1\twall\t1\t"x\n').encode(),
    ],
    ids=["byte order mark", "UTF-16", "quotes", "a stray quote"],
)
def test_label_tables_of_any_editor(tmp_path, data):
    path = tmp_path / "table.tsv"
    path.write_bytes(data)
    table = read_label_table(path)
    assert (table.raw_id, table.nyu40) == ({"wall": 1}, {"wall": 1})


def test_quotes_within_names(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text(HEADER + '1\t12" monitor\t1\n2\t"b\t2\n3\tc\t3\n4\t"d\t4\n')
    assert read_label_table(path).raw_id == {'12" monitor': 1, '"b': 2, "c": 3, '"d': 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,raw_category,nyu40id\n1,wall,1\n", "no column 'raw_category', only id,raw_category,nyu40id"),
        (HEADER + "\twall\t1\n", "damaged .row wall: '' is not a whole number"),
        (HEADER + "1\twall\t1.0\n", "damaged .row wall: '1.0' is not a whole number"),
    ],
)
def test_errors_name_the_row_or_the_columns(tmp_path, text, message):
    path = tmp_path / "table.tsv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_label_table(path)


def test_rows_that_disagree_are_named(tmp_path, raw):
    write_table(raw, rows=[*TABLE, (2, "wall", 5), (1, "wall", 1)])
    (note,) = preprocess_scenes(raw, tmp_path / "root", None, 1, True).notes
    assert note.endswith("has rows that disagree about 1 object name; the first counts: wall")
    assert segments(tmp_path / "root")["scene0000_00"][0] == 0


# Training on scenes without labels


def test_training_scenes_without_labels_are_refused(tmp_path):
    write_raw_scene(tmp_path / "raw" / "scans_test", "scene0000_00", None)
    (tmp_path / "raw" / "scannetv2_test.txt").write_text("scene0000_00")
    preprocess_scenes(tmp_path / "raw", tmp_path / "root", None, 1, True)
    folders = list_scenes(tmp_path / "root", "test")
    with pytest.raises(UserError, match=r"no point of the 1 scenes in .*root/test has a label of scannet200: were"):
        class_frequency(folders, SCANNET200)
    np.save(folders[0] / "segment200.npy", np.full(12, 255, np.int16))
    with pytest.raises(UserError, match=r"the first: .*segment200\.npy holds labels 255\.\.255.* replace it by -1"):
        class_frequency(folders, SCANNET200)


def test_the_record_says_what_a_scene_was_made_from(tmp_path, raw):
    preprocess_scenes(raw, tmp_path / "root", None, 1, True)
    stored = json.loads((tmp_path / "root" / ".made" / "train" / "scene0000_00.json").read_text())
    assert stored["objects"]["ids"] == {"wall": [1, 1], "floor": [3, 2], "chair": [2, 5]}
    assert set(stored["files"]) == {"_vh_clean_2.ply", ".txt", "_vh_clean_2.0.010000.segs.json", ".aggregation.json"}
