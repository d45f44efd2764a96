"""S3DIS as it is downloaded, its broken lines included, and as Pointcept has processed it."""

import numpy as np
import pytest

from ceco3d.data.labels import label_space
from ceco3d.preprocessing.layouts.s3dis import S3DIS, S3DISLayout, read_object
from ceco3d.utils.errors import UserError
from tests.helpers.public_scans import OBJECTS, s3dis


def test_rooms_are_found_by_area(tmp_path):
    scans = S3DISLayout(s3dis(tmp_path, (1, 2, 5))).scans()
    assert [(scan.name, scan.split) for scan in scans] == [
        ("Area_1-office_1", "train"),
        ("Area_2-office_1", "train"),
        ("Area_5-office_1", "val"),
    ]
    assert {scan.name for scan in S3DISLayout(tmp_path, val_area=2).scans() if scan.split == "val"} == {
        "Area_2-office_1"
    }


def test_every_object_is_an_instance_with_the_class_of_its_file(tmp_path):
    layout = S3DISLayout(s3dis(tmp_path))
    points = layout.read(layout.scans()[0])
    assert len(points.scan) == 400 * len(OBJECTS)
    assert points.scan.color.dtype == np.uint8
    for k, name in enumerate(sorted(OBJECTS)):
        mine = points.instance == k
        assert mine.sum() == 400
        assert set(points.labels[mine]) == {name.rpartition("_")[0]}
        assert set(points.scan.color[mine, 0].tolist()) == {OBJECTS.index(name) * 40}


def test_the_classes_are_the_usual_thirteen_and_stairs_are_clutter():
    space = label_space("s3dis")
    assert len(space) == 13
    assert space.index_of_names(np.array(["ceiling", "clutter", "stairs", "sofaa"])).tolist() == [0, 12, 12, -1]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (b"1.500 2.250 3.125 103.0\x100000 100 7", (1.5, 2.25, 3.125, 103, 100, 7)),  # Area_5/office_19
        (b"1.500 -9.1\x160 3.125 80 100 7", (1.5, -9.16, 3.125, 80, 100, 7)),  # Area_3/hallway_2
        (b"1.500 2.250 3.125 185\x00187 7", (1.5, 2.25, 3.125, 185, 187, 7)),  # Area_5/hallway_6
    ],
)
def test_the_broken_lines_of_the_release_are_repaired(tmp_path, line, row):
    path = s3dis(tmp_path, broken=line) / "Area_5" / "office_1" / "Annotations" / "ceiling_1.txt"
    table = read_object(path)
    assert table.shape == (400, 6)
    assert table[17] == pytest.approx(row)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1.5 2.5 3.5 1x3 100 7", "'1x3' is not a number"),
        (b"1.5 2.5 3.5 103 100", "point 18 has 5 numbers, not 6"),
    ],
)
def test_other_broken_lines_are_errors_with_the_file_and_the_point(tmp_path, line, reason):
    path = s3dis(tmp_path, broken=line) / "Area_5" / "office_1" / "Annotations" / "ceiling_1.txt"
    with pytest.raises(UserError, match=rf"ceiling_1.txt: .*{reason}"):
        read_object(path)


def test_an_unknown_class_is_an_error_with_its_points(tmp_path):
    raw = s3dis(tmp_path / "raw")
    folder = raw / "Area_1" / "office_1" / "Annotations"
    (folder / "chair_2.txt").rename(folder / "sofaa_1.txt")
    with pytest.raises(UserError, match=r"400 points have 1 labels that are no class: sofaa \(400 points\)"):
        S3DIS("s3dis", raw, tmp_path / "root").preprocess(None, 1)


def test_a_room_without_objects_fails_and_the_others_do_not(tmp_path):
    raw = s3dis(tmp_path / "raw", (1, 2, 5))
    for path in (raw / "Area_2" / "office_1" / "Annotations").iterdir():
        path.unlink()
    summary = S3DIS("s3dis", raw, tmp_path / "root").preprocess(None, 1)
    assert summary.done == 2
    ((name, reason),) = summary.failed
    assert name == "Area_2-office_1"
    assert "is missing or has no objects" in reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "dataset.raw is not set: request S3DIS"),
        ("absent", "there is no folder .*absent: request S3DIS"),
        ("empty", "no folder Area_1 to Area_6 in it"),
    ],
)
def test_a_missing_download_says_where_to_get_it(tmp_path, raw, reason):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=reason):
        S3DIS("s3dis", None if raw is None else tmp_path / raw, tmp_path / "root").preprocess(None, 1)


def test_the_area_for_validation_must_be_there(tmp_path):
    with pytest.raises(UserError, match=r"dataset.val_area=3: .* has Area_1, Area_5"):
        S3DISLayout(s3dis(tmp_path), val_area=3).scans()


def test_another_area_for_validation_makes_only_the_rooms_of_two_areas_anew(tmp_path):
    raw, root = s3dis(tmp_path / "raw", (1, 2, 5)), tmp_path / "root"
    assert S3DIS("s3dis", raw, root).preprocess(None, 1).done == 3
    summary = S3DIS("s3dis", raw, root, val_area=2).preprocess(None, 1)
    assert (summary.done, summary.skipped) == (2, 1)
    assert [path.name for path in (root / "val").iterdir()] == ["Area_2-office_1"]


def test_rooms_of_pointcept_are_read(tmp_path):
    for area in (1, 5):
        room = tmp_path / f"Area_{area}" / "office_1"
        room.mkdir(parents=True)
        np.save(room / "coord.npy", np.random.default_rng(area).random((50, 3)).astype(np.float32))
        np.save(room / "color.npy", np.full((50, 3), area, np.uint8))
        np.save(room / "segment.npy", np.arange(50, dtype=np.int16)[:, None] % 13)
        np.save(room / "instance.npy", np.arange(50, dtype=np.int16)[:, None])
    layout = S3DISLayout(tmp_path)
    points = layout.read(layout.scans()[1])
    assert points.labels.tolist() == [k % 13 for k in range(50)]
    assert points.instance.tolist() == list(range(50))
    assert (points.scan.color == 5).all()


def test_processed_scenes_of_other_programs_need_no_download(tmp_path):
    assert S3DIS("s3dis", None, tmp_path).space().same_classes(label_space("s3dis"))
