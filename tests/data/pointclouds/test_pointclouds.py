"""Scans: the contents of every format, the scenes they become, and properties added to PLY files."""

import io
import re

import laspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement
from pypcd4 import Encoding, PointCloud

from ceco3d.data.pointclouds import ply_write
from ceco3d.data.pointclouds.files import READERS, find_scans, read_scan
from ceco3d.data.pointclouds.ply import read_triangles
from ceco3d.data.pointclouds.ply_open import open_ply
from ceco3d.data.pointclouds.ply_write import extend_ply
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.data.pointclouds.scan_to_scene import to_scene
from ceco3d.data.scenes.colors import color_bytes
from ceco3d.data.scenes.normals import estimate_normals
from ceco3d.utils.errors import UserError

COORD = np.array([[0, 0, 0], [1, 0, 0], [1.5, 2, 0], [0, 2, 0.25]])
COLOR = np.array([[255, 0, 10], [0, 255, 20], [7, 8, 255], [0, 0, 0]], np.uint8)
NORMAL = np.array([[0, 0, 1], [0, -1, 0], [1, 0, 0], [0, 0.6, 0.8]], np.float32)
FACES = [[0, 1, 2], [0, 2, 3]]


def records(coord=COORD, dtype="f4", **columns):
    """A structured array of x, y, z and further columns, each a (name, array) or name=array."""
    table = {**dict(zip("xyz", np.asarray(coord, dtype).T, strict=True)), **columns}
    out = np.empty(len(coord), [(name, column.dtype) for name, column in table.items()])
    for name, column in table.items():
        out[name] = column
    return out


def colored(names=("red", "green", "blue"), color=COLOR, **columns):
    return records(**dict(zip(names, color.T, strict=True)), **columns)


def write_ply(path, vertices, faces=None, text=False, order="<", **face_columns):
    """A PLY by plyfile; ``faces`` are lists of corners."""
    elements = [PlyElement.describe(vertices, "vertex")]
    if faces is not None:
        rows = np.empty(len(faces), [("vertex_indices", object), *((n, c.dtype) for n, c in face_columns.items())])
        rows["vertex_indices"] = [np.array(face, np.int32) for face in faces]
        for name, column in face_columns.items():
            rows[name] = column
        elements.append(PlyElement.describe(rows, "face"))
    PlyData(elements, text=text, byte_order="=" if text else order).write(path)
    return path


def write_pcd(path, encoding=Encoding.BINARY, rgb=np.float32):
    """A PCD with colors packed into the bits of type ``rgb``."""
    colors = {} if rgb is None else {"rgb": PointCloud.encode_rgb(COLOR).view(rgb)}
    columns = dict(zip(("x", "y", "z", "normal_x", "normal_y", "normal_z"), np.hstack([COORD, NORMAL]).T, strict=True))
    columns = {name: column.astype(np.float32) for name, column in columns.items()} | colors
    types = [column.dtype.type for column in columns.values()]
    PointCloud.from_points(list(columns.values()), tuple(columns), types).save(path, encoding)
    return path


def write_las(path, offset=0.0, color=COLOR):
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.scales, header.offsets = np.full(3, 0.001), np.full(3, offset)
    las = laspy.LasData(header)
    las.x, las.y, las.z = (COORD + offset).T
    las.red, las.green, las.blue = color.T.astype(np.uint16)
    las.write(path)
    return path


def write_text(path, text):
    path.write_text(text)
    return path


def table_text(separator=" ", header="", columns=(COORD, COLOR)):
    lines = [separator.join(f"{value:g}" for value in row) for row in np.column_stack(columns)]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def write_array(path, array, **named):
    np.savez(path, **named) if named else np.save(path, array)
    return path


def write_folder(path, **arrays):
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


SIXTEEN = COLOR.astype(np.uint16) * 257
FORMATS = {
    "binary": lambda p: write_ply(p / "a.ply", colored()),
    "big endian": lambda p: write_ply(p / "a.ply", colored(), order=">"),
    "ascii": lambda p: write_ply(p / "a.PLY", colored(), FACES, text=True),
    "mesh": lambda p: write_ply(p / "a.ply", colored(), FACES),
    "double": lambda p: write_ply(
        p / "a.ply", records(dtype="f8", red=COLOR[:, 0], green=COLOR[:, 1], blue=COLOR[:, 2])
    ),
    "diffuse": lambda p: write_ply(p / "a.ply", colored(("diffuse_red", "diffuse_green", "diffuse_blue"))),
    "short names": lambda p: write_ply(p / "a.ply", colored(("R", "G", "B"))),
    "float colors": lambda p: write_ply(p / "a.ply", colored(color=(COLOR / 255).astype("f4"))),
    "float 255": lambda p: write_ply(p / "a.ply", colored(color=COLOR.astype("f4"))),
    "16 bit": lambda p: write_ply(p / "a.ply", colored(color=SIXTEEN)),
    "pcd ascii": lambda p: write_pcd(p / "a.pcd", Encoding.ASCII, np.uint32),
    "pcd binary": lambda p: write_pcd(p / "a.pcd", Encoding.BINARY),
    "pcd compressed": lambda p: write_pcd(p / "a.pcd", Encoding.BINARY_COMPRESSED),
    "las": lambda p: write_las(p / "a.las"),
    "laz 16 bit": lambda p: write_las(p / "a.laz", color=SIXTEEN),
    "xyz": lambda p: write_text(p / "a.xyz", table_text()),
    "comments": lambda p: write_text(p / "a.txt", "# a scan\n\n" + table_text("\t")),
    "named": lambda p: write_text(p / "a.txt", table_text(" ", "//X Y Z i R G B", (COORD, COLOR[:, :1], COLOR))),
    "csv": lambda p: write_text(p / "a.csv", table_text(",", "red,green,blue,x,y,z", (COLOR, COORD))),
    "pts": lambda p: write_text(p / "a.pts", "4\n" + table_text(" ", "", (COORD, COLOR[:, :1], COLOR))),
    "npy": lambda p: write_array(p / "a.npy", np.column_stack([COORD, COLOR])),
    "npy records": lambda p: write_array(p / "a.npy", colored()),
    "npz": lambda p: write_array(p / "a.npz", None, points=COORD, rgb=COLOR),
    "npz table": lambda p: write_array(p / "a.npz", None, xyz=np.column_stack([COORD, COLOR])),
    "folder": lambda p: write_folder(p / "a", coord=COORD.astype("f4"), color=COLOR),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_scan(tmp_path, kind):
    scan = read_scan(FORMATS[kind](tmp_path))
    np.testing.assert_allclose(scan.coord, COORD, atol=1e-6)
    assert scan.coord.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(color_bytes(scan.color), COLOR)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: write_ply(p / "a.ply", records(nx=NORMAL[:, 0], ny=NORMAL[:, 1], nz=NORMAL[:, 2])),
        lambda p: write_pcd(p / "a.pcd", rgb=None),
        lambda p: write_text(p / "a.xyz", table_text(columns=(COORD, NORMAL))),
        lambda p: write_text(p / "a.xyz", table_text(columns=(COORD, COLOR, NORMAL))),
        lambda p: write_array(p / "a.npz", None, coord=COORD, normal=NORMAL),
        lambda p: write_folder(p / "a", coord=COORD, normal=NORMAL),
    ],
)
def test_normals_are_read(tmp_path, make):
    np.testing.assert_allclose(read_scan(make(tmp_path)).normal, NORMAL, atol=1e-6)


@pytest.mark.parametrize("columns", [3, 4, 5, 8])
def test_other_columns_are_ignored(tmp_path, columns):
    path = tmp_path / "a.xyz"
    np.savetxt(path, np.column_stack([COORD, np.ones((4, columns - 3))]))
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.coord, COORD)
    assert scan.color is None
    assert scan.normal is None


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 127.6, 255.0], [0, 128, 255]),
        ([np.nan, 0.0, 1.0], [128, 0, 255]),
        ([-1.0, 2.0, 300.0], [0, 0, 1]),
        (np.array([0, 1, 255], np.int32), [0, 1, 255]),
        (np.array([0, 257, 65535], np.uint16), [0, 1, 255]),
    ],
)
def test_colors_of_any_type_become_bytes(color, expected):
    np.testing.assert_array_equal(color_bytes(np.array([color]))[0], expected)


def test_a_panic_of_the_decompressor_is_an_error_too(tmp_path):
    content = bytearray(write_las(tmp_path / "a.laz").read_bytes())
    content[content.index(b"laszip encoded") + 84] = 0  # the number of items in a point
    (tmp_path / "a.laz").write_bytes(content)
    with pytest.raises(UserError, match=r"a.laz: damaged, or not a .laz file .*compressed points are damaged"):
        read_scan(tmp_path / "a.laz")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(FORMATS)), st.data())
def test_damaged_files_are_refused_or_read_but_never_crash(tmp_path_factory, kind, data):
    folder = tmp_path_factory.mktemp("damaged")
    path = FORMATS[kind](folder)
    path = path / "coord.npy" if path.is_dir() else path
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), "cut"):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        scan = read_scan(path.parent if path.name == "coord.npy" else path)
    except UserError:
        return
    assert scan.coord.shape == (len(scan), 3)
    if scan.ply is not None:
        extend_ply(io.BytesIO(), scan.ply, np.zeros(len(scan), [("label", "<i4")]), set())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: write_text(p / "a.ply", "ply\nformat ascii 1.0\nelement vertex 1\n"), "no PLY header"),
        (lambda p: write_text(p / "a.ply", "PK"), "no PLY header"),
        (lambda p: write_ply(p / "a.ply", np.zeros(0, records().dtype)), "has no points"),
        (lambda p: write_ply(p / "a.ply", np.ones(3, [("x", "f4"), ("y", "f4")])), "no columns x, y and z, only x, y"),
        (lambda p: write_text(p / "a.xyz", ""), "has no points"),
        (lambda p: write_text(p / "a.xyz", "1 2\n3 4\n"), "line 1: .1 2. has 2 columns"),
        (lambda p: write_text(p / "a.xyz", "1 2 3\n3 4\n"), "line 2: 2 columns instead of the 3"),
        (lambda p: write_text(p / "a.what", "v 0 0 0"), "unknown format '.what'; choose one of .ply, .pcd"),
        (lambda p: write_array(p / "a.npz", None, depth=COORD), "has no array named coord.*only depth"),
        (lambda p: write_array(p / "a.npz", None, coord=COORD, color=COLOR[:2]), r"colors of uint8 \(2, 3\)"),
        (lambda p: write_array(p / "a.npy", np.array([None, {}])), "damaged.*pickled objects"),
        (lambda p: write_folder(p / "a"), "has no array named coord"),
        (lambda p: p / "none.ply", "cannot be read .No such file"),
    ],
)
def test_errors_name_the_file_and_the_reason(tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        read_scan(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("lost", [1, 3])
def test_a_mesh_that_ends_in_its_faces_says_so(tmp_path, text, lost):
    path = write_ply(tmp_path / "a.ply", colored(), FACES, text=text)
    content = path.read_bytes()
    path.write_bytes(content[: -(lost if not text else len(content.splitlines()[-1]) + lost)])
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.coord, COORD)
    assert scan.triangles() is None
    assert re.search(r"1 of 2 rows", scan.notes[0])


@pytest.mark.parametrize("text", [False, True])
def test_a_mesh_that_ends_in_its_vertices_is_damaged(tmp_path, text):
    path = write_ply(tmp_path / "a.ply", colored(), FACES, text=text)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"end_header") + 30])
    with pytest.raises(UserError, match=r"damaged.*it ends too early"):
        read_scan(path)


# --- extending a PLY ---

ADDED = np.zeros(4, [("red", "u1"), ("label", "<i4"), ("confidence", "<f4")])
ADDED["red"], ADDED["label"], ADDED["confidence"] = [1, 2, 3, 255], [0, 1191, 5, 7], [0, 0.25, 0.5, 1]


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("faces", [None, FACES, [[0, 1, 2, 3], [0, 1, 2]]])
def test_an_extended_ply_keeps_everything_else(tmp_path, text, order, faces):
    label, quality = np.arange(4, dtype=np.int32), np.array([0.1, 1e-9, -1e9, np.nan])
    vertices = colored(label=label, quality=quality, original_label=label + 1)
    extra = {"flags": np.array([3, 250], np.uint8)} if faces else {}
    path = write_ply(tmp_path / "a.ply", vertices, faces, text, order, **extra)
    path.write_bytes(path.read_bytes().replace(b"element vertex", b"comment made by hand\nelement vertex", 1))
    ply = open_ply(path)
    with (tmp_path / "b.ply").open("wb") as file:
        extend_ply(file, ply, ADDED, {"red", "green", "blue"})
    before, after = PlyData.read(path), PlyData.read(tmp_path / "b.ply")
    assert (after.text, after.byte_order, after.comments) == (before.text, before.byte_order, ["made by hand"])
    renamed = {name: f"original_{name}" for name in ("red", "green", "blue")} | {"label": "original_original_label"}
    names = [renamed.get(name, name) for name in vertices.dtype.names]
    assert list(after["vertex"].data.dtype.names) == [*names, *ADDED.dtype.names]
    for old, new in zip(vertices.dtype.names, names, strict=True):
        np.testing.assert_array_equal(after["vertex"][new], before["vertex"][old])
        assert after["vertex"][new].dtype == before["vertex"][old].dtype
    for name in ADDED.dtype.names:
        np.testing.assert_array_equal(after["vertex"][name], ADDED[name])
    if faces:
        assert [list(face) for face in after["face"]["vertex_indices"]] == faces
        np.testing.assert_array_equal(after["face"]["flags"], extra["flags"])


@pytest.mark.parametrize("text", [False, True])
def test_elements_before_the_vertices_are_kept(tmp_path, text):
    camera = PlyElement.describe(np.array([(1.5, 7), (2.5, 8)], [("f", "f4"), ("id", "u1")]), "camera")
    PlyData([camera, PlyElement.describe(colored(), "vertex")], text=text).write(tmp_path / "a.ply")
    scan = read_scan(tmp_path / "a.ply")
    np.testing.assert_array_equal(scan.coord, COORD)
    with (tmp_path / "b.ply").open("wb") as file:
        extend_ply(file, scan.ply, ADDED, set())
    after = PlyData.read(tmp_path / "b.ply")
    np.testing.assert_array_equal(after["camera"].data, camera.data)
    np.testing.assert_array_equal(after["vertex"]["label"], ADDED["label"])


@pytest.mark.parametrize("text", [False, True])
def test_polygons_become_triangles(tmp_path, text):
    mixed = [[0, 1, 2, 3], [3, 2, 1], [0, 1]]
    triangles = read_triangles(open_ply(write_ply(tmp_path / "a.ply", records(), mixed, text)))
    assert sorted(triangles.tolist()) == [[0, 1, 2], [0, 2, 3], [3, 2, 1]]
    assert read_triangles(open_ply(write_ply(tmp_path / "b.ply", records(), FACES, text))).tolist() == FACES
    assert read_triangles(open_ply(write_ply(tmp_path / "c.ply", records(), text=text))) is None
    with pytest.raises(UserError, match="do not exist"):
        read_triangles(open_ply(write_ply(tmp_path / "d.ply", records(), [[0, 1, 4]], text)))


# --- headers and writing ---


def test_a_comment_may_contain_the_end_of_the_header(tmp_path):
    path = write_ply(tmp_path / "a.ply", colored(), FACES)
    path.write_bytes(path.read_bytes().replace(b"element vertex", b"comment end_header\nelement vertex", 1))
    np.testing.assert_array_equal(read_scan(path).coord, COORD)
    assert read_triangles(open_ply(path)).tolist() == FACES


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"property float y", b"proXerty float y", "unknown header line"),
        (b"property float y", b"property half y", "not laid out|longer|ends too early"),
        (b"element vertex 4", b"element vertex", "unknown header line"),
        (b"element face", b"element vertex", "unknown header line"),
        (b"little_endian", b"middle_endian", "unknown format"),
        (b"element vertex 4", b"element vertex 4000000000", "it ends too early"),
    ],
)
def test_damaged_headers_are_refused(tmp_path, old, new, message):
    path = write_ply(tmp_path / "a.ply", colored(), FACES)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        open_ply(path)


@pytest.mark.parametrize("faces", [None, FACES])
def test_written_files_are_those_of_plyfile(tmp_path, faces):
    vertices = colored(quality=np.arange(4.0), label=np.arange(4, dtype=np.int32))
    expected = write_ply(tmp_path / "a.ply", vertices, faces).read_bytes()
    file = io.BytesIO()
    ply_write.write_ply(file, {name: vertices[name] for name in vertices.dtype.names}, faces)
    assert file.getvalue() == expected
    (tmp_path / "b.ply").write_bytes(file.getvalue())
    np.testing.assert_array_equal(open_ply(tmp_path / "b.ply").vertices(), vertices)


# --- scenes ---


def scene(scan, unit="m", up="z", features=("color",), voxel_size=0.02):
    return to_scene(scan, "scan", unit, up, features, voxel_size)


@pytest.mark.parametrize(("unit", "factor"), [("m", 1), ("cm", 100), ("mm", 1000)])
@pytest.mark.parametrize(
    ("up", "to_file"),
    [("z", lambda x, y, z: (x, y, z)), ("y", lambda x, y, z: (x, z, -y)), ("-y", lambda x, y, z: (x, -z, y))],
)
def test_any_unit_and_axis_far_away_is_the_same_scene(unit, factor, up, to_file):
    """UTM coordinates need float64 until they are near the origin: float32 keeps half a meter there."""
    file = np.stack(to_file(*COORD.T), axis=1) * factor + np.array([691_000.0, 5_334_000.0, 500.0]) * factor
    normal = np.stack(to_file(*NORMAL.T), axis=1)
    found, finite, warnings = scene(Scan(file, COLOR, normal), unit, up, ("color", "normal"))
    coord = found.coord.numpy()
    np.testing.assert_allclose(coord - coord[0], COORD - COORD[0], atol=1e-6)
    np.testing.assert_allclose(found.normal, NORMAL, atol=1e-6)
    np.testing.assert_array_equal(found.color, COLOR)
    assert finite.all()
    assert not warnings


def test_points_without_finite_coordinates_are_dropped():
    coord = np.concatenate([COORD, [[np.nan, 0, 0], [0, np.inf, 0]]])[[4, 0, 1, 5, 2, 3]]
    color = np.concatenate([COLOR, COLOR[:2]])[[4, 0, 1, 5, 2, 3]]
    found, finite, warnings = scene(Scan(coord, color))
    assert finite.tolist() == [False, True, True, False, True, True]
    np.testing.assert_array_equal(found.color, COLOR)
    assert re.search("2 points with NaN or infinite", warnings[0])


def test_missing_colors_become_gray_with_a_warning_if_needed():
    found, _, warnings = scene(Scan(COORD))
    assert (found.color / 255 - 0.5 == 0).all()
    assert "no colors" in warnings[0]
    assert "neither faces nor normals" in scene(Scan(COORD), features=("normal",))[2][0]
    assert scene(Scan(COORD), features=("coord",))[2] == []


def test_unusual_sizes_give_a_warning_and_impossible_ones_are_refused():
    assert "measures 1500 x 2000 x 250 m; check unit=m" in scene(Scan(COORD * 1000), voxel_size=0.1)[2][0]
    assert "check unit=mm" in scene(Scan(COORD), "mm")[2][0]
    with pytest.raises(UserError, match=r"2e\+05 x 250.* m, too large .*: check unit=m, or remove outliers"):
        scene(Scan(COORD * [1000, 1e5, 1000]))
    with pytest.raises(UserError, match="no point has finite coordinates"):
        scene(Scan(np.full((3, 3), np.nan)))


def test_normals_of_a_mesh_come_from_its_faces(tmp_path):
    """As in training; the normals in the file may be of another kind."""
    wrong = dict(zip(("nx", "ny", "nz"), -NORMAL.T, strict=True))
    coord = np.vstack([np.full((1, 3), np.nan), COORD * [1, 1, 0]])
    vertices = records(coord, **{name: np.r_[np.float32(0), column] for name, column in wrong.items()})
    path = write_ply(tmp_path / "a.ply", vertices, [[1, 2, 3], [1, 3, 4], [0, 2, 1]])
    found, _, _ = scene(read_scan(path), features=("normal",))
    np.testing.assert_allclose(found.normal, np.tile([[0, 0, 1]], (4, 1)), atol=1e-6)


def test_estimated_normals_look_into_the_room():
    rng = np.random.default_rng(0)
    faces, expected = [], []
    for axis in range(3):
        for side in (0, 1):
            wall = rng.random((400, 3)) * 3
            wall[:, axis] = 3 * side
            faces.append(wall)
            expected.append(np.tile(np.eye(3)[axis] * (1 - 2 * side), (400, 1)))
    coord, expected = np.concatenate(faces), np.concatenate(expected)
    inner = np.sort(np.minimum(coord, 3 - coord), axis=1)[:, 1] > 0.5  # away from the edges
    np.testing.assert_allclose(estimate_normals(coord)[inner], expected[inner], atol=1e-5)


@pytest.mark.parametrize("coord", [COORD[:1], np.tile(COORD[:1], (2, 1)), np.outer(np.arange(9), [1, 2, 3])])
def test_points_without_a_plane_have_no_normal(coord):
    np.testing.assert_array_equal(estimate_normals(coord.astype(np.float32)), np.zeros(coord.shape))


# --- which files ---


def test_files_folders_and_patterns_name_scans(tmp_path):
    for name in ("b.ply", "a.PCD", "notes.md", "b.labels.txt", "deep/c.xyz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    write_folder(tmp_path / "scene0", coord=COORD)

    def names(*inputs):
        return [path.name for path in find_scans([str(tmp_path / entry) for entry in inputs])]

    assert names("") == ["a.PCD", "b.ply", "scene0"]
    assert names("scene0") == ["scene0"]
    assert names("*.ply", "b.ply", "deep") == ["b.ply", "c.xyz"]
    assert names("**/*.xyz") == ["c.xyz"]
    for entry, message in (("none.ply", "no such file"), ("*.las", "no scan matches"), ("empty", "no scan in this")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=message):
            names("b.ply", entry)
    assert set(READERS) >= {".ply", ".pcd", ".las", ".laz", ".xyz", ".txt", ".npy", ".npz"}
