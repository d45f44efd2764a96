"""The generated data set: ScanNet's raw layout, class coverage, scan geometry, determinism."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData
from scipy.spatial.distance import pdist

from ceco3d.data.labels import class_rows
from ceco3d.synthetic import generate_rooms
from ceco3d.synthetic.allocation import ScenePlan
from ceco3d.synthetic.catalog import CATALOG, ROOM_SHELL
from ceco3d.synthetic.shapes.primitives import ball, block, cylinder, ring, rod
from ceco3d.synthetic.style import PLAIN, REAL
from ceco3d.utils.errors import UserError

TINY = {"train": 14, "val": 3, "test": 1, "vertices": 25000}  # conf/dataset/rooms200.yaml, sizes.tiny
GRAY = np.full(3, 128.0)


def read_csv(path, **options):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file, **options))


@pytest.fixture
def raw(tiny_raw):
    return tiny_raw


def split_names(raw, split):
    return (raw / f"scannetv2_{split}.txt").read_text().split()


def folders(raw, split):
    return [raw / ("scans_test" if split == "test" else "scans") / name for name in split_names(raw, split)]


def read_mesh(folder, kind=""):
    ply = PlyData.read(folder / f"{folder.name}_vh_clean_2{kind}.ply", known_list_len={"face": {"vertex_indices": 3}})
    coord = np.stack([ply["vertex"][axis] for axis in "xyz"], axis=1)
    return coord, np.asarray(ply["face"]["vertex_indices"]), ply["vertex"]


def read_annotation(folder):
    segment = json.loads((folder / f"{folder.name}_vh_clean_2.0.010000.segs.json").read_text())
    groups = json.loads((folder / f"{folder.name}.aggregation.json").read_text())
    return segment, groups


def read_txt(folder):
    return dict(line.split(" = ") for line in (folder / f"{folder.name}.txt").read_text().splitlines())


def raw_ids(raw):
    """First match wins, as in ScanNet's own preprocessing."""
    rows = read_csv(raw / "scannetv2-labels.combined.tsv", delimiter="\t")
    return {row["raw_category"]: int(row["id"]) for row in reversed(rows)}


def class_counts(raw, split):
    """Annotated objects with at least one vertex, by class name."""
    names = {int(row["id"]): row["name"] for row in class_rows("scannet200")}
    ids, counts = raw_ids(raw), Counter()
    for folder in folders(raw, split):
        segs, aggregation = read_annotation(folder)
        for group in aggregation["segGroups"]:
            if np.isin(segs["segIndices"], group["segments"]).any():
                counts[names.get(ids[group["label"]])] += 1
    return counts


def tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def sparse_rooms(monkeypatch):
    """Rooms with few objects: quick to make, but without most of the 200 classes."""
    names = ["door", "doorframe", "desk", "office chair", "monitor", "trash can", "plant", "poster", "ceiling light"]
    plan = ScenePlan("office", names)
    monkeypatch.setattr("ceco3d.synthetic.generate.allocate", lambda scenes, *_, **__: [plan] * scenes)


@pytest.mark.usefixtures("sparse_rooms")
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(tmp_path):
    sizes = {"train": 2, "val": 1, "test": 1, "vertices": 8000}
    for name, workers, seed in (("one", 1, 7), ("two", 2, 7), ("other", 1, 8)):
        generate_rooms(tmp_path / name, **sizes, seed=seed, workers=workers)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert tree(tmp_path / "one") != tree(tmp_path / "other")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "other"}  # no temporary folders left


def test_refuses_to_overwrite(tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match="exists already"):
        generate_rooms(tmp_path / "raw", **TINY, seed=0, workers=1)


@pytest.mark.usefixtures("sparse_rooms")
def test_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("disk full")

    monkeypatch.setattr("ceco3d.synthetic.generate.write_label_table", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        generate_rooms(tmp_path / "raw", train=1, val=1, test=1, vertices=8000, seed=0, workers=1)
    assert not list(tmp_path.iterdir())


def test_splits_share_no_room(raw):
    names = {split: split_names(raw, split) for split in ("train", "val", "test")}
    assert {split: len(scans) for split, scans in names.items()} == {split: TINY[split] for split in names}
    spaces = {split: {name[:9] for name in scans} for split, scans in names.items()}
    assert not spaces["train"] & spaces["val"]
    assert not spaces["train"] & spaces["test"]
    assert not spaces["val"] & spaces["test"]
    assert any(name.endswith("_01") for name in names["train"])
    assert {path.name for path in (raw / "scans").iterdir()} == {*names["train"], *names["val"]}


@pytest.mark.parametrize(
    ("kind", "comment", "extra"), [("", "VCGLIB", ""), (".labels", "MLIB", "property ushort label\n")]
)
def test_ply_header_is_that_of_scannet(raw, kind, comment, extra):
    folder = folders(raw, "train")[0]
    coord, faces, _ = read_mesh(folder, kind)
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment {comment} generated\nelement vertex {len(coord)}\n"
        "property float x\nproperty float y\nproperty float z\nproperty uchar red\nproperty uchar green\n"
        f"property uchar blue\nproperty uchar alpha\n{extra}element face {len(faces)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    ).encode()
    content = (folder / f"{folder.name}_vh_clean_2{kind}.ply").read_bytes()
    assert content.startswith(header)
    assert len(content) == len(header) + len(coord) * (18 if kind else 16) + len(faces) * 13


def test_mesh_has_the_density_of_a_real_scan(raw):
    for folder in folders(raw, "train") + folders(raw, "test"):
        coord, faces, vertex = read_mesh(folder)
        assert 0.6 * TINY["vertices"] < len(coord) < 1.4 * TINY["vertices"]
        assert len(np.unique(coord, axis=0)) == len(coord)
        assert np.array_equal(np.unique(faces), np.arange(len(coord)))
        assert np.allclose(coord.min(0), 0, atol=0.1)
        edges = np.linalg.norm(coord[faces] - coord[np.roll(faces, 1, axis=1)], axis=-1)
        assert 0.017 < np.median(edges) < 0.027
        assert (np.asarray(vertex["alpha"]) == 255).all()


def test_segments_belong_to_one_object_each(raw):
    small = total = 0
    for folder in folders(raw, "train"):
        segs, aggregation = read_annotation(folder)
        coord, _, _ = read_mesh(folder)
        segment = np.array(segs["segIndices"])
        assert list(segs) == ["params", "sceneId", "segIndices"]
        assert len(segment) == len(coord)
        assert np.array_equal(segment[segment], segment)  # a segment is named by one of its vertices
        assert list(aggregation) == ["sceneId", "appId", "segGroups", "segmentsFile"]
        assert aggregation["sceneId"] == f"scannet.{folder.name}"
        grouped = [number for group in aggregation["segGroups"] for number in group["segments"]]
        assert len(set(grouped)) == len(grouped)  # no segment in two objects
        assert set(grouped) <= set(segment.tolist())
        for number, group in enumerate(aggregation["segGroups"]):
            assert group["id"] == group["objectId"] == number
            assert set(group) == {"id", "objectId", "segments", "label"}
        sizes = np.bincount(segment)[np.unique(segment)]
        small, total = small + (sizes < 20).sum(), total + len(sizes)
        assert 0 <= np.isin(segment, grouped, invert=True).mean() < 0.2
    assert small < 0.02 * total


def test_labels_ply_agrees_with_the_groups(raw):
    nyu40 = {
        row["raw_category"]: int(row["nyu40id"])
        for row in read_csv(raw / "scannetv2-labels.combined.tsv", delimiter="\t")
    }
    for folder in folders(raw, "val"):
        coord, faces, _ = read_mesh(folder)
        coord2, faces2, vertex = read_mesh(folder, ".labels")
        assert np.array_equal(coord, coord2)
        assert np.array_equal(faces, faces2)
        segs, aggregation = read_annotation(folder)
        expected = np.zeros(len(coord), int)
        for group in aggregation["segGroups"]:
            expected[np.isin(segs["segIndices"], group["segments"])] = nyu40[group["label"]]
        label = np.asarray(vertex["label"]).astype(int)
        assert np.array_equal(label, expected)
        assert np.array_equal(vertex["alpha"], np.where(label > 0, 256 - label, 0))


def test_label_table_has_the_ids_of_scannet(raw):
    content = (raw / "scannetv2-labels.combined.tsv").read_bytes()
    assert b"\r" not in content
    rows = read_csv(raw / "scannetv2-labels.combined.tsv", delimiter="\t")
    assert len(rows[0]) == 17
    classes = {row["name"]: row for row in class_rows("scannet200")}
    ids = raw_ids(raw)
    assert all(ids[name] == int(row["id"]) for name, row in classes.items())
    assert len(ids) == len(rows)
    nyu40 = {row["raw_category"]: int(row["nyu40id"]) for row in rows}
    assert (nyu40["chair"], nyu40["couch"], nyu40["shower curtain"], nyu40["trash can"]) == (5, 6, 28, 39)
    assert all((nyu40[name] in (38, 40)) == (not row["scannet20_name"]) for name, row in classes.items())
    assert ids["chairs"] == ids["stack of chairs"] == 2
    assert ids["wardrobe cabinet"] not in {int(row["id"]) for row in classes.values()}


def test_train_has_every_class_at_least_twice(raw):
    counts = class_counts(raw, "train")
    assert {row["name"]: counts[row["name"]] for row in class_rows("scannet200") if counts[row["name"]] < 2} == {}


def test_val_lacks_exactly_the_unseen_classes(raw):
    counts = class_counts(raw, "val")
    unseen = {row["name"] for row in class_rows("scannet200") if row["val"] == "0"}
    assert len(unseen) == 11
    assert not unseen & set(counts)
    assert len(counts) > 50


def test_test_scans_have_no_annotation(raw):
    for folder in folders(raw, "test"):
        assert {path.name for path in folder.iterdir()} == {f"{folder.name}_vh_clean_2.ply", f"{folder.name}.txt"}
        assert "axisAlignment" not in read_txt(folder)


def test_axis_alignment_undoes_the_rotation(raw):
    """Aligned walls are upright planes along x or y; raw ones are not."""
    ids = raw_ids(raw)
    for folder in folders(raw, "train"):
        coord, _, _ = read_mesh(folder)
        matrix = np.array(read_txt(folder)["axisAlignment"].split(), float).reshape(4, 4)
        assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-5)
        assert np.allclose(matrix[2, :2], 0)
        aligned = coord @ matrix[:3, :3].T + matrix[:3, 3]
        segs, aggregation = read_annotation(folder)
        for group in aggregation["segGroups"]:
            wall = np.isin(segs["segIndices"], group["segments"])
            if ids[group["label"]] == 1 and wall.sum() > 300:
                assert aligned[wall, :2].std(0).min() < 0.02
                assert coord[wall, :2].std(0).min() > 0.02


def test_a_second_scan_shows_the_same_room_differently(raw):
    again = next(folder for folder in folders(raw, "train") if folder.name.endswith("_01"))
    first = again.with_name(again.name[:-1] + "0")
    labels = [sorted(group["label"] for group in read_annotation(folder)[1]["segGroups"]) for folder in (first, again)]
    common = sum((Counter(labels[0]) & Counter(labels[1])).values())
    assert common > 0.9 * len(labels[0])
    assert read_mesh(first)[0].shape != read_mesh(again)[0].shape


def test_catalog_covers_the_benchmark():
    assert {*CATALOG, *ROOM_SHELL} == {row["name"] for row in class_rows("scannet200")}


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("catalog", [PLAIN.catalog, REAL.catalog], ids=["plain", "real"])
@pytest.mark.parametrize("name", sorted(CATALOG))
def test_objects_have_their_size_and_stand_on_the_floor(catalog, name, seed):
    entry = catalog[name]
    shape = entry.build(np.random.default_rng(seed))
    low, high = shape.quads.min((0, 1)), shape.quads.max((0, 1))
    if entry.placement.kind not in ("on_wall", "ceiling"):
        assert low[2] == pytest.approx(0, abs=0.03)
    assert np.abs((high - low) / np.array(entry.size) - 1).max() < 1.4 or np.abs(high - low - entry.size).max() < 0.15
    assert ((shape.colors >= 0) & (shape.colors <= 300)).all()
    assert set(entry.placement.hosts) <= set(CATALOG)


@pytest.mark.parametrize(
    ("shape", "volume"),
    [
        (block(1, 2, 3, GRAY), 6),
        (cylinder(1, 0, 2, GRAY), 2 * 3),  # a regular 12-gon of radius 1 has area 3
        (ball((2, 2, 2), GRAY), 4 / 3 * np.pi * 0.94),
        (rod((0, 0, 0), (0, 1, 1), 0.1, GRAY), 2**0.5 * 0.0259808),  # hexagon of radius 0.1
        (ring(1, 0.1, GRAY), 2 * np.pi**2 * 0.01 * 0.885),
    ],
)
def test_primitives_are_closed_and_face_outward(shape, volume):
    """Signed volume by the divergence theorem; the same after rotation and translation."""
    for s in (shape, shape.rotate_z(0.7).move(1, 2, 3), shape.lay_back()):
        a, b, c, d = np.moveaxis(s.quads, 1, 0)
        signed = (np.einsum("ij,ij->i", a, np.cross(b, c)) + np.einsum("ij,ij->i", a, np.cross(c, d))).sum() / 6
        assert signed == pytest.approx(volume, rel=0.02)
    lengths = pdist(shape.quads.reshape(-1, 3))
    assert np.allclose(lengths, pdist(shape.rotate_z(0.7).quads.reshape(-1, 3)))
