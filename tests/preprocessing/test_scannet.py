"""The reader of raw scenes: labels worked out by hand, and every kind of broken file."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.data.pointclouds.normals import vertex_normals
from ceco3d.data.scenes.normals import missing_normals
from ceco3d.preprocessing.label_table import read_label_table
from ceco3d.preprocessing.scannet import read_alignment, read_mesh, read_scene
from ceco3d.preprocessing.split_lists import read_splits
from ceco3d.utils.errors import UserError
from tests.helpers.raw_scene import (
    GROUPS,
    colors_of,
    grid,
    ply_bytes,
    seg_index,
    write_groups,
    write_raw_scene,
    write_table,
)

NAME = "scene0000_00"
MESH, SEGS, AGGREGATION, INFO = (
    f"{NAME}{end}" for end in ("_vh_clean_2.ply", "_vh_clean_2.0.010000.segs.json", ".aggregation.json", ".txt")
)


@pytest.fixture
def labels(tmp_path):
    return read_label_table(write_table(tmp_path / "table"))


def read_groups(tmp_path, labels, groups):
    return read_scene(write_raw_scene(tmp_path, NAME, groups), labels, annotated=True, align=True)


# Label table and split lists


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r\r\n"])
def test_label_table_line_ends(tmp_path, newline):
    table = read_label_table(write_table(tmp_path, newline))
    assert len(table.raw_id) == len(table.nyu40) == 14  # 15 rows, "object" twice
    assert (table.raw_id["pipe"], table.nyu40["pipe"]) == (107, 40)
    assert (table.raw_id["pipes"], table.nyu40["pipes"]) == (107, 38)


def test_label_table_first_match_and_exact_text(tmp_path):
    table = read_label_table(write_table(tmp_path, rows=[(7, "a b", 3), (8, "a b", 4), (9, "A b", 5)]))
    assert table.raw_id == {"a b": 7, "A b": 9}
    assert table.nyu40 == {"a b": 3, "A b": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("id\traw_category\n1\twall\n", "no column 'nyu40id'"),
        ("<html>not found</html>\nx\n", "no column 'raw_category'"),
        ("id\traw_category\tnyu40id\none\twall\t1\n", "damaged"),
        ("id\traw_category\tnyu40id\n1\twall\n", "damaged"),
        ("id\traw_category\tnyu40id\n1\twall\t1\n\x00\xff", "damaged"),
    ],
)
def test_label_table_errors(tmp_path, text, message):
    path = tmp_path / "labels.tsv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=message) as error:
        read_label_table(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_label_table_missing(tmp_path):
    with pytest.raises(UserError, match=r"labels\.tsv \(No such file"):
        read_label_table(tmp_path / "labels.tsv")


def test_splits_keep_file_order(tmp_path):
    (tmp_path / "scannetv2_train.txt").write_text("scene0002_01\nscene0000_00\nscene0002_01\n")
    (tmp_path / "scannetv2_test.txt").write_text("scene0707_00")
    assert read_splits(tmp_path) == {"train": ["scene0002_01", "scene0000_00"], "test": ["scene0707_00"]}


def test_splits_missing(tmp_path):
    with pytest.raises(UserError, match=r"no split list .*scannetv2_train\.txt.*Tasks/Benchmark"):
        read_splits(tmp_path)


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b", "..", ".hidden", "a\\b", "scène"])
def test_splits_refuse_names_that_escape(tmp_path, name):
    (tmp_path / "scannetv2_val.txt").write_text(f"scene0000_00\n{name}\n", encoding="utf-8")
    with pytest.raises(UserError, match="not a scene name") as error:
        read_splits(tmp_path)
    assert "scannetv2_val.txt" in str(error.value)


def test_splits_empty_list(tmp_path):
    (tmp_path / "scannetv2_val.txt").write_text("\n")
    with pytest.raises(UserError, match="lists no scene"):
        read_splits(tmp_path)


# Labels


def test_labels_of_plain_groups(tmp_path, labels):
    scene = read_groups(tmp_path, labels, GROUPS)
    # wall 0, chair 1, floor 2 of ScanNet200; wall 0, floor 1, chair 4 of ScanNet20; vertex 11 is in no group
    assert scene["segment200"].tolist() == [0] * 4 + [2] * 5 + [1] * 2 + [-1]
    assert scene["segment20"].tolist() == [0] * 4 + [1] * 5 + [4] * 2 + [-1]
    assert scene["instance"].tolist() == [0] * 4 + [1] * 5 + [2] * 2 + [-1]
    assert {name: array.dtype.name for name, array in scene.items()} == {
        "coord": "float32",
        "color": "uint8",
        "normal": "float32",
        "segment20": "int16",
        "segment200": "int16",
        "instance": "int16",
    }
    np.testing.assert_array_equal(scene["coord"], grid()[0])
    np.testing.assert_array_equal(scene["color"], colors_of(12))


@pytest.mark.parametrize(
    ("name", "segment200", "segment20"),
    [
        ("table", 3, 6),
        ("door", 4, 7),
        ("couch", 5, 5),
        ("shelf", 7, -1),  # nyu40 15 is not one of the 20
        ("wardrobe cabinet", -1, 19),  # raw id 1177 is not one of the 200
        ("stick", -1, -1),  # not in the table
        ("Table", -1, -1),
        ("table ", -1, -1),
        ("", -1, -1),
    ],
)
def test_label_of_raw_name(tmp_path, labels, name, segment200, segment20):
    scene = read_groups(tmp_path, labels, [("wall", [0, 1]), (name, [1, 2])])
    assert scene["segment200"][:4].tolist() == [0, segment200, segment200, -1]
    assert scene["segment20"][:4].tolist() == [0, segment20, segment20, -1]
    assert scene["instance"][:4].tolist() == [0, 1, 1, -1]


def test_scannet20_label_follows_the_name_not_the_id(tmp_path, labels):
    scene = read_groups(tmp_path, labels, [("shower door", [0]), ("shower doors", [1])])
    assert scene["segment200"][0] == scene["segment200"][1] >= 0
    assert scene["segment20"][:2].tolist() == [7, -1]


def test_doubled_groups_are_the_same_instances(tmp_path, labels):
    groups = [("wall", [0, 1, 2]), ("chair", [3, 4]), ("chair", [5])]
    once = read_groups(tmp_path / "once", labels, groups)
    twice = read_groups(tmp_path / "twice", labels, groups * 2)
    np.testing.assert_array_equal(twice["instance"], once["instance"])
    np.testing.assert_array_equal(twice["segment200"], once["segment200"])
    # the same segments under another name are another object
    renamed = read_groups(tmp_path / "renamed", labels, [*groups, ("table", [5])])
    assert renamed["instance"][5] == 3


def test_segments_of_many_vertices_and_unknown_segments(tmp_path, labels):
    folder = write_raw_scene(tmp_path, NAME, [])
    (folder / SEGS).write_text(json.dumps({"segIndices": [9, 9, 9, 0, 0, 4, 4, 4, 4, 11, 11, 9]}))
    write_groups(folder, [("wall", [9, 1000000]), ("floor", [4, 11, 7, -1]), ("door", [5])])
    scene = read_scene(folder, labels, annotated=True, align=True)
    assert scene["segment200"].tolist() == [0, 0, 0, -1, -1, 2, 2, 2, 2, 2, 2, 0]
    assert scene["instance"].tolist() == [0, 0, 0, -1, -1, 1, 1, 1, 1, 1, 1, 0]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["wall", "floor", "pipe", "pipes", "object", "nothing"]),
            st.lists(st.integers(0, 11), max_size=6),
        ),
        max_size=6,
    )
)
def test_labels_equal_a_slow_reading_of_the_rule(tmp_path_factory, groups):
    tmp_path = tmp_path_factory.mktemp("rule")
    labels = read_label_table(write_table(tmp_path / "table"))
    # ids 107 and 1163 are the 92nd and 173rd of the 200
    index200 = {"wall": 0, "floor": 2, "pipe": 91, "pipes": 91, "object": 172}
    index20 = {"wall": 0, "floor": 1}
    segment200, segment20, instance, seen = [-1] * 12, [-1] * 12, [-1] * 12, []
    for name, vertices in groups:
        key = (name, sorted(vertices))
        if key not in seen:
            seen.append(key)
        for vertex in vertices:
            segment200[vertex] = index200.get(name, -1)
            segment20[vertex] = index20.get(name, -1)
            instance[vertex] = seen.index(key)
    scene = read_groups(tmp_path, labels, groups)
    assert scene["segment200"].tolist() == segment200
    assert scene["segment20"].tolist() == segment20
    assert scene["instance"].tolist() == instance


def test_test_scene_has_no_labels(tmp_path):
    scene = read_scene(write_raw_scene(tmp_path, NAME, None), None, annotated=False, align=True)
    for name in ("segment20", "segment200", "instance"):
        assert scene[name].tolist() == [-1] * 12
        assert scene[name].dtype == np.int16


# Geometry


def slow_normals(vertices, faces):
    normals = np.zeros((len(vertices), 3))
    for a, b, c in faces:
        normal = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
        for vertex in (a, b, c):
            normals[vertex] += normal
    for normal in normals:
        length = np.sqrt((normal**2).sum())
        if length > 0:
            normal /= length
    return normals


@pytest.mark.parametrize("seed", range(3))
def test_normals_equal_a_loop(seed):
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(40, 3))
    faces = rng.integers(0, 39, size=(60, 3))  # some degenerate; the last vertex has no face
    normals = vertex_normals(vertices, faces)
    assert normals.dtype == np.float32
    np.testing.assert_allclose(normals, slow_normals(vertices, faces), atol=1e-6)
    assert normals[39].tolist() == [0, 0, 0]


def test_normals_of_a_flat_sheet_point_up_and_no_faces_give_zero():
    vertices, faces = grid()
    vertices[:, 2] = 1
    np.testing.assert_allclose(vertex_normals(vertices, faces), [[0, 0, 1]] * 12)
    np.testing.assert_array_equal(vertex_normals(vertices, faces[:0]), np.zeros((12, 3)))


def test_alignment_turns_coordinates_and_normals(tmp_path):
    # a quarter turn about z, then a shift: (x, y, z) -> (1 - y, x + 2, z - 3)
    info = "axisAlignment = 0 -1 0 1.0 1 0 0 2 0 0 1 -3 0 0 0 1 \nsceneType = Bedroom / Hotel\n"
    folder = write_raw_scene(tmp_path, NAME, None, info=info)
    aligned = read_scene(folder, None, annotated=False, align=True)
    original = read_scene(folder, None, annotated=False, align=False)
    x, y, z = grid()[0].T
    np.testing.assert_array_equal(original["coord"], grid()[0])
    np.testing.assert_allclose(aligned["coord"], np.stack([1 - y, x + 2, z - 3], axis=1), atol=1e-6)
    nx, ny, nz = original["normal"].T
    assert abs(nx).max() > 0.1
    np.testing.assert_allclose(aligned["normal"], np.stack([-ny, nx, nz], axis=1), atol=1e-6)


@pytest.mark.parametrize(
    "text",
    ["", "sceneType = Office\n", "colorHeight = 968\nsceneType = a = b\nno separator at all\n\n", "\x00\xff\n"],
)
def test_alignment_missing_is_identity(tmp_path, text):
    path = tmp_path / INFO
    path.write_bytes(text.encode("latin-1"))
    np.testing.assert_array_equal(read_alignment(path), np.eye(4))


@pytest.mark.parametrize("value", ["1 " * 15, "1 " * 17, "", "Office", "1 " * 15 + "nan", "1 " * 15 + "inf"])
def test_alignment_errors(tmp_path, value):
    path = tmp_path / INFO
    path.write_text(f"axisAlignment = {value}\n")
    with pytest.raises(UserError, match=r"scene0000_00\.txt: axisAlignment is not 16 finite numbers"):
        read_alignment(path)


def test_alignment_file_is_needed_only_to_align(tmp_path):
    folder = write_raw_scene(tmp_path, NAME, None)
    (folder / INFO).unlink()
    assert len(read_scene(folder, None, annotated=False, align=False)["coord"]) == 12
    with pytest.raises(UserError, match=r"scene0000_00\.txt .*dataset\.align=false"):
        read_scene(folder, None, annotated=False, align=True)


# Meshes


def test_mesh_reads_names_not_positions(tmp_path):
    vertices, faces = grid()
    colors = colors_of(12)
    fields = [("label", "<u2"), ("blue", "u1"), ("z", "<f4"), ("alpha", "u1"), ("x", "<f4"), ("green", "u1")]
    fields += [("y", "<f8"), ("red", "u1")]
    names = {"<u2": "ushort", "u1": "uchar", "<f4": "float", "<f8": "double"}
    rows = np.zeros(12, fields)
    rows["x"], rows["y"], rows["z"] = vertices.T
    rows["red"], rows["green"], rows["blue"] = colors.T
    rows["alpha"] = np.arange(12)
    header, _, rest = ply_bytes(vertices, faces).partition(b"property float x\n")
    properties = "".join(f"property {names[kind]} {name}\n" for name, kind in fields).encode()
    _, _, rest = rest.partition(b"property uchar alpha\n")
    face_header, end, body = rest.partition(b"end_header\n")
    path = tmp_path / MESH
    path.write_bytes(header + properties + face_header + end + rows.tobytes() + body[12 * 16 :])
    got_vertices, got_colors, got_faces = read_mesh(path)
    np.testing.assert_array_equal(got_vertices, vertices)
    np.testing.assert_array_equal(got_colors, colors)
    np.testing.assert_array_equal(got_faces, faces)
    assert (got_vertices.dtype, got_colors.dtype) == (np.float32, np.uint8)


def broken_meshes():
    vertices, faces = grid()
    good = ply_bytes(vertices, faces)
    ends = {"nan": np.nan, "infinite": np.inf}
    for name, value in ends.items():
        bad = vertices.copy()
        bad[5, 1] = value
        yield pytest.param(ply_bytes(bad, faces), "NaN or infinite", id=name)
    yield pytest.param(good[:-1], "complete", id="last byte missing")
    yield pytest.param(good[:300], "complete", id="vertices missing")
    yield pytest.param(good[:100], "no PLY header", id="header cut")
    yield pytest.param(b"", "no PLY header", id="empty file")
    yield pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "no PLY header", id="pointer file")
    yield pytest.param(good.replace(b"vertex 12", b"vertex 4000000000000"), "complete", id="vertex count lies")
    yield pytest.param(good.replace(b"face 12", b"face 99999999999999999999"), "complete", id="face count lies")
    yield pytest.param(good.replace(b"vertex 12", b"vertex -12"), "complete", id="negative count")
    yield pytest.param(good.replace(b"vertex 12", b"vertex 11"), "complete", id="vertex count too small")
    yield pytest.param(good.replace(b"binary_little_endian", b"ascii"), "not a binary PLY", id="ascii")
    yield pytest.param(good.replace(b"int vertex_indices", b"int corners"), "list properties", id="other list")
    yield pytest.param(good.replace(b"property float x", b"property float u"), "complete", id="no x")
    yield pytest.param(good.replace(b"element vertex", b"element point"), "complete", id="no vertices element")
    yield pytest.param(ply_bytes(vertices[:0], faces[:0]), "no vertices", id="empty mesh")
    yield pytest.param(ply_bytes(vertices, faces + 1), "do not exist", id="face index too large")
    yield pytest.param(ply_bytes(vertices, faces - 1), "do not exist", id="face index negative")
    quad = bytearray(good)
    quad[-13] = 4
    yield pytest.param(bytes(quad) + bytes(4), "unexpected list length", id="quad")
    yield pytest.param(bytes(quad), "ends too early", id="quad that is cut")
    uints = good.replace(b"uchar red", b"char red").replace(b"uchar green", b"char green")
    yield pytest.param(uints.replace(b"uchar blue", b"char blue"), "not uchar", id="signed colors")


@pytest.mark.parametrize(("data", "message"), list(broken_meshes()))
def test_mesh_errors(tmp_path, data, message):
    path = tmp_path / MESH
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        read_mesh(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_mesh_without_faces_has_the_normals_of_its_points(tmp_path):
    folder = write_raw_scene(tmp_path, NAME, None)
    (folder / MESH).write_bytes(ply_bytes(grid()[0], grid()[1][:0]))
    scene = read_scene(folder, None, annotated=False, align=True)
    np.testing.assert_array_equal(scene["normal"], missing_normals(grid()[0]))
    np.testing.assert_allclose(np.linalg.norm(scene["normal"], axis=1), 1, rtol=1e-6)


# Broken annotation files


def test_missing_scene_folder(tmp_path, labels):
    with pytest.raises(UserError, match=r"scene0009_00 is missing: download"):
        read_scene(tmp_path / "scene0009_00", labels, annotated=True, align=True)


@pytest.mark.parametrize("file", [MESH, SEGS, AGGREGATION])
def test_missing_file(tmp_path, labels, file):
    folder = write_raw_scene(tmp_path, NAME)
    (folder / f"{NAME}_vh_clean_2.labels.ply").write_bytes((folder / MESH).read_bytes())
    (folder / file).unlink()
    with pytest.raises(UserError, match=f"cannot read .*{file}") as error:
        read_scene(folder, labels, annotated=True, align=True)
    assert file == MESH or ".labels.ply cannot replace it" in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (SEGS, '{"segIndices": [1, 2', "not valid JSON"),
        (SEGS, "", "not valid JSON"),
        (SEGS, "[" * 100000, "not valid JSON"),
        (SEGS, "\xff\xfe\x00", "not valid JSON"),
        (SEGS, "[1, 2]", "no list 'segIndices'"),
        (SEGS, '{"segIndices": {"a": 1}}', "no list 'segIndices'"),
        (SEGS, '{"segGroups": []}', "no list 'segIndices'"),
        (SEGS, '{"segIndices": []}', "0 entries for 12 vertices"),
        (SEGS, json.dumps({"segIndices": [1.5] * 12}), "not a list of integers"),
        (SEGS, json.dumps({"segIndices": [[1]] * 12}), "not a list of integers"),
        (SEGS, json.dumps({"segIndices": [[1, 2]] + [3] * 11}), "not a list of integers"),
        (SEGS, json.dumps({"segIndices": [None] * 12}), "not a list of integers"),
        (SEGS, json.dumps({"segIndices": [2**70] * 12}), "not a list of integers"),
        (SEGS, json.dumps({"segIndices": list(range(50))}), r"50 entries for 12 .*_vh_clean\.segs\.json"),
        (AGGREGATION, "{", "not valid JSON"),
        (AGGREGATION, '"text"', "no list 'segGroups'"),
        (AGGREGATION, '{"segGroups": 3}', "no list 'segGroups'"),
        (AGGREGATION, '{"segGroups": [3]}', r"segGroups\[0\] has no label"),
        (AGGREGATION, '{"segGroups": [{"segments": [1]}]}', r"segGroups\[0\] has no label"),
        (AGGREGATION, '{"segGroups": [{"segments": [1], "label": 7}]}', r"segGroups\[0\] has no label"),
        (AGGREGATION, '{"segGroups": [{"label": "wall"}]}', r"segGroups\[0\]\.segments is not a list of integers"),
        (AGGREGATION, '{"segGroups": [{"label": "wall", "segments": "1"}]}', "not a list of integers"),
        (AGGREGATION, f'{{"segGroups": [], "segmentsFile": "scannet.{NAME}_vh_clean.segs.json"}}', "high-resolution"),
    ],
)
def test_broken_annotation(tmp_path, labels, file, text, message):
    folder = write_raw_scene(tmp_path, NAME)
    (folder / file).write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=message) as error:
        read_scene(folder, labels, annotated=True, align=True)
    assert str(folder / file) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_objects_is_a_scene_without_labels(tmp_path, labels):
    assert set(read_groups(tmp_path, labels, [])["segment200"].tolist()) == {-1}


def test_seg_index_is_never_a_vertex_number():
    assert all(seg_index(vertex, 12) >= 9 for vertex in range(12))
