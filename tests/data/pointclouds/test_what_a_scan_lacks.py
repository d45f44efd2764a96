"""Scans without colors, normals or precision, with outliers, and results given again: what is used, and said."""

import numpy as np
import pytest

from ceco3d.data.pointclouds.scan import Scan, scan_of_columns
from ceco3d.data.pointclouds.scan_to_scene import to_scene
from ceco3d.data.pointclouds.usable import coarse_step, usable_points
from ceco3d.data.scenes.colors import GRAY, color_bytes
from ceco3d.utils.errors import UserError

RNG = np.random.default_rng(0)
ROOM = (RNG.random((2000, 3)) * [4, 3, 2.5]).astype(np.float32)
COLOR = RNG.integers(0, 256, ROOM.shape, np.uint8)
UTM = np.array([3.5e5, 5.8e6, 120])


def scene(scan, unit="m", features=("color",), voxel_size=0.02):
    return to_scene(scan, "scan", unit, "z", features, voxel_size)


# --- colors ---


@pytest.mark.parametrize(
    "color",
    [
        np.zeros((2000, 3), np.uint8),
        np.full((2000, 3), 255, np.uint8),
        np.tile(np.uint16([257, 514, 65535]), (2000, 1)),
        np.full((2000, 3), np.nan, np.float32),
        np.ones((2000, 3)),
    ],
    ids=["black", "white", "one color in 16 bits", "nan", "one float"],
)
def test_one_color_for_all_points_counts_as_no_colors(color):
    found, _, warnings = scene(Scan(ROOM, color))
    assert (found.color == GRAY).all()
    assert len(warnings) == 1
    assert "every point has the color (" in warnings[0]
    assert "sees gray instead" in warnings[0]


def test_only_the_colors_of_usable_points_count():
    coord, color = ROOM.copy(), np.full((2000, 3), 9, np.uint8)
    coord[5], color[5] = np.nan, 0
    assert (scene(Scan(coord, color))[0].color == GRAY).all()


def test_colors_are_not_missed_by_a_network_without_them():
    assert scene(Scan(ROOM, np.zeros((2000, 3))), features=("coord",))[2] == []


# --- results given again ---


def columns(coord=ROOM, **more):
    return {**dict(zip("xyz", coord.T, strict=True)), **more}


def channels(color, names=("red", "green", "blue")):
    return dict(zip(names, color.T, strict=True))


LABEL = (np.arange(2000) % 5).astype(np.int32)
CLASS_COLOR = np.arange(15, dtype=np.uint8).reshape(5, 3)[LABEL]
RESULT = {**channels(CLASS_COLOR), "label": LABEL, "confidence": np.full(2000, 0.5, np.float32)}
ORIGINAL = channels(COLOR, ("original_red", "original_green", "original_blue"))


@pytest.mark.parametrize("kept", [ORIGINAL, channels(COLOR, ("original_r", "original_g", "original_b"))])
def test_the_colors_of_an_earlier_result_are_those_of_its_scan(kept):
    scan = scan_of_columns(columns(**RESULT, **kept))
    np.testing.assert_array_equal(scan.color, COLOR)
    assert f"an earlier result: colors are taken from {' '.join(kept)}" in scan.notes


def test_colors_of_classes_are_not_colors_of_the_scan():
    scan = scan_of_columns(columns(**RESULT))
    assert scan.color is None
    assert "red green blue are the colors of its classes" in scan.notes[0]


@pytest.mark.parametrize("change", [{"confidence": None}, {"label": LABEL[::-1].copy() + np.arange(2000) % 7}])
def test_other_scans_with_labels_keep_their_colors(change):
    given = {name: column for name, column in {**columns(**RESULT), **change}.items() if column is not None}
    scan = scan_of_columns(given)
    np.testing.assert_array_equal(scan.color, CLASS_COLOR)
    assert not scan.notes


# --- normals ---


def test_normals_that_are_all_zero_are_estimated():
    estimated, _, warnings = scene(Scan(ROOM, normal=np.zeros_like(ROOM)), features=("normal",))
    assert "all normals are zero" in warnings[0]
    missing, _, warnings = scene(Scan(ROOM), features=("normal",))
    assert "neither faces nor normals" in warnings[0]
    assert (estimated.normal == missing.normal).all()
    assert (missing.normal.norm(dim=1) > 0.9).all()


def test_faces_of_a_mesh_give_the_normals_without_a_word():
    square = np.float32([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    found, _, warnings = scene(Scan(square, faces=np.array([[0, 1, 2], [0, 2, 3]])), features=("normal",))
    np.testing.assert_array_equal(found.normal, np.tile([[0, 0, 1]], (4, 1)))
    assert warnings == []


# --- precision ---


@pytest.mark.parametrize(
    "coord",
    [(ROOM + UTM).astype(np.float32), (ROOM + UTM).astype(np.float32).astype(np.float64)],
    ids=["float32", "float32 kept in float64"],
)
def test_coordinates_coarser_than_half_a_voxel_are_warned_about(coord):
    warnings = scene(Scan(coord, COLOR))[2]
    assert "0.5 m apart" in warnings[0]
    assert "64-bit coordinates, or shifted to the origin" in warnings[0]


@pytest.mark.parametrize(
    ("coord", "voxel_size"), [(ROOM + UTM, 0.02), (ROOM, 0.02), ((ROOM + UTM).astype(np.float32), 1.5)]
)
def test_precise_coordinates_give_no_warning(coord, voxel_size):
    assert coarse_step(coord, voxel_size) is None


def test_precision_is_judged_in_the_unit_of_the_file():
    far = (ROOM + 40_000).astype(np.float32)  # steps of 0.004
    assert coarse_step(far, 0.02) is None
    assert "apart" in scene(Scan(far * np.float32(1000), COLOR), unit="mm", voxel_size=0.005)[2][0]


# --- outliers ---


@pytest.mark.parametrize("at", [[9.9e4, 0, 0], [900, 0, 0], [0, 0, -1e30], [1e38, -1e38, 0]])
def test_a_far_outlier_is_named_and_left_out(at):
    coord = ROOM.copy()
    coord[7] = at
    found, usable, warnings = scene(Scan(coord, COLOR))
    assert np.flatnonzero(~usable).tolist() == [7]
    assert len(found) == 1999
    assert len(warnings) == 1
    assert warnings[0].startswith("1 point far from all others, left unlabeled: point 7 at (")


def test_at_most_one_point_in_a_thousand_is_an_outlier():
    coord = ROOM.copy()
    coord[[3, 9]] = [[500, 0, 0], [0, 900, 0]]
    assert np.flatnonzero(~usable_points(coord)[0]).tolist() == [3, 9]
    coord[11] = [0, 0, 700]
    assert usable_points(coord)[0].all()
    with pytest.raises(UserError, match="too large for the voxel grid"):
        scene(Scan(coord * 100))


@pytest.mark.parametrize(
    "coord",
    [
        ROOM,
        np.repeat(ROOM[:1], 100, 0),
        np.c_[np.linspace(0, 3, 200), np.zeros(200), np.zeros(200)],
        RNG.standard_normal((5000, 3)) * [50, 50, 2],
        RNG.standard_cauchy((3000, 1)).clip(-30, 30) * [[1, 0.5, 0]],
        ROOM[:1],
        ROOM[:2] * 1000,
    ],
    ids=["room", "equal points", "line", "terrain", "long tails", "one point", "two points"],
)
def test_ordinary_scans_have_no_outliers(coord):
    usable, warnings = usable_points(coord)
    assert usable.all()
    assert warnings == []


def test_colors_are_kept_as_the_file_has_them():
    sixteen = COLOR.astype(np.uint16) * 257
    scan = scan_of_columns(columns(**channels(sixteen)))
    assert scan.color.dtype == np.uint16
    np.testing.assert_array_equal(color_bytes(scan.color), COLOR)
