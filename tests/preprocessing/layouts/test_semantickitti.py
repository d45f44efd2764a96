"""SemanticKITTI: sweeps, packed labels, splits and the 19 classes."""

import time

import numpy as np
import pytest

from ceco3d.data.labels import label_space
from ceco3d.data.scenes.processed import read_scene
from ceco3d.preprocessing.layouts.semantickitti import SemanticKITTI, SemanticKITTILayout
from ceco3d.utils.errors import UserError
from tests.helpers.public_scans import semantickitti

SPACE = label_space("semantickitti")


@pytest.mark.parametrize("folder", ["", "dataset"])
def test_sweeps_are_found_by_sequence(tmp_path, folder):
    semantickitti(tmp_path / folder)
    scans = SemanticKITTILayout(tmp_path).scans()
    assert [(scan.name, scan.split, len(scan.files)) for scan in scans] == [
        *((f"00-00000{k}", "train", 2) for k in range(2)),
        *((f"08-00000{k}", "val", 2) for k in range(2)),
        *((f"11-00000{k}", "test", 1) for k in range(2)),
    ]


def test_twenty_thousand_sweeps_are_found_in_seconds(tmp_path):
    (tmp_path / "sequences" / "00" / "velodyne").mkdir(parents=True)
    for k in range(20_000):
        (tmp_path / "sequences" / "00" / "velodyne" / f"{k:06}.bin").touch()
    start = time.perf_counter()
    assert len(SemanticKITTILayout(tmp_path).scans()) == 20_000
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        *((10, "car"), (252, "car"), (13, "other-vehicle"), (259, "other-vehicle"), (60, "road"), (40, "road")),
        *((253, "bicyclist"), (254, "person"), (255, "motorcyclist"), (258, "truck"), (81, "traffic-sign")),
    ],
)
def test_moving_and_rare_classes_are_merged(raw, name):
    assert SPACE.names[int(SPACE.index_of(np.array(raw)))] == name


def test_there_are_nineteen_classes_and_four_ignored_ids():
    assert len(SPACE) == 19
    assert SPACE.ignored == (0, 1, 52, 99)
    assert (SPACE.index_of(np.array(SPACE.ignored)) == -1).all()


def test_scenes_have_intensity_and_objects_but_no_color(tmp_path):
    summary = SemanticKITTI("semantickitti", semantickitti(tmp_path / "raw"), tmp_path / "root").preprocess(None, 1)
    assert (summary.done, summary.failed) == (6, ())
    scene = read_scene(tmp_path / "root" / "val" / "08-000000", SPACE, features=("coord", "intensity"))
    raw = np.fromfile(tmp_path / "raw/sequences/08/velodyne/000000.bin", "<f4").reshape(-1, 4)
    packed = np.fromfile(tmp_path / "raw/sequences/08/labels/000000.label", "<u4")
    assert scene.intensity.numpy() == pytest.approx(raw[:, 3])
    assert (scene.segment.numpy() == SPACE.index_of(packed & 0xFFFF)).all()
    objects = np.where(packed >> 16, packed, 0)
    assert len(np.unique(scene.instance.numpy())) == len(np.unique(objects))
    assert not (tmp_path / "root" / "val" / "08-000000" / "color.npy").exists()


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("velodyne/000001.bin", b"0" * 33, "has 33 bytes, not 16 for each point"),
        ("velodyne/000001.bin", b"", "has 0 bytes"),
        ("labels/000001.label", b"0" * 40, "has 10 labels for 3,000 points"),
        ("labels/000001.label", b"0" * 41, "41 bytes, which is no multiple of 4"),
    ],
)
def test_damaged_files_are_errors_of_their_sweep(tmp_path, file, content, reason):
    raw = semantickitti(tmp_path / "raw")
    (raw / "sequences" / "00" / file).write_bytes(content)
    summary = SemanticKITTI("semantickitti", raw, tmp_path / "root").preprocess(None, 1)
    assert summary.done == 5
    ((name, found),) = summary.failed
    assert name == "00-000001"
    assert reason in found


def test_unknown_ids_are_an_error_with_their_points(tmp_path):
    raw = semantickitti(tmp_path / "raw", labels=(10, 7))
    with pytest.raises(UserError, match=r"points have 1 labels that are no class: 7 \("):
        SemanticKITTI("semantickitti", raw, tmp_path / "root").preprocess(None, 1)


def test_sweeps_without_labels_are_left_out_of_training(tmp_path):
    raw = semantickitti(tmp_path / "raw")
    (raw / "sequences/00/labels/000001.label").unlink()
    summary = SemanticKITTI("semantickitti", raw, tmp_path / "root").preprocess(None, 1)
    assert summary.done == 5
    assert "1 scans of train and val have no labels and are left out" in summary.notes


@pytest.mark.parametrize(("folder", "reason"), [("x", "no folder sequences/"), ("sequences/00", "no sequence with")])
def test_another_folder_says_what_to_download(tmp_path, folder, reason):
    (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(UserError, match=rf"{reason}.*semantic-kitti.org"):
        SemanticKITTILayout(tmp_path).scans()
