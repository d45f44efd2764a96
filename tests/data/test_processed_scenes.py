"""Processed scenes that lack colors or normals, or whose arrays are not as promised: never a wrong input in silence."""

import os
import shutil

import numpy as np
import pytest
import torch

from ceco3d.data.dataset import SceneDataset
from ceco3d.data.labels import label_space
from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.scan_to_scene import GRAY as GRAY_OF_SCANS
from ceco3d.data.pointclouds.scan_to_scene import to_scene
from ceco3d.data.scenes import missing, normals
from ceco3d.data.scenes.colors import GRAY, has_colors
from ceco3d.data.scenes.instance_bank import InstanceBank
from ceco3d.data.scenes.missing import warn_missing
from ceco3d.data.scenes.processed import read_labels, read_scene, write_scene
from ceco3d.data.transforms import SphereCrop
from ceco3d.utils.errors import UserError

SCANNET200 = label_space("scannet200")

COUNT = 400


@pytest.fixture
def folder(tmp_path):
    """The folder of a processed scene without colors and normals of its own choosing: points on two bumpy walls."""
    rng = np.random.default_rng(0)
    coord = rng.random((COUNT, 3)).astype(np.float32) * np.float32(3) + np.float32(17)
    coord[: COUNT // 2, 2] = 17 + 0.05 * np.sin(coord[: COUNT // 2, 0])
    coord[COUNT // 2 :, 1] = 17 + 0.05 * np.cos(coord[COUNT // 2 :, 0])
    normal = rng.normal(size=(COUNT, 3))
    arrays = {
        "coord": coord,
        "color": rng.integers(0, 256, (COUNT, 3)).astype(np.uint8),
        "normal": (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
        "segment20": np.arange(COUNT, dtype=np.int16) % 20,
        "segment200": np.arange(COUNT, dtype=np.int16) % 200,
        "instance": np.full(COUNT, 1, np.int16),
    }
    write_scene(tmp_path / "train" / "room", arrays)
    return tmp_path / "train" / "room"


def change(folder, name, make):
    """Replace an array of the scene by what ``make`` makes of it; None deletes it."""
    path = folder / f"{name}.npy"
    array = np.load(path)
    path.unlink()
    if make is not None:
        np.save(path, make(array))


def predicted(folder):
    """The scene as `python -m ceco3d.predict` sees its folder."""
    return to_scene(read_scan(folder), "room", "m", "z", ["color", "normal"], 0.05)[0]


NO_NORMALS = {
    "no file": None,
    "zeros": np.zeros_like,
    "NaN": lambda normal: np.full_like(normal, np.nan),
    "zeros in float64": lambda normal: np.zeros(normal.shape),
}


@pytest.mark.parametrize("make", NO_NORMALS.values(), ids=NO_NORMALS)
def test_missing_normals_are_those_that_predict_estimates(folder, make):
    change(folder, "normal", make)
    scene = read_scene(folder, SCANNET200)
    shutil.copytree(folder, folder.with_name("other"), ignore=shutil.ignore_patterns("normal*"))
    assert torch.equal(scene.normal, predicted(folder.with_name("other")).normal)
    np.testing.assert_allclose(scene.normal.norm(dim=1), 1, rtol=1e-5)


def test_training_evaluation_and_pasting_see_the_same_normals(folder):
    change(folder, "normal", None)
    whole = read_scene(folder, SCANNET200)
    (cropped,) = [SceneDataset([folder], SCANNET200, None, seed=0, crop=SphereCrop(100))[0].scene]
    rows = (whole.coord[None] == cropped.coord[:, None]).all(2).float().argmax(1)
    assert torch.equal(cropped.normal, whole.normal[rows])
    change(folder, "segment200", np.ones_like)  # chair: walls are not pasted
    (pasted,) = InstanceBank([folder], SCANNET200, min_points=1).draw(1, torch.Generator())
    assert torch.equal(pasted.normal, whole.normal)
    assert torch.equal(SceneDataset([folder], SCANNET200, None, features=["normal"])[0].scene.normal, whole.normal)


def test_normals_that_no_network_needs_are_not_estimated(folder, monkeypatch):
    change(folder, "normal", None)
    monkeypatch.setattr(normals, "estimate_normals", lambda _: pytest.fail("estimated"))
    assert not read_scene(folder, SCANNET200, features=["color"]).normal.any()


def test_estimated_normals_are_kept_until_the_points_change(folder, monkeypatch):
    change(folder, "normal", None)
    first = read_scene(folder, SCANNET200).normal
    with monkeypatch.context() as patch:
        patch.setattr(normals, "estimate_normals", lambda _: pytest.fail("estimated again"))
        assert torch.equal(read_scene(folder, SCANNET200).normal, first)
    stored = folder / normals.STORED
    assert sorted(path.name for path in folder.glob("normal*")) == [stored.name]
    assert not list(folder.glob(".*"))
    stored.write_bytes(stored.read_bytes()[:200])  # damaged
    assert torch.equal(read_scene(folder, SCANNET200).normal, first)
    change(folder, "coord", lambda coord: coord[::-1])
    assert torch.equal(read_scene(folder, SCANNET200).normal, first.flip(0))


def test_a_folder_that_cannot_be_written_works(folder, monkeypatch):
    change(folder, "normal", None)
    expected = normals.missing_normals(np.load(folder / "coord.npy"))

    def refuse(*_):
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(normals.np, "save", refuse)
    np.testing.assert_array_equal(read_scene(folder, SCANNET200).normal.numpy(), expected)


def test_normals_of_any_length_become_unit_vectors(folder):
    unit = read_scene(folder, SCANNET200).normal
    change(folder, "normal", lambda normal: 7 * normal.astype(np.float64))
    np.testing.assert_allclose(read_scene(folder, SCANNET200).normal, unit, atol=1e-6)
    assert torch.equal(read_scene(folder, SCANNET200).normal, predicted(folder).normal)


# Colors


@pytest.mark.parametrize(
    "make",
    [None, np.zeros_like, lambda color: np.full_like(color, 255), lambda color: np.zeros_like(color) + color[:1]],
    ids=["no file", "black", "white", "one color"],
)
def test_scenes_without_colors_are_gray(folder, make):
    change(folder, "color", make)
    assert (read_scene(folder, SCANNET200).color == GRAY).all()
    assert GRAY == GRAY_OF_SCANS


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        (np.zeros((9, 3)), False),
        (np.full((9, 3), np.nan), False),
        (np.zeros((0, 3)), False),
        (np.tile([1, 2, 3], (9000, 1)), False),
        (np.arange(27).reshape(9, 3), True),
        (np.concatenate([np.zeros((5000, 3)), np.ones((1, 3))]), True),
    ],
)
def test_one_color_throughout_is_no_color(color, expected):
    assert has_colors(color) is expected


def test_missing_features_are_reported_once(folder, caplog):
    change(folder, "normal", np.zeros_like)
    change(folder, "color", None)
    shutil.copytree(folder, folder.with_name("empty"))
    (folder.with_name("empty") / "coord.npy").unlink()  # an unreadable scene is reported elsewhere
    folders = [folder, folder.with_name("empty")]
    for _ in range(2):
        SceneDataset(folders, SCANNET200, None, features=["color", "normal"])
    colors, zeros = [record.getMessage() for record in caplog.records]
    assert colors.startswith(f"{folder.parent}: 1 of 2 scenes have no colors ")
    assert zeros.startswith(f"{folder.parent}: 2 of 2 scenes have no normals ")
    assert zeros.endswith(": room, empty")


def test_features_that_no_network_needs_are_not_reported(folder, caplog):
    change(folder, "normal", None)
    warn_missing([folder], ["coord", "color"])
    assert not caplog.records


def test_what_a_split_lacks_is_remembered(folder, caplog, monkeypatch):
    change(folder, "normal", None)
    os.utime(folder.parent, (1, 1))  # settled
    warn_missing([folder], ["normal"])
    assert "1 of 1 scenes have no normals" in caplog.text
    caplog.clear()
    monkeypatch.setattr(missing, "_warned", set())
    np.save(folder / "normal.npy", np.ones((COUNT, 3), np.float32))  # the stored names are looked at again
    warn_missing([folder], ["normal"])
    assert not caplog.records


# Arrays that are not as promised


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("coord", lambda coord: coord.T, r"is float32 \(3, 400\), not float \(N, 3\): transpose"),
        ("color", lambda color: color.T, r"not uint8 \(400, 3\): transpose"),
        ("normal", lambda normal: np.where(np.arange(COUNT)[:, None] == 7, np.nan, normal), "holds NaN"),
        ("coord", lambda coord: np.where(np.arange(COUNT)[:, None] == 7, np.nan, coord), "holds NaN"),
        ("coord", lambda coord: np.where(np.arange(COUNT)[:, None] == 7, np.inf, coord), "holds NaN or infinity"),
        (
            "coord",
            lambda coord: coord + np.float32(5e6),
            r"to 5,000,020 m, .*float32 rounds to steps of 0\.5 m: sub",
        ),
        ("coord", lambda coord: coord.astype(np.float16), r"float16 rounds to steps of 0\.016 m"),
        ("coord", lambda coord: coord.astype(np.float64) * 1e6, "up to .* m, which float32 rounds to steps of"),
        ("segment200", lambda segment: np.where(segment == 3, 255, segment), r"labels 0\.\.255, .*replace it by -1"),
        ("segment200", lambda segment: segment.astype(np.uint8), r"is uint8 \(400,\), not int"),
        ("segment200", lambda segment: segment[:, None, None], r"not int \(400,\)"),
        ("segment200", lambda segment: segment[None], r"not int \(400,\)"),
        ("segment200", lambda segment: segment[1:], r"is int16 \(399,\), not int \(400,\)"),
    ],
)
def test_other_arrays_are_refused_by_name(folder, name, make, message):
    change(folder, name, make)
    with pytest.raises(UserError, match=message) as error:
        read_scene(folder, SCANNET200)
    assert str(folder / f"{name}.npy") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [np.int16, np.int64])
@pytest.mark.parametrize("columns", [1, 3])
def test_of_several_columns_of_labels_the_first_counts(folder, columns, dtype):
    """As in scenes of Pointcept: (N, 1) in S3DIS, (N, 3) in ScanNet++."""
    before = read_scene(folder, SCANNET200)
    for name in ("segment200", "instance"):
        change(folder, name, lambda ids: np.stack([ids, *[ids * 0 - 1] * (columns - 1)], 1).astype(dtype))
    after = read_scene(folder, SCANNET200)
    assert torch.equal(before.segment, after.segment)
    assert torch.equal(before.instance, after.instance)
    labels, instance = read_labels(folder, SCANNET200)
    assert labels.tolist() == after.segment.tolist()
    assert instance.tolist() == after.instance.tolist()


@pytest.mark.parametrize(
    "make",
    [lambda c: c.astype(np.int32), lambda c: c.astype(np.float32), lambda c: c / np.float32(255)],
    ids=["int32", "float 0..255", "float 0..1"],
)
def test_colors_of_other_number_types_are_read(folder, make):
    before = read_scene(folder, SCANNET200).color
    change(folder, "color", make)
    assert torch.equal(read_scene(folder, SCANNET200).color, before)


@pytest.mark.parametrize("largest", [1e30, 3e38])
def test_normals_of_points_out_of_range_are_not_estimated(folder, largest):
    change(folder, "normal", None)
    change(folder, "coord", lambda coord: np.where(coord > 18, np.float32(largest), -np.float32(largest)))
    with pytest.raises(UserError, match=r"coord\.npy has coordinates up to"):
        read_scene(folder, SCANNET200)


def test_float64_coordinates_keep_their_precision(folder):
    near = read_scene(folder, SCANNET200).coord
    change(folder, "coord", lambda coord: coord.astype(np.float64))
    assert torch.equal(read_scene(folder, SCANNET200).coord, near)
    change(folder, "coord", lambda coord: coord + np.array([432_000, 5_400_000, 300]))
    np.testing.assert_allclose(read_scene(folder, SCANNET200).coord, near - near.amin(0).floor(), atol=1e-6)


@pytest.mark.parametrize("name", ["coord", "normal", "segment200", "instance"])
def test_arrays_of_another_byte_order_and_layout_read_the_same(folder, name):
    before = read_scene(folder, SCANNET200).tensors()
    change(folder, name, lambda array: np.asfortranarray(array.astype(array.dtype.newbyteorder(">"))))
    after = read_scene(folder, SCANNET200).tensors()
    assert all(torch.equal(before[key], after[key]) for key in before)
