"""Labels of scan files: chunks, written files, batches of scans, bad input."""

import hashlib
import json
import re
from pathlib import Path

import laspy
import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement

from ceco3d.data.batch import make_batch
from ceco3d.data.labels import label_space
from ceco3d.data.pointclouds import ply_write, read_scan
from ceco3d.data.scenes.processed import list_scenes, read_scene
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import voxelize
from ceco3d.inference import labeled_scan
from ceco3d.inference.chunks import predict_in_chunks, receptive_field, split_into_boxes
from ceco3d.inference.predictor import Predictor, View, load_predictor
from ceco3d.models import build_model
from ceco3d.sparse import SparseTensor

SPACE = label_space("scannet200")
FEATURES = ["coord", "color", "normal"]
VOXEL = 0.1


def network(channels=9, name="MinkUNet14A", stem_kernel=5):
    """Untrained: every voxel of the receptive field matters."""
    torch.manual_seed(1)
    return build_model(name=name, in_channels=channels, out_channels=200, stem_kernel=stem_kernel)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "best.pt"
    model = {"name": "MinkUNet14A", "in_channels": 9, "out_channels": 200, "stem_kernel": 5}
    setup = {"model": model, "label_space": "scannet200", "features": FEATURES, "voxel_size": VOXEL}
    torch.save({"setup": setup, "model": network().state_dict()}, path)
    return path


@pytest.fixture
def predict(run_command, checkpoint, tmp_path):
    """Run the command on inputs; files go to ``tmp_path/out``."""

    def run(*inputs, **keys):
        keys = {"checkpoint": checkpoint, "out": tmp_path / "out", "page": "false", **keys}
        joined = f"input=[{','.join(map(str, inputs))}]" if len(inputs) != 1 else f"input={inputs[0]}"
        return run_command("predict", joined, *(f"{key}={value}" for key, value in keys.items()))

    return run


def room(points=3000, seed=0):
    """Coordinates and colors of points on the floor and two walls of a room of 4 x 3 x 2 m."""
    rng = np.random.default_rng(seed)
    coord = rng.random((points, 3)) * [4, 3, 2]
    coord[np.arange(points), np.arange(points) % 3] = 0
    return coord.astype(np.float32), rng.integers(0, 256, (points, 3), np.uint8)


def vertices(coord, color=None, **more):
    columns = dict(zip("xyz", np.asarray(coord).T, strict=True))
    columns |= {} if color is None else dict(zip(("red", "green", "blue"), color.T, strict=True))
    rows = np.empty(len(coord), [(name, c.dtype) for name, c in (columns | more).items()])
    for name, column in (columns | more).items():
        rows[name] = column
    return rows


def write_ply(path, *columns, faces=None, **more):
    elements = [PlyElement.describe(vertices(*columns, **more), "vertex")]
    if faces is not None:
        rows = np.empty(len(faces), [("vertex_indices", "i4", (3,))])
        rows["vertex_indices"] = faces
        elements.append(PlyElement.describe(rows, "face"))
    PlyData(elements).write(path)
    return path


def labels_of(folder, name):
    ids = np.loadtxt(folder / f"{name}.labels.txt", dtype=int, ndmin=1)
    np.testing.assert_array_equal(ids, PlyData.read(folder / f"{name}.ply")["vertex"]["label"])
    return ids


# --- chunks ---


def corridor(length, seed=0):
    """A scene of ``length`` x 0.3 x 0.1 m, about five points per voxel."""
    rng = torch.Generator().manual_seed(seed)
    count = int(length * 150)
    coord = torch.rand(count, 3, generator=rng) * torch.tensor([length, 0.3, 0.1])
    color, normal = 255 * torch.rand(count, 3, generator=rng), torch.randn(count, 3, generator=rng)
    none = torch.full((1,), -1).expand(count)
    return Scene("corridor", coord, color, normal, none, none)


VIEWS = [View(), View(45.0, "x", 0.95)]


@pytest.fixture(scope="module")
def predictor():
    return Predictor(network().eval(), FEATURES, VOXEL, torch.device("cpu"), VIEWS)


def test_chunks_that_overlap_by_the_receptive_field_have_no_seams(predictor):
    scene = corridor(64)
    voxels = voxelize(scene.coord, VOXEL)
    reach = receptive_field(predictor)
    assert len(list(split_into_boxes(voxels.coord, 1000, reach + 1))) >= 3
    expected, probability = predictor.predict(scene)
    labels, confidence = predict_in_chunks(predictor, scene, voxels, 1000, reach)
    torch.testing.assert_close(confidence, probability, rtol=1e-5, atol=1e-7)
    assert (labels == expected).float().mean() > 0.9999  # rounding may decide between two classes
    _, seamed = predict_in_chunks(predictor, scene, voxels, 1000, 0)
    different = (seamed - probability).abs() > 1e-5
    assert different.any()
    # Without overlap, only points near a cut differ.
    cuts = sorted(float(box.low[0]) for box in split_into_boxes(voxels.coord, 1000, 1))[1:]
    distance = torch.stack([(scene.coord[different, 0] / VOXEL - cut).abs() for cut in cuts]).amin(0)
    assert distance.max() <= reach


@pytest.mark.parametrize(("name", "stem_kernel"), [("MinkUNet14A", 5), ("MinkUNet18A", 3), ("MinkUNet50", 3)])
def test_receptive_radius_is_how_far_gradients_reach(name, stem_kernel):
    """Up to 15 voxels, which depend on where the coarse grid begins."""
    model = network(3, name, stem_kernel).eval()
    radius = model.receptive_radius
    center = radius + 40
    line = torch.arange(2 * center, dtype=torch.int32)
    coordinates = torch.stack([torch.zeros_like(line), line, torch.zeros_like(line), torch.zeros_like(line)], 1)
    features = torch.randn(len(line), 3, requires_grad=True)
    model.forward_features(SparseTensor(features, coordinates)).features[center].sum().backward()
    reached = features.grad.abs().amax(1).nonzero().squeeze(1)
    distance = (reached - center).abs().max()
    assert radius - 15 <= distance <= radius


@pytest.mark.parametrize(("most", "margin"), [(1, 0), (50, 0), (300, 2), (10**6, 5)])
def test_split_covers_every_voxel_once_within_its_limit(most, margin):
    coord = voxelize(torch.rand(3000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 2, 1]), VOXEL)
    boxes = list(split_into_boxes(coord.coord, most, margin))
    assert (sum(box.contains(coord.coord).int() for box in boxes) == 1).all()
    for box in boxes:
        longest = int((box.high - box.low).max())
        assert box.contains(coord.coord, margin).sum() <= most or longest <= margin
    assert (len(boxes) == 1) == (most >= len(coord))


def test_points_have_the_mean_probability_of_their_voxels(predictor):
    """Computing points that share their voxels once changes nothing."""
    scene = corridor(1.5)
    with torch.inference_mode():
        total = torch.zeros(len(scene), 200)
        for view in VIEWS:
            batch = make_batch([view(scene)], VOXEL, FEATURES)
            logits = predictor.model(SparseTensor(batch.features, batch.coordinates)).features
            total += logits.softmax(1)[batch.inverse]
    labels, confidence = predictor.predict(scene)
    torch.testing.assert_close(confidence, total.amax(1) / len(VIEWS))
    torch.testing.assert_close(total.gather(1, labels[:, None])[:, 0], total.amax(1))


# --- files ---


def test_a_mesh_keeps_its_vertices_and_faces(predict, tmp_path):
    coord, color = room()
    faces = np.random.default_rng(0).integers(0, len(coord), (500, 3))
    quality = np.arange(len(coord), dtype=np.float64)
    path = write_ply(tmp_path / "my scan.ply", coord, color, faces=faces, quality=quality)
    outcome = predict(f'"{path}"')
    assert outcome.code == 0, outcome.err
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == ["my scan.labels.txt", "my scan.ply", "my scan.summary.json"]
    mesh = PlyData.read(out / "my scan.ply", known_list_len={"face": {"vertex_indices": 3}})
    vertex, ids = mesh["vertex"], labels_of(out, "my scan")
    np.testing.assert_array_equal(np.stack([vertex[axis] for axis in "xyz"], 1), coord)
    np.testing.assert_array_equal(mesh["face"]["vertex_indices"], faces)
    np.testing.assert_array_equal(vertex["quality"], quality)
    for channel, name in enumerate(("red", "green", "blue")):
        np.testing.assert_array_equal(vertex[f"original_{name}"], color[:, channel])
        np.testing.assert_array_equal(vertex[name], SPACE.colors[SPACE.index_of(ids), channel])
    assert (vertex["confidence"] > 0).all()
    assert (vertex["confidence"] <= 1).all()

    summary = json.loads((out / "my scan.summary.json").read_text())
    assert summary["points"] == sum(row["points"] for row in summary["classes"]) == len(coord)
    assert sum(row["share"] for row in summary["classes"]) == pytest.approx(1)
    for row in summary["classes"]:
        assert row["name"] == SPACE.names[SPACE.ids.index(row["id"])]
        assert row["points"] == (ids == row["id"]).sum()
        assert row["confidence"] == pytest.approx(vertex["confidence"][ids == row["id"]].mean(), rel=1e-4)
        assert row["name"] in outcome.out
    voxels = np.unique(np.floor((coord - coord.min(0)) / np.float32(VOXEL)), axis=0)
    assert sum(row["area_m2"] for row in summary["classes"]) == pytest.approx(len(voxels) * VOXEL**2)


def test_a_point_cloud_becomes_a_ply(predict, tmp_path):
    coord, color = room()
    np.savetxt(tmp_path / "a.xyz", np.column_stack([coord, color]), fmt="%.6f")
    np.savez(tmp_path / "b.npz", coord=coord, normal=np.tile(np.float32([0, 0, 1]), (len(coord), 1)))
    assert predict(tmp_path / "a.xyz", tmp_path / "b.npz").code == 0
    vertex = PlyData.read(tmp_path / "out/a.ply")["vertex"]
    np.testing.assert_allclose(np.stack([vertex[axis] for axis in "xyz"], 1), coord, atol=1e-6)
    assert vertex["x"].dtype == np.float64
    np.testing.assert_array_equal(np.stack([vertex[f"original_{c}"] for c in ("red", "green", "blue")], 1), color)
    vertex = PlyData.read(tmp_path / "out/b.ply")["vertex"]
    assert vertex["x"].dtype == np.float32
    np.testing.assert_array_equal(vertex["nz"], 1)
    assert len(labels_of(tmp_path / "out", "b")) == len(coord)


def test_processed_scenes_get_the_labels_of_evaluation(predict, checkpoint, tiny, tmp_path):
    predictor, space = load_predictor(checkpoint, torch.device("cpu"), [View()], torch.float32)
    folder = list_scenes(Path(tiny[2].removeprefix("dataset.root=")), "val")[0]
    assert predict(folder, fragments="false").code == 0
    expected, _ = predictor.predict(read_scene(folder, label_space("scannet200")))
    same = labels_of(tmp_path / "out", folder.name) == np.array(space.ids)[expected]
    assert same.mean() > 0.999  # a point on the border of two voxels may change sides


def test_unit_axis_and_position_do_not_change_labels(predict, tmp_path):
    coord, color = room()
    coord = coord.astype(np.float64)
    write_ply(tmp_path / "m.ply", coord, color)
    write_ply(tmp_path / "utm.ply", coord + np.array([691_000, 5_334_000, 500]), color)
    write_ply(tmp_path / "mm.ply", coord[:, [0, 2, 1]] * [1000, 1000, -1000], color)
    assert predict(tmp_path / "m.ply", tmp_path / "utm.ply").code == 0
    assert predict(tmp_path / "mm.ply", unit="mm", up="y").code == 0
    ids = [labels_of(tmp_path / "out", name) for name in ("m", "utm", "mm")]
    assert len(set(ids[0])) > 1
    for other in ids[1:]:
        assert (other == ids[0]).mean() > 0.99  # coordinates are rounded differently


def test_files_written_in_parts_are_the_same(predict, tmp_path, monkeypatch):
    path = write_ply(tmp_path / "a.ply", *room())
    assert predict(path, out=tmp_path / "once").code == 0
    monkeypatch.setattr(labeled_scan, "LINES", 999)
    monkeypatch.setattr(ply_write, "ROWS", 999)
    assert predict(path, out=tmp_path / "parts").code == 0
    for name in ("a.ply", "a.labels.txt"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_chunks_and_views_are_used(predict, tmp_path):
    path = write_ply(tmp_path / "a.ply", *room(1000))
    confidence = []
    for out, keys in (("whole", {}), ("chunks", {"max_voxels": 300, "overlap": 0}), ("views", {"tta": "rotations"})):
        assert predict(path, out=tmp_path / out, **keys).code == 0
        confidence.append(PlyData.read(tmp_path / out / "a.ply")["vertex"]["confidence"])
    for other in confidence[1:]:
        assert np.abs(other - confidence[0]).max() > 1e-6


# --- nothing lost ---


def test_every_dimension_of_a_las_is_in_the_result(predict, tmp_path):
    coord, color = room(500)
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.offsets, header.scales = [4.0e5, 5.0e6, 100], np.full(3, 0.001)
    header.add_extra_dim(laspy.ExtraBytesParams("treeID", "int32"))
    header.add_extra_dim(laspy.ExtraBytesParams("speed of light", "2float64"))
    las = laspy.LasData(header)
    las.x, las.y, las.z = (coord + np.array([412345.678, 5345678.9, 321])).T
    las.red, las.green, las.blue = color.T.astype(np.uint16) * 256
    count = np.arange(500)
    las.classification, las.return_number, las.intensity = count % 7, count % 5, count
    las.gps_time, las.treeID, las["speed of light"] = count * 0.5, -count, np.stack([count, -count], 1)
    las.write(tmp_path / "a.laz")
    outcome = predict(tmp_path / "a.laz")
    assert outcome.code == 0, outcome.err
    vertex = PlyData.read(tmp_path / "out/a.ply")["vertex"]
    np.testing.assert_allclose(np.stack([vertex[axis] for axis in "xyz"], 1), np.stack([las.x, las.y, las.z], 1))
    expected = {
        "classification": count % 7,
        "return_number": count % 5,
        "intensity": count,
        "gps_time": count * 0.5,
        "treeID": -count,
        "speed_of_light_0": count,
        "speed_of_light_1": -count,
        "original_red": color[:, 0].astype(np.uint16) * 256,
    }
    for name, column in expected.items():
        np.testing.assert_array_equal(vertex[name], column, err_msg=name)
    assert vertex["intensity"].dtype == vertex["original_red"].dtype == np.uint16


def test_attributes_of_any_name_and_type_are_in_the_result(predict, tmp_path):
    coord, color = room(300)
    count = np.arange(300)
    given = {
        "time of day": count.astype(np.int64) + 2**40,
        "index": count.astype(np.uint64),
        "seen": count > 1,
        "half": count.astype(np.float16),
        "label": count.astype(np.uint8),
        "fpfh": np.stack([count, -count], 1),
        "word": count.astype(str),
    }
    np.savez(tmp_path / "a.npz", coord=coord, color=color, **given)
    outcome = predict(tmp_path / "a.npz")
    assert outcome.code == 0, outcome.err
    assert "array word (300,) has no number per po" in outcome.err
    vertex = PlyData.read(tmp_path / "out/a.ply")["vertex"]
    names = ("time_of_day", "index", "seen", "half", "original_label", "fpfh_0", "fpfh_1")
    columns = [column for name, column in given.items() if name not in ("fpfh", "word")] + [count, -count]
    for name, column in zip(names, columns, strict=True):
        np.testing.assert_array_equal(vertex[name], column, err_msg=name)
    assert [vertex[name].dtype.str[1:] for name in names] == ["f8", "i4", "u1", "f4", "u1", "i4", "i4"]


def las_room(path, point_format=3):
    """A LAS file of a room, with classes of its own."""
    coord, color = room(500)
    las = laspy.LasData(laspy.LasHeader(point_format=point_format, version="1.4"))
    las.header.scales = np.full(3, 0.001)
    las.x, las.y, las.z = coord.T
    las.red, las.green, las.blue = color.T.astype(np.uint16) * 256
    las.classification = np.arange(500) % 7
    las.write(path)
    return path


def test_the_result_is_also_in_the_format_of_the_scan(predict, tmp_path):
    coord, color = room(300)
    las_room(tmp_path / "a.laz")
    np.savetxt(tmp_path / "b.csv", np.column_stack([coord, color]), "%g", ",", header="x,y,z,r,g,b", comments="")
    np.save(tmp_path / "c.npy", vertices(coord, color))
    np.savez(tmp_path / "d.npz", coord=coord, color=color)
    scans = [tmp_path / name for name in ("a.laz", "b.csv", "c.npy", "d.npz")]
    outcome = predict(*scans)
    assert outcome.code == 0, outcome.err
    assert (
        "a.laz: classification in the .laz result stays that of the scan, because it cannot hold class" in outcome.err
    )
    assert "stays that of the scan" in (tmp_path / "out/a.summary.json").read_text()
    for scan in scans:
        copy = read_scan(tmp_path / "out" / scan.name)
        np.testing.assert_array_equal(copy.attributes["label"], labels_of(tmp_path / "out", scan.stem))
        np.testing.assert_array_equal(copy.coord, read_scan(scan).coord)
        np.testing.assert_array_equal(copy.color, read_scan(scan).color)
    again = predict(*(tmp_path / "out" / scan.name for scan in scans), out=tmp_path / "again")
    assert again.code == 0, again.err
    for scan in scans:
        np.testing.assert_array_equal(labels_of(tmp_path / "again", scan.stem), labels_of(tmp_path / "out", scan.stem))
        assert {"label", "original_label"} <= set(read_scan(tmp_path / "again" / scan.name).attributes)


def test_classification_gets_classes_that_it_can_hold(predict, checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    content["setup"] |= {"label_space": "scannet20", "model": content["setup"]["model"] | {"out_channels": 20}}
    content["model"] |= {name: content["model"][name][..., :20] for name in ("final.kernel", "final.bias")}
    torch.save(content, tmp_path / "small.pt")
    path = las_room(tmp_path / "a.las")
    outcome = predict(path, checkpoint=tmp_path / "small.pt")
    assert outcome.code == 0, outcome.err
    assert "stays that of the scan" not in outcome.err
    las = laspy.read(tmp_path / "out/a.las")
    assert las.point_format.id == 7  # holds 39, the last class of ScanNet20
    np.testing.assert_array_equal(las.classification, labels_of(tmp_path / "out", "a"))
    np.testing.assert_array_equal(las.original_classification, np.arange(500) % 7)


def test_what_its_format_cannot_hold_is_only_in_the_ply(predict, tmp_path):
    las = laspy.read(las_room(tmp_path / "a.las"))
    las.header.start_of_waveform_data_packet_record = 99
    las.write(tmp_path / "a.las")
    outcome = predict(tmp_path / "a.las")
    assert outcome.code == 0, outcome.err
    assert "warning: " + str(tmp_path / "a.las") + ": there is no .las result (it holds waveforms)" in outcome.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.labels.txt", "a.ply", "a.summary.json"]


def test_a_scan_of_another_format_is_not_replaced_by_a_result(predict, tmp_path):
    path = las_room(tmp_path / "a.las")
    content = path.read_bytes()
    outcome = predict(path, out=tmp_path)
    assert outcome.code == 2
    assert "a.las is an input and would be replaced" in outcome.err
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.las").write_bytes(b"mine")
    outcome = predict(path)
    assert outcome.code == 2
    assert "a.las was not written by ceco3d.predict" in outcome.err
    assert path.read_bytes() == content
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.las"]


def test_a_result_of_another_checkpoint_or_scan_is_kept(predict, checkpoint, tmp_path):
    first, other = write_ply(tmp_path / "a.ply", *room(300)), tmp_path / "other/a.ply"
    other.parent.mkdir()
    write_ply(other, *room(200))
    assert predict(first).code == 0
    assert predict(first).code == 0  # the same again
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    changed = tmp_path / "changed.pt"
    content = torch.load(checkpoint, weights_only=True)
    content["model"]["final.bias"] += 1
    torch.save(content, changed)
    for message, arguments in (
        (f"a.ply is the result of another checkpoint ({checkpoint}): set overwrite=true", {"checkpoint": changed}),
        (f"a.ply belongs to {first}: set overwrite=true", {}),
    ):
        outcome = predict(other if not arguments else first, **arguments)
        assert outcome.code == 2
        assert message in outcome.err
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert predict(first, checkpoint=changed, overwrite="true").code == 0
    assert predict(other, overwrite="true").code == 0
    assert len(labels_of(tmp_path / "out", "a")) == 200


@pytest.mark.parametrize("name", ["a.labels.txt", "a.ply", "a.summary.json"])
def test_a_file_of_other_origin_is_not_replaced(predict, tmp_path, name):
    path = write_ply(tmp_path / "a.ply", *room(100))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("[]")
    outcome = predict(path)
    assert outcome.code == 2
    assert f"{name} was not written by ceco3d.predict" in outcome.err
    assert (tmp_path / "out" / name).read_text() == "[]"


def test_hidden_files_are_no_scans(predict, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    write_ply(folder / "a.ply", *room(100))
    (folder / "._a.ply").write_bytes(b"\0\5\26\7")
    assert predict(folder).code == 0
    assert predict(f"{folder}/*.ply").code == 0


def test_a_result_given_again_gets_the_same_labels(predict, tmp_path):
    path = write_ply(tmp_path / "a.ply", *room())
    assert predict(path).code == 0
    outcome = predict(tmp_path / "out/a.ply", out=tmp_path / "again")
    assert "a.ply: an earlier result: colors are taken from original_red original_green original_blue" in outcome.err
    np.testing.assert_array_equal(labels_of(tmp_path / "again", "a"), labels_of(tmp_path / "out", "a"))
    third = predict(tmp_path / "again/a.ply", out=tmp_path / "third")
    assert third.code == 0, third.err
    np.testing.assert_array_equal(labels_of(tmp_path / "third", "a"), labels_of(tmp_path / "out", "a"))


def test_low_confidence_is_said(predict, tmp_path):
    outcome = predict(write_ply(tmp_path / "a.ply", *room(300)))
    assert re.search(r"warning: .*a.ply: the mean confidence is [0-9.]+ %: the network hardly knows such", outcome.err)
    summary = json.loads((tmp_path / "out/a.summary.json").read_text())
    assert 0 < summary["mean_confidence"] < 0.5
    assert "mean confidence" in summary["warnings"][-1]


# --- bad input ---


def test_points_without_finite_coordinates_stay_unlabeled(predict, tmp_path):
    coord, color = room()
    coord[7], coord[9, 1] = np.nan, np.inf
    outcome = predict(write_ply(tmp_path / "a.ply", coord, color))
    assert outcome.code == 0
    assert re.search(r"warning: .*a.ply: 2 points with NaN or infinite coordinates, left unlabeled", outcome.err)
    ids = labels_of(tmp_path / "out", "a")
    assert np.flatnonzero(ids == 0).tolist() == [7, 9]
    vertex = PlyData.read(tmp_path / "out/a.ply")["vertex"]
    np.testing.assert_array_equal(np.stack([vertex[axis] for axis in "xyz"], 1), coord)
    assert vertex["confidence"][[7, 9]].tolist() == [0, 0]
    assert json.loads((tmp_path / "out/a.summary.json").read_text())["unlabelled"] == 2


@pytest.mark.parametrize("count", [1, 2])
def test_one_point_or_two_identical_points_make_a_scan(predict, tmp_path, count):
    outcome = predict(write_ply(tmp_path / "a.ply", np.ones((count, 3), np.float32)))
    assert outcome.code == 0, outcome.err
    assert "no colors" in outcome.err
    assert "check unit=m" in outcome.err
    assert len(labels_of(tmp_path / "out", "a")) == count


def test_a_failed_scan_is_named_and_does_not_stop_the_others(predict, tmp_path):
    coord, color = room(500)
    folder = tmp_path / "scans"
    folder.mkdir()
    np.save(folder / "a.npy", coord)
    write_ply(folder / "a.ply", coord, color)
    write_ply(folder / "c.ply", np.full((3, 3), np.nan), color[:3])
    (folder / "b.ply").write_text("ply\nnothing")
    before = {path: hashlib.md5(path.read_bytes()).digest() for path in folder.iterdir()}
    outcome = predict(folder)
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert re.search("b.ply: damaged", errors[0])
    assert re.search("c.ply: no point has finite coordinates", errors[1])
    assert errors[2] == f"error: 2 of 4 scans failed: {folder}/b.ply, {folder}/c.ply"
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    suffixes = (".labels.txt", ".ply", ".summary.json")
    assert names == sorted([*(f"a{n}{suffix}" for n in ("-2", "") for suffix in suffixes), "a.npy"])
    inputs = {json.loads((tmp_path / f"out/{n}.summary.json").read_text())["input"] for n in ("a", "a-2")}
    assert inputs == {str(folder / "a.npy"), str(folder / "a.ply")}
    assert {path: hashlib.md5(path.read_bytes()).digest() for path in folder.iterdir()} == before


@pytest.mark.parametrize("linked", [False, True])
def test_an_input_is_never_replaced(predict, tmp_path, linked):
    path = write_ply(tmp_path / "a.ply", *room(100))
    content = path.read_bytes()
    out = tmp_path
    if linked:
        out = tmp_path / "out"
        out.mkdir()
        (out / "a.ply").hardlink_to(path)
    outcome = predict(path, out=out)
    assert outcome.code == 2
    assert re.search(r"a\.ply is an input and would be replaced; choose another folder", outcome.err)
    assert path.read_bytes() == content
    assert [p.name for p in out.iterdir()] == ["a.ply"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_stopped_run_leaves_nothing_half_written(predict, tmp_path, monkeypatch, error):
    path = write_ply(tmp_path / "a.ply", *room(100))

    def stop(file, *_):
        file.write(b"ply\n")
        raise error(28, "No space left on device")

    monkeypatch.setattr(labeled_scan, "extend_ply", stop)
    outcome = predict(path)
    assert outcome.code == {KeyboardInterrupt: 130, OSError: 2}[error]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"unit": "ft"}, "unit=ft.*m|cm|mm"),
        ({"up": "w"}, "up=w.*z|y|-y"),
        ({"max_voxels": 0}, "max_voxels=0: must be at least 1"),
        ({"overlap": 0.5}, "overlap=0.5: must be a whole number"),
        ({"input": "{tmp}/none.ply"}, "input=.*none.ply: no such file or folder"),
        ({"input": "{tmp}/*.las"}, "no scan matches this pattern"),
        ({"input": "{tmp}/empty"}, "no scan in this folder"),
        ({"input": "[]"}, "input=..: name a scan"),
        ({"checkpoint": "{tmp}/none.pt"}, "no such checkpoint"),
        ({"out": "{tmp}/a.xyz"}, "cannot write there"),
        ({"input": "{tmp}/notes.md"}, "unknown format '.md'; choose one of .ply"),
        ({"unit": "mm"}, None),
    ],
)
def test_bad_usage_gives_one_line_and_exit_2(predict, tmp_path, keys, message):
    (tmp_path / "a.xyz").write_text("0 0 0\n1 2 3\n")
    (tmp_path / "notes.md").touch()
    (tmp_path / "empty").mkdir()
    keys = {key: str(value).format(tmp=tmp_path) for key, value in keys.items()}
    outcome = predict(keys.pop("input", tmp_path / "a.xyz"), **keys)
    if message is None:
        assert outcome.code == 0, outcome.err
        return
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, outcome.err
    assert "Traceback" not in outcome.err
    assert re.search(message, errors[0]), errors[0]
    assert not (tmp_path / "out").exists()


def test_help_explains_the_command(run_command):
    outcome = run_command("predict", "--help")
    assert outcome.code == 0
    assert "python -m ceco3d.predict" in outcome.out
    assert "max_voxels" in run_command("predict", "--cfg", "job").out
