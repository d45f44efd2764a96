"""Pictures of segmentations: what is drawn where, colors, and what the command does with runs, files and bad input."""

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from plyfile import PlyData, PlyElement

from ceco3d.data.labels import label_space
from ceco3d.data.labels.palette import APART, NO_LABEL, distinct_colors, oklab
from ceco3d.data.scenes.processed import read_scene
from ceco3d.inference.predictor import load_predictor
from ceco3d.models import build_model
from ceco3d.training.checkpoint import save
from ceco3d.utils.errors import UserError
from ceco3d.visualization.camera import Camera
from ceco3d.visualization.labeled_scenes import read_labeled
from ceco3d.visualization.picture import RIGHT, UNKNOWN, WRONG, error_colors, scene_picture
from ceco3d.visualization.render import fit_camera, paint, render, without_ceiling
from ceco3d.visualization.segmented import Panel, SegmentedScene
from tests.helpers.commands import settings_of

SPACE = label_space("scannet200")
SIZE = (60, 80)
DOWN = np.array([0.0, 0.0, -1.0])


def sheet(z: float = 0.0, step: float = 0.02) -> np.ndarray:
    """Points of a square of 1 m at height ``z``."""
    x, y = np.meshgrid(np.arange(0, 1 + step / 2, step), np.arange(0, 1 + step / 2, step))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], 1).astype(np.float32)


def small_scene(**changes) -> SegmentedScene:
    """A sheet whose left half is wall and right half chair, a tenth without ground truth; a run that says wall."""
    coord = sheet()
    truth = np.where(coord[:, 0] < 0.5, 0, 1)
    truth[coord[:, 1] < 0.1] = -1
    color = np.full((len(coord), 3), 120, np.uint8)
    fields = {
        "name": "sheet",
        "coord": coord,
        "color": color,
        "normal": None,
        "space": SPACE,
        "truth": Panel("Ground truth", truth),
        "predictions": [Panel("CE", np.zeros(len(coord), np.int64), np.full(len(coord), 0.5, np.float32))],
    }
    return SegmentedScene(**fields | changes)


def test_the_nearest_surface_is_seen_and_fills_the_image():
    coord = np.concatenate([sheet(0), sheet(0.5)])
    camera = fit_camera(coord, DOWN, SIZE)
    point = render(coord, None, 0.03, camera, SIZE).point
    upper = point[point >= 0] >= len(sheet())
    assert upper.mean() > 0.9
    rows, columns = np.nonzero(point >= 0)
    assert np.ptp(rows) > 0.9 * len(point)
    assert point[rows.min() + 2 : rows.max() - 2, columns.min() + 2 : columns.max() - 2].min() >= 0  # no holes


def test_backs_are_left_out():
    coord = np.concatenate([sheet(0), sheet(0.5)])
    normal = np.zeros_like(coord)
    normal[:, 2] = np.where(coord[:, 2] > 0, -1, 1)
    point = render(coord, normal, 0.03, fit_camera(coord, DOWN, SIZE), SIZE).point
    assert (point >= 0).any()
    assert point.max() < len(sheet())


@given(
    st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=2, max_size=30),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, -0.1)),
)
def test_the_camera_sees_every_point(points, forward):
    coord = np.array(points)
    if np.ptp(coord, axis=0).max() < 0.1:
        return
    camera = fit_camera(coord, np.array(forward), SIZE)
    np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-9)
    x, y, z = camera.axes @ (coord - camera.eye).T
    tangent = np.tan(np.radians(15))
    assert (z > 0).all()
    assert (np.abs(x) <= z * tangent * (1 + 1e-6)).all()
    assert (np.abs(y) <= z * tangent * SIZE[0] / SIZE[1] * (1 + 1e-6)).all()


def test_straight_down_the_longer_side_lies_across():
    coord = sheet() * [1, 3, 1]
    point = render(coord, None, 0.1, fit_camera(coord, DOWN, SIZE), SIZE).point
    rows, columns = np.nonzero(point >= 0)
    assert np.ptp(columns) > 2 * np.ptp(rows)


def test_paint_draws_the_colors_on_white():
    camera = Camera(np.array([0.5, 0.5, 3.0]), np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]], float))
    frame = render(sheet(), None, 0.03, camera, SIZE)
    image = paint(frame, np.full((len(sheet()), 3), (10, 200, 30), np.uint8))
    assert image.shape == (*SIZE, 3)
    assert tuple(image[0, 0]) == (255, 255, 255)
    assert tuple(image[SIZE[0] // 2, SIZE[1] // 2]) == (10, 200, 30)


@pytest.mark.parametrize(("height", "cut"), [(2.5, True), (1.0, False)])
def test_only_rooms_lose_their_ceiling(height, cut):
    kept = without_ceiling(np.concatenate([sheet(0), sheet(height)]))
    assert kept[: len(sheet())].all()
    assert kept[len(sheet()) :].any() != cut


@given(st.lists(st.integers(0, 199), min_size=1, max_size=60, unique=True))
def test_colors_of_a_scene_are_apart_and_the_first_class_keeps_its_own(classes):
    colors = distinct_colors(SPACE.colors, classes)
    lab = oklab(np.concatenate([colors[classes], [NO_LABEL]]))
    distance = np.linalg.norm(lab[:, None] - lab, axis=2) + 9 * np.eye(len(lab))
    assert distance.min() >= APART
    others = np.setdiff1d(np.arange(200), classes)
    assert (colors[others] == SPACE.colors[others]).all()
    first = classes[0]
    if np.linalg.norm(oklab(SPACE.colors[first]) - oklab(np.array(NO_LABEL))) >= APART:
        assert (colors[first] == SPACE.colors[first]).all()


def test_oklab_of_known_colors():
    lab = oklab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]]))
    np.testing.assert_allclose(lab, [[1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585]], atol=1e-4)


def test_counts_and_classes_are_those_of_the_panels():
    scene = small_scene()
    truth = scene.truth.labels
    assert scene.counts[0, [0, 1, -1]].tolist() == [(truth == 0).sum(), (truth == 1).sum(), (truth < 0).sum()]
    assert scene.counts[1, 0] == len(scene)
    assert scene.classes.tolist() == [0, 1]
    half = scene.select(np.flatnonzero(scene.coord[:, 0] < 0.5))
    assert half.classes.tolist() == [0]


def test_errors_are_where_prediction_and_truth_differ():
    scene = small_scene()
    colors = error_colors(scene.truth, scene.predictions[0])
    for label, color in ((0, RIGHT), (1, WRONG), (-1, UNKNOWN)):
        assert (colors[scene.truth.labels == label] == color).all()


@pytest.mark.parametrize(
    ("changes", "rows", "columns"),
    [({}, 3, 3), ({"truth": None, "color": None}, 2, 2), ({"predictions": []}, 2, 2)],
)
def test_the_picture_has_a_row_a_camera_and_a_column_a_panel(changes, rows, columns):
    scene = small_scene(**changes)
    image = (matplotlib.image.imread(BytesIO(scene_picture(scene)))[..., :3] * 255).round().astype(int)
    assert image.shape[1] == pytest.approx(480 * columns, abs=60)
    assert image.shape[0] == pytest.approx(360 * rows, abs=150)
    last = image[75:435, -400:-80]  # the last panel, seen from above
    middle = last[last.shape[0] // 2, last.shape[1] // 4]
    assert np.abs(middle - scene.palette[0]).max() <= 3
    assert len({tuple(color) for color in image.reshape(-1, 3)} & {tuple(c) for c in scene.palette[:2]}) >= 1


def write_labeled(path: Path, **changes) -> Path:
    """What predict writes of four points: wall, chair, unlabeled, and one without coordinates."""
    columns = {
        "x": np.array([0, 1, 2, np.nan], np.float32),
        "y": np.array([0, 0, 1, 0], np.float32),
        "z": np.array([0, 0, 3, 0], np.float32),
        **{f"original_{name}": np.array([9, 8, 7, 6], np.uint8) for name in ("red", "green", "blue")},
        **{name: np.zeros(4, np.uint8) for name in ("red", "green", "blue")},
        "label": np.array([1, 2, 0, 0], np.uint16),
        "confidence": np.array([0.5, 1, 0, 0], np.float32),
    }
    columns = {name: values for name, values in (columns | changes).items() if values is not None}
    rows = np.zeros(4, [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    PlyData([PlyElement.describe(rows, "vertex")]).write(path)
    return path


@pytest.mark.parametrize(("up", "last"), [("z", [2, 1, 3]), ("y", [2, -3, 1]), ("-y", [2, 3, -1])])
def test_a_labeled_file_is_read_and_turned_upright(tmp_path, up, last):
    scene = read_labeled(write_labeled(tmp_path / "scan.ply"), SPACE, up)
    assert scene.coord.tolist()[-1] == last
    (panel,) = scene.panels
    assert panel.labels.tolist() == [0, 1, -1]
    assert panel.confidence.tolist() == [0.5, 1, 0]
    assert scene.color[:, 0].tolist() == [9, 8, 7]
    assert scene.truth is None


def test_colors_of_classes_are_not_taken_for_those_of_the_scan(tmp_path):
    no_original = {f"original_{name}": None for name in ("red", "green", "blue")}
    classes = np.concatenate([SPACE.colors[:2], np.zeros((2, 3), np.uint8)])
    colors = dict(zip(("red", "green", "blue"), classes.T, strict=True))
    assert read_labeled(write_labeled(tmp_path / "a.ply", **no_original, **colors), SPACE, "z").color is None
    colors["red"] = colors["red"] + np.uint8(1)
    scene = read_labeled(write_labeled(tmp_path / "b.ply", **no_original, **colors), SPACE, "z")
    assert scene.color[0].tolist() == (SPACE.colors[0] + [1, 0, 0]).tolist()


@pytest.mark.parametrize("values", [[0, 87, 99, 100], [0, 1, 2, 0], [0.5, np.nan, 0.5, 0], [-0.5, 1, 1, 0]])
def test_what_is_no_probability_is_not_shown_as_confidence(tmp_path, caplog, values):
    path = write_labeled(tmp_path / "scan.ply", confidence=np.array(values, np.float32))
    (panel,) = read_labeled(path, SPACE, "z").panels
    assert panel.confidence is None
    assert "confidence leaves 0..1" in caplog.text


def test_a_panel_refuses_a_confidence_that_is_no_probability():
    with pytest.raises(ValueError, match=r"CE: the confidence leaves 0\.\.1"):
        Panel("CE", np.zeros(1, np.int64), np.array([50.0], np.float32))


@pytest.mark.parametrize("label", [[1.5, 2, 0, 0], [1, np.nan, 0, 0]])
def test_labels_that_are_no_whole_numbers_are_refused(tmp_path, label):
    path = write_labeled(tmp_path / "scan.ply", label=np.array(label, np.float32))
    with pytest.raises(UserError, match=r"label is not a whole number everywhere"):
        read_labeled(path, SPACE, "z")


def test_the_ply_beside_a_copy_in_the_format_of_the_scan_is_named(tmp_path):
    write_labeled(tmp_path / "scan.ply")
    (tmp_path / "scan.laz").write_bytes(b"LASF")
    with pytest.raises(UserError, match=r"scan.laz: not a PLY file .*; pass .*scan.ply$"):
        read_labeled(tmp_path / "scan.laz", SPACE, "z")


@pytest.mark.parametrize(("kind", "white"), [(np.uint16, 65535), (np.float32, 1), (np.uint8, 255)])
def test_colors_of_any_number_type_are_read_as_in_predict(tmp_path, kind, white):
    shades = np.array([white, white / 5, 0, 0]).astype(kind)
    colors = {f"original_{name}": shades for name in ("red", "green", "blue")}
    scene = read_labeled(write_labeled(tmp_path / "scan.ply", **colors), SPACE, "z")
    assert scene.color[:, 0].tolist() == [255, 51, 0]


def test_normals_become_unit_vectors(tmp_path):
    normals = {"nx": [0, 5, np.nan, 0], "ny": [0, 0, 0, 0], "nz": [2, 0, 1, 0]}
    columns = {name: np.array(values, np.float32) for name, values in normals.items()}
    scene = read_labeled(write_labeled(tmp_path / "scan.ply", **columns), SPACE, "z")
    assert scene.normal.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_names_are_no_formulas(monkeypatch):
    space = replace(SPACE, names=("_wall", r"$\frac$", *SPACE.names[2:]))
    seen = []
    print_png = FigureCanvasAgg.print_png

    def listen(canvas, *arguments, **options):
        seen.extend(text.get_text() for text in canvas.figure.findobj(Text))
        print_png(canvas, *arguments, **options)

    monkeypatch.setattr(FigureCanvasAgg, "print_png", listen)
    scene_picture(small_scene(name=r"a$\b$", space=space))
    assert {"_wall", r"$\frac$", r"a$\b$"} <= set(seen)


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """The folder of a run, with a network that has learnt nothing."""
    setup = {"name": "MinkUNet14A", "in_channels": 3, "out_channels": 200, "stem_kernel": 3}
    content = {"model": setup, "label_space": "scannet200", "features": ["color"], "voxel_size": 0.3}
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    save(tmp_path / "run/checkpoints/last.pt", {"setup": content, "model": build_model(**setup).state_dict()})
    return tmp_path / "run"


def test_a_scene_with_runs_gives_picture_and_page(run_command, tiny, run_folder, tmp_path):
    root = Path(settings_of("preprocess", *tiny).dataset.root)
    folder = sorted((root / "val").iterdir())[0]
    outcome = run_command(
        "visualize",
        *tiny,
        f"scene={folder.name}",
        f"runs=[{run_folder},{run_folder}]",
        "labels=[CE,CeCo]",
        f"out={tmp_path / 'out'}",
    )
    assert outcome.code == 0, outcome.err
    files = [tmp_path / "out" / f"{folder.name}.{kind}" for kind in ("png", "html")]
    assert outcome.out.split() == [str(file) for file in files]
    assert sorted((tmp_path / "out").iterdir()) == sorted(files)
    page = files[1].read_text()
    assert '"title": "CE"' in page
    assert f'"total": {len(read_scene(folder, label_space("scannet200")))}' in page


@pytest.mark.parametrize(("given", "passes"), [([], 4), (["fragments=2"], 2), (["fragments=false"], 1)])
def test_a_scene_is_drawn_with_the_fragments_of_evaluate(
    run_command, tiny, run_folder, tmp_path, monkeypatch, given, passes
):
    drawn = []
    monkeypatch.setattr("ceco3d.visualization.picture.scene_picture", lambda scene: drawn.append(scene) or b"")
    folder = sorted((Path(settings_of("preprocess", *tiny).dataset.root) / "val").iterdir())[0]
    outcome = run_command(
        "visualize", *tiny, f"scene={folder}", f"runs=[{run_folder}]", "labels=[x]", *given, f"out={tmp_path / 'out'}"
    )
    assert outcome.code == 0, outcome.err
    predictor, space = load_predictor(run_folder / "checkpoints/last.pt", "cpu", fragments=passes)
    _, confidence = predictor.predict(read_scene(folder, space))
    np.testing.assert_array_equal(drawn[0].predictions[0].confidence, confidence.numpy())


def test_a_labeled_file_gives_picture_and_page(run_command, tmp_path):
    path = write_labeled(tmp_path / "scan.ply")
    outcome = run_command("visualize", f"input={path}", f"out={tmp_path / 'out'}")
    assert outcome.code == 0, outcome.err
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["scan.html", "scan.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scene=scene9999_99"], r"scene=scene9999_99: no such scene in .*; there are scene"),
        (["scene=a", "dataset.root={tmp}/none"], r"no processed scenes in .*/none"),
        (["scene=NAME", "runs=[{tmp}/none]"], r"none: no such run folder"),
        (["scene=NAME", "runs=[{tmp}]", "labels=[x]"], r"no checkpoints/best.pt in it"),
        (["scene=NAME", "runs=[a,b,c]"], r"runs: 3 given, but of 4 panels"),
        (["scene=NAME", "runs=a"], r"runs=a: must be a list"),
        (["scene=NAME", "input=scan.ply"], r"choose one of them"),
        (["input={tmp}/scan.ply", "runs=[a]"], r"has its own labels"),
        (["input={tmp}/none.ply"], r"none.ply: no such file"),
        (["input={tmp}/text.ply"], r"text.ply: not a PLY file"),
        (["input={tmp}/bare.ply"], r"bare.ply: no vertex property label"),
        (["input={tmp}/other.ply"], r"other.ply: label 12 is not a class of scannet200"),
        (["input={tmp}/scan.ply", "up=x"], r"up=x: choose z, y or -y"),
        (["input={tmp}/scan.ply", "points=0"], r"points=0: must be at least 1"),
        (["input={tmp}/scan.ply", "window=true"], r"window=true"),
    ],
)
def test_bad_input_gives_one_line_and_no_files(run_command, tiny, tmp_path, arguments, message, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    name = sorted((Path(settings_of("preprocess", *tiny).dataset.root) / "val").iterdir())[0].name
    write_labeled(tmp_path / "scan.ply")
    write_labeled(tmp_path / "bare.ply", label=None)
    write_labeled(tmp_path / "other.ply", label=np.array([12, 1, 1, 1], np.uint16))
    (tmp_path / "text.ply").write_text("hello")
    given = [argument.format(tmp=tmp_path).replace("NAME", name) for argument in arguments]
    keys = {argument.partition("=")[0] for argument in given}
    data = [option for option in tiny if option.partition("=")[0] not in keys]
    outcome = run_command("visualize", *data, *given, f"out={tmp_path / 'out'}")
    assert outcome.code == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", outcome.err), outcome.err
    assert not (tmp_path / "out").exists()
