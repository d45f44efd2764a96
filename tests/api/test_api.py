"""ceco3d from Python: any kind of scan, the labels that the command writes, errors in one line."""

from __future__ import annotations

import subprocess
import sys
import threading
import types
import webbrowser

import numpy as np
import pytest
import torch
import trimesh
from plyfile import PlyData

import ceco3d
from ceco3d.api.scans import color_array
from ceco3d.data.pointclouds.ply_write import write_ply
from ceco3d.utils.errors import UserError
from tests.helpers.weights import write_weights


def room(points: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (N, 3) float32 and colors (N, 3) uint8 of points on the floor and two walls."""
    rng = np.random.default_rng(seed)
    coord = rng.random((points, 3)) * [4, 3, 2]
    coord[np.arange(points), np.arange(points) % 3] = 0
    return coord.astype(np.float32), rng.integers(0, 256, (points, 3), np.uint8)


COORD, COLOR = room()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("api") / "w.safetensors"
    write_weights(path, temperature=0.05)
    return path


@pytest.fixture(scope="module")
def model(weights):
    return ceco3d.load(weights, device="cpu")


@pytest.fixture(scope="module")
def expected(model):
    return model.predict(COORD, COLOR)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.ply"
    columns = dict(zip(("x", "y", "z"), COORD.T, strict=True))
    with path.open("wb") as file:
        write_ply(file, columns | dict(zip(("red", "green", "blue"), COLOR.T, strict=True)))
    return path


def same(result, other) -> bool:
    return np.array_equal(result.labels, other.labels) and np.array_equal(result.confidence, other.confidence)


def test_importing_ceco3d_imports_neither_torch_nor_hydra():
    code = "import sys, ceco3d; dir(ceco3d); print(sorted({'torch', 'hydra', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_gets_the_labels_that_the_command_writes(run_command, model, weights, scan, tmp_path, expected):
    out = tmp_path / "out"
    outcome = run_command("predict", f"checkpoint={weights}", f"input={scan}", f"out={out}", "page=false")
    assert outcome.code == 0, outcome.err
    result = model.predict(scan)
    assert same(result, expected)
    assert result.labels.tolist() == list(map(int, (out / "scan.labels.txt").read_text().split()))
    assert (result.save(tmp_path / "saved.ply")).read_bytes() == (out / "scan.ply").read_bytes()


def test_a_result_describes_itself(model, expected):
    assert len(expected) == len(expected.labels) == len(expected.names) == len(expected.confidence) == len(COORD)
    ids = dict(zip(expected.space.names, expected.space.ids, strict=True))
    assert [ids[name] for name in expected.names] == expected.labels.tolist()
    rows = expected.classes()
    assert [row["points"] for row in rows] == sorted(np.sum(expected.names == row["name"]) for row in rows)[::-1]
    assert sum(row["points"] for row in rows) == len(COORD)
    assert len(model.classes) == 20
    assert "1,500 points" in repr(expected)
    assert "20 classes of scannet20" in repr(model)


@pytest.mark.parametrize(
    ("points", "colors"),
    [
        (torch.from_numpy(COORD), torch.from_numpy(COLOR)),
        (COORD.astype(np.float64), COLOR.astype(np.int64)),
        (COORD, COLOR / 255),
        (COORD, (COLOR / 255).astype(np.float32)),
        (COORD, COLOR.astype(np.float32)),
        (COORD, COLOR.astype(np.uint16) * 257),
        (COORD, np.hstack([COLOR, np.full((len(COLOR), 1), 255, np.uint8)])),
        (trimesh.PointCloud(COORD, np.hstack([COLOR, np.full((len(COLOR), 1), 255, np.uint8)])), None),
    ],
)
def test_the_same_points_in_another_form_get_the_same_labels(model, expected, points, colors):
    assert same(model.predict(points, colors), expected)


def open3d_cloud():
    """What a point cloud of Open3D offers."""
    kind = type("PointCloud", (types.SimpleNamespace,), {"__module__": "open3d.cpu.pybind.geometry"})
    return kind(points=COORD.astype(np.float64), colors=COLOR / 255, normals=np.empty((0, 3)))


def open3d_mesh():
    kind = type("TriangleMesh", (types.SimpleNamespace,), {"__module__": "open3d.cpu.pybind.geometry"})
    faces = np.arange(3 * (len(COORD) // 3)).reshape(-1, 3)
    none = np.empty((0, 3))
    return kind(vertices=COORD.astype(np.float64), vertex_colors=COLOR / 255, vertex_normals=none, triangles=faces)


@pytest.mark.parametrize("make", [open3d_cloud, open3d_mesh])
def test_objects_of_open3d_are_read(model, expected, make):
    made = make()
    assert same(model.predict(made), expected)
    tensor = type("PointCloud", (), {"__module__": "open3d.t.geometry", "to_legacy": lambda self: made})
    assert same(model.predict(tensor()), expected)


def test_a_list_of_scans_gives_a_list(model, scan, expected):
    results = model.predict([scan, open3d_cloud()])
    assert [same(result, expected) for result in results] == [True, True]
    assert model.predict([]) == []


def test_options_are_those_of_the_command(model, expected):
    turned = COORD[:, [0, 2, 1]] * [1000, 1000, -1000]
    result = model.predict(turned, COLOR, unit="mm", up="y", fragments=False, tta="rotations")
    assert not same(result, expected)
    assert same(result, model.predict(COORD, COLOR, fragments=False, tta="rotations"))


def test_points_without_coordinates_have_no_label(model):
    broken = COORD.copy()
    broken[[3, 700]] = np.nan
    result = model.predict(broken, COLOR)
    assert [result.labels[3], result.names[700], result.confidence[3]] == [0, "no label", 0]
    assert result.warnings[0].startswith("2 points with NaN or infinite coordinates")
    assert np.count_nonzero(result.confidence) == len(COORD) - 2


def test_two_threads_share_a_model(model):
    scans = [room(seed=seed) for seed in range(2)]
    alone = [model.predict(*scan) for scan in scans]
    found: dict[tuple[int, int], ceco3d.Result] = {}

    def work(number: int) -> None:
        for index, scan in enumerate(scans):
            found[number, index] = model.predict(*scan, fragments=4 if number else 2)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(same(found[1, index], result) for index, result in enumerate(alone))


def test_saving_knows_the_formats(model, expected, tmp_path, monkeypatch):
    table = tmp_path / "scan.csv"
    rows = np.hstack([COORD.astype(np.float64), COLOR])
    np.savetxt(table, rows, "%.9g", ",", header="x,y,z,red,green,blue", comments="")
    result = model.predict(table)
    assert same(result, expected)
    assert result.save(tmp_path / "labeled.csv").read_text().startswith("x,y,z,red,green,blue,label,confidence\n")
    vertex = PlyData.read(result.save(str(tmp_path / "a.ply")))["vertex"]
    assert np.array_equal(vertex["label"], result.labels)
    assert result.save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    page = result.show()
    assert opened == [page.as_uri()]
    assert "<html" in page.read_text(encoding="utf-8")
    for name, message in (("a.las", r"choose one of .ply, .html, .png, .csv"), ("scan.csv", "is the scan itself")):
        with pytest.raises(UserError, match=message):
            result.save(tmp_path / name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.predict("nothing.ply"), r"nothing\.ply: no such file"),
        (lambda m: m.predict(3), "points is a int; pass an array"),
        (lambda m: m.predict([1, 2, 3]), r"numpy\.asarray\(points\)"),
        (lambda m: m.predict(COORD.tolist()), r"numpy\.asarray\(points\)"),
        (lambda m: m.predict([COORD, COORD], COLOR), "call predict for each"),
        (lambda m: m.predict(np.hstack([COORD, COLOR])), r"pass points\[:, :3\] and colors=points\[:, 3:6\]"),
        (lambda m: m.predict(COORD.T), r"not numbers \(N, 3\)"),
        (lambda m: m.predict(COORD.astype(str)), "not numbers"),
        (lambda m: m.predict(COORD[:0]), "points is empty"),
        (lambda m: m.predict(COORD * np.nan), "no point has finite coordinates"),
        (lambda m: m.predict(COORD, COLOR[:9]), "colors has 9 rows, but points has 1,500"),
        (lambda m: m.predict(open3d_cloud(), COLOR), "has its own"),
        (lambda m: m.predict(trimesh.Trimesh()), "without points"),
        (lambda m: m.predict(COORD, normals=COLOR[:9]), "normals"),
        (lambda m: m.predict(COORD, unit="km"), "unit=km: choose m, cm or mm"),
        (lambda m: m.predict(COORD, units="m"), "units"),
        (lambda m: m.predict(COORD, tta="all"), "tta='all': choose one of full, none"),
        (lambda m: m.predict(COORD, columns=["x"]), "columns names the columns of a file"),
        (lambda m: ceco3d.load("nothing.pt"), r"nothing\.pt: no such checkpoint"),
        (lambda m: ceco3d.load(device="gpu"), "device='gpu': choose one of auto, cpu, cuda"),
        (lambda m: ceco3d.load(precision="fp8"), "precision='fp8': choose one of"),
        (lambda m: ceco3d.load(voxel_size=0), "voxel_size=0: must be a length"),
    ],
)
def test_errors_are_one_line(model, call, message):
    with pytest.raises(ceco3d.UserError, match=message) as caught:
        call(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("colors", "white"),
    [
        (np.array([[0, 128, 255]], np.uint8), [0, 128, 255]),
        (np.array([[0, 1, 1]], np.uint8), [0, 1, 1]),
        (np.array([[0, 0.5, 1]]), [0, 128, 255]),
        (np.array([[0, 0.5, np.nan]], np.float32), [0, 128, 128]),
        (np.array([[0, 128, 255]], np.float32), [0, 128, 255]),
        (np.array([[0, 128, 255]], np.uint16), [0, 128, 255]),
        (np.array([[0, 32896, 65535]], np.uint16), [0, 128, 255]),
        (np.array([[0, 0, 0]]), [0, 0, 0]),
        (torch.tensor([[0, 0.5, 1]], dtype=torch.bfloat16), [0, 128, 255]),
    ],
)
def test_the_range_of_colors_is_recognized(colors, white):
    assert color_array(colors, 1).tolist() == [white]


@pytest.mark.parametrize(
    "colors",
    [
        np.array([[0, 0.5, 1.5]]),
        np.array([[-1, 0, 1]], float),
        np.array([[0, 1, 1]]),
        np.array([[0, 1, 256]], float),
        np.array([[0, 1, 70000]]),
        np.array([[True, False, True]]),
        np.array([[np.inf, 0, 0]]),
    ],
)
def test_colors_that_could_mean_several_things_are_refused(colors):
    with pytest.raises(UserError, match="colors"):
        color_array(colors, 1)
