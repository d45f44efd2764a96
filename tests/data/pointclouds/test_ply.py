"""PLY files as they are in the world: what is read, what is said, and what is in the output."""

import io
import struct
import warnings

import numpy as np
import pytest
from plyfile import PlyData

from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.ply_open import open_ply
from ceco3d.data.pointclouds.ply_write import extend_ply, write_ply
from ceco3d.data.scenes.colors import color_bytes
from ceco3d.preprocessing.scannet import read_mesh
from ceco3d.utils.errors import UserError
from tests.helpers.scan_files import face_bytes, face_lines, ply, records, room, text_rows, vertex_lines

COORD, COLOR, FACES = room()
ROWS = records(COORD, COLOR)
PLAIN = records(COORD)
COUNT = len(COORD)
ASCII_FACES = "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES.tolist()).encode()
CAMERA = ["element camera 1", "property float view_px", "property int viewportx", "property list uchar float k"]
CAMERA_BYTES = struct.pack("<fiB2f", 1.5, 640, 2, 0.25, 0.5)
BOM = b"\xef\xbb\xbf"


def mesh(lines=(), **options):
    """The room as an ordinary binary mesh with more header lines."""
    return ply(
        [*lines, *vertex_lines(ROWS), *face_lines(len(FACES))], ROWS.tobytes() + face_bytes(FACES.tolist()), **options
    )


def cloud(text, newline=b"\n", **options):
    return ply(vertex_lines(PLAIN), text, "ascii", newline, **options)


def ascii_mesh(faces, lines=(), more=0):
    return ply([*vertex_lines(ROWS), *face_lines(len(FACES) + more), *lines], text_rows(ROWS) + faces, "ascii")


def polygons():
    """Triangles and quads in turn, before the vertices."""
    faces = [[*face, 0] if i % 2 else face for i, face in enumerate(FACES.tolist())]
    lines = [*face_lines(len(faces)), *vertex_lines(ROWS)]
    return ply(lines, face_bytes(faces) + ROWS.tobytes())


def lists_at_vertices(lengths):
    body = b"".join(row.tobytes() + struct.pack(f"<B{n}i", n, *range(n)) for row, n in zip(PLAIN, lengths, strict=True))
    return ply([*vertex_lines(PLAIN), "property list uchar int view"], body)


def positions():
    body = b"".join(struct.pack("<B3f3B", 3, *c, *rgb) for c, rgb in zip(COORD, COLOR, strict=True))
    lines = [f"element vertex {COUNT}", "property list uchar float position"]
    return ply([*lines, *(f"property uchar {name}" for name in ("red", "green", "blue"))], body)


CRLF_START = records(np.concatenate([[[struct.unpack("<f", b"\n\0\0\x40")[0], 0, 0]], COORD[1:]]).astype("f4"))
TEXT = text_rows(PLAIN)

# name -> file, whether it has faces that give normals, what is said
GOOD = {
    "ordinary": (mesh(), True, ""),
    "faces first": (
        ply([*face_lines(len(FACES)), *vertex_lines(ROWS)], face_bytes(FACES.tolist()) + ROWS.tobytes()),
        True,
        "",
    ),
    "polygons first": (polygons(), True, ""),
    "comment in Latin-1": (mesh([b"comment Gr\xf6\xdfe \x85 in m\xb2"]), True, ""),
    "comment in UTF-8": (mesh(["comment 部屋 é"]), True, ""),
    "obj_info": (mesh(["obj_info num_cols 3"]), True, ""),
    "line without a keyword": (mesh(["Created by an old exporter, source file: "]), True, "has no keyword"),
    "CRLF behind end_header only": (mesh(end=b"\r\n"), True, ""),
    "CRLF": (mesh(newline=b"\r\n"), True, ""),
    "CR": (mesh(newline=b"\r"), True, ""),
    "LF CR": (mesh(newline=b"\n\r"), True, ""),
    "BOM": (BOM + mesh(), True, ""),
    "upper-case magic": (mesh().replace(b"ply", b"PLY", 1), True, ""),
    "list ushort": (
        ply(
            [*vertex_lines(ROWS), *face_lines(len(FACES), "list ushort int")],
            ROWS.tobytes() + face_bytes(FACES.tolist(), "<u2"),
        ),
        True,
        "",
    ),
    "camera": (
        ply(
            [*vertex_lines(ROWS), *face_lines(len(FACES)), *CAMERA],
            ROWS.tobytes() + face_bytes(FACES.tolist()) + CAMERA_BYTES,
        ),
        True,
        "",
    ),
    "camera of a cloud": (ply([*vertex_lines(ROWS), *CAMERA], ROWS.tobytes() + CAMERA_BYTES), False, ""),
    "camera first": (ply([*CAMERA, *vertex_lines(ROWS)], CAMERA_BYTES + ROWS.tobytes()), False, ""),
    "range grid": (
        ply(
            [*vertex_lines(PLAIN), f"element range_grid {COUNT}", "property list uchar int vertex_indices"],
            TEXT + b"".join(b"1 %d\n" % i if i % 3 else b"0\n" for i in range(COUNT)),
            "ascii",
        ),
        False,
        "",
    ),
    "bool": (
        ply(
            [*vertex_lines(ROWS), "property bool seen"],
            b"".join(row.tobytes() + b"\1" for row in ROWS),
        ),
        False,
        "",
    ),
    "C types": (mesh().replace(b"uchar", b"uint8_t").replace(b"property float", b"property float32"), True, ""),
    "int64": (ply(vertex_lines(rows := records(COORD, COLOR, time=np.int64(2**31))), rows.tobytes()), False, ""),
    "long int64": (
        ply(vertex_lines(rows := records(COORD, COLOR, time=np.int64(2**60 + 1))), rows.tobytes()),
        False,
        "time holds integers of more than 53 bits",
    ),
    "half": (ply(vertex_lines(rows := records(COORD, COLOR, w=np.float16(0.5))), rows.tobytes()), False, ""),
    "two properties of a name": (
        ply(vertex_lines(rows := records(COORD, COLOR, a=1.5, b=2.5), {"b": "a"}), rows.tobytes()),
        False,
        "two properties a: one is called a_2",
    ),
    "name with blanks": (
        ply(vertex_lines(rows := records(COORD, COLOR, q=1.5), {"q": "my q"}), rows.tobytes()),
        False,
        "",
    ),
    "lists at vertices": (lists_at_vertices([2] * COUNT), False, ""),
    "lists of any length": (lists_at_vertices([i % 4 for i in range(COUNT)]), False, ""),
    "lists at ASCII vertices": (
        ply(
            [*vertex_lines(PLAIN), "property list uchar int view"],
            text_rows([[*c, i % 3, *range(i % 3)] for i, c in enumerate(COORD.tolist())]),
            "ascii",
        ),
        False,
        "",
    ),
    "list position": (positions(), False, "list property position is read as x y z"),
    "ASCII mesh": (ascii_mesh(ASCII_FACES), True, ""),
    "ASCII CR": (cloud(TEXT.replace(b"\n", b"\r"), b"\r"), False, ""),
    "ASCII LF CR": (cloud(TEXT.replace(b"\n", b"\n\r"), b"\n\r"), False, ""),
    "ASCII CRLF": (cloud(TEXT.replace(b"\n", b"\r\n"), b"\r\n"), False, ""),
    "ASCII CRLF in the data only": (cloud(TEXT.replace(b"\n", b"\r\n")), False, ""),
    "one number a line": (cloud(TEXT.replace(b" ", b"\n")), False, ""),
    "faces over lines": (ascii_mesh(ASCII_FACES.replace(b"3 ", b"3\n", 2)), True, ""),
    "one line": (cloud(TEXT.replace(b"\n", b" ")), False, ""),
    "blank lines": (cloud(TEXT.replace(b"\n", b"\n\n")), False, ""),
    "blanks and tabs": (cloud(b"  " + TEXT.replace(b" ", b"  \t").replace(b"\n", b" \n")), False, ""),
    "decimal commas": (cloud(TEXT.replace(b".", b",")), False, ""),
    "commas between numbers": (cloud(TEXT.replace(b" ", b",")), False, ""),
    "commas and blanks": (cloud(TEXT.replace(b" ", b", ")), False, ""),
    "BOM in the data": (cloud(BOM + TEXT), False, ""),
    "BOM before ASCII": (BOM + cloud(TEXT), False, ""),
    "bool in words": (
        ply(
            [*vertex_lines(PLAIN), "property bool seen"],
            TEXT.replace(b"\n", b" True\n", 3).replace(b"0\n", b"0 False\n").replace(b"5\n", b"5 false\n"),
            "ascii",
        ),
        False,
        "",
    ),
    "longer face rows": (
        ascii_mesh(ASCII_FACES.replace(b"\n", b" 6 0 0 1 0 1 1\n")),
        False,
        "element face has rows that are not as the header says",
    ),
    "shorter face rows": (
        ascii_mesh(ASCII_FACES, ["property list uchar float texcoord", "property uchar flags"]),
        False,
        f"{len(FACES)} rows are kept without texcoord, flags",
    ),
    "fewer face rows": (ascii_mesh(ASCII_FACES, more=5), False, f"has {len(FACES)} of {len(FACES) + 5}"),
    "more face rows": (ascii_mesh(ASCII_FACES, more=-5), True, "5 lines behind the last row"),
    "cut in the faces": (mesh()[:-20], False, f"{len(FACES) - 2} of {len(FACES)} rows of element face are there"),
    "cut before the faces": (mesh()[: -13 * len(FACES)], False, f"0 of {len(FACES)} rows of element face are there"),
    "cut, then more": (
        ply([*vertex_lines(ROWS), *face_lines(len(FACES)), *CAMERA], ROWS.tobytes() + face_bytes(FACES.tolist())[:-9]),
        False,
        "and none of camera",
    ),
    "faces of other vertices": (
        ply([*vertex_lines(ROWS), *face_lines(2)], ROWS.tobytes() + face_bytes([[0, 1, COUNT], [0, 1, 2]])),
        False,
        "faces of vertices that do not exist",
    ),
    "more bytes": (mesh() + b"\0" * 57, True, "57 bytes behind the last element"),
    "integers that are none": (
        ply(
            [*vertex_lines(PLAIN), *(f"property uchar {name}" for name in ("red", "green", "blue"))],
            text_rows(np.hstack([COORD, COLOR / 255])),
            "ascii",
        ),
        False,
        "beyond the types in the header: vertex red",
    ),
}


@pytest.fixture(params=GOOD)
def good(request, tmp_path):
    """A file, whether it has faces, and what is said."""
    content, faces, note = GOOD[request.param]
    path = tmp_path / "a.ply"
    path.write_bytes(content)
    return path, faces, note


def test_the_vertices_are_read_whatever_the_file_looks_like(good):
    path, faces, note = good
    scan = read_scan(path)
    np.testing.assert_allclose(scan.coord, COORD, atol=1e-6)
    if scan.color is not None:
        np.testing.assert_array_equal(color_bytes(scan.color), COLOR)
    triangles = scan.triangles()
    assert (triangles is not None) == faces
    if faces:
        assert {tuple(face) for face in FACES[:-5].tolist()} <= {tuple(face) for face in triangles.tolist()}
    assert note in "\n".join(scan.notes)
    assert all("\n" not in line for line in scan.notes)
    assert bool(scan.notes) == bool(note)


def extended(path):
    """The output for a file: as plyfile reads it, and its path."""
    scan = read_scan(path)
    added = np.zeros(len(scan), [("red", "u1"), ("label", "<i4")])
    added["label"] = np.arange(len(scan))
    out = path.with_name("out.ply")
    with out.open("wb") as file:
        extend_ply(file, scan.ply, added, set(scan.color_names))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # plyfile's, about empty lists in texts
        return PlyData.read(out), out


def test_the_output_is_a_good_ply_with_all_properties(good):
    path, faces, _ = good
    given = open_ply(path)
    data, out = extended(path)
    vertex = data["vertex"].data
    np.testing.assert_allclose(np.stack([vertex[axis] for axis in "xyz"], 1), COORD, atol=1e-6)
    np.testing.assert_array_equal(vertex["label"], np.arange(COUNT))
    names = {name.removeprefix("original_") for name in vertex.dtype.names}
    assert set(given.vertex.properties) - {"position"} <= names
    assert [element.name for element in data.elements] == [element.name for element in given.elements]
    for element in given.elements:
        assert data[element.name].count == element.count
        if element.name != "vertex":
            assert [p.name for p in data[element.name].properties] == list(element.properties)
    again = read_scan(out)
    np.testing.assert_allclose(again.coord, COORD, atol=1e-6)
    assert (again.triangles() is not None) == faces or "face" in str(again.notes) or given.face is not None


def test_open3d_reads_the_output(good):
    open3d = pytest.importorskip("open3d", exc_type=ImportError)
    _, out = extended(good[0])
    points = np.asarray(open3d.io.read_point_cloud(str(out)).points)
    np.testing.assert_allclose(points, COORD, atol=1e-6)


def test_lists_at_vertices_are_kept(tmp_path):
    lengths = [i % 4 for i in range(COUNT)]
    (tmp_path / "a.ply").write_bytes(lists_at_vertices(lengths))
    data, _ = extended(tmp_path / "a.ply")
    assert [list(view) for view in data["vertex"]["view"]] == [list(range(n)) for n in lengths]


def test_what_is_left_of_broken_faces_is_kept(tmp_path):
    (tmp_path / "a.ply").write_bytes(GOOD["longer face rows"][0])
    data, _ = extended(tmp_path / "a.ply")
    np.testing.assert_array_equal(np.stack(data["face"]["vertex_indices"]), FACES)
    (tmp_path / "a.ply").write_bytes(GOOD["cut in the faces"][0])
    data, _ = extended(tmp_path / "a.ply")
    np.testing.assert_array_equal(np.stack(data["face"]["vertex_indices"]), FACES[:-2])


@pytest.mark.parametrize(
    ("kind", "factor", "names"),
    [
        ("<u2", 257, ("red", "green", "blue")),
        ("<i4", 1, ("red", "green", "blue")),
        ("<f4", 1 / 255, ("red", "green", "blue")),
        ("<f4", 1, ("red", "green", "blue")),
        ("u1", 1, ("diffuse_red", "diffuse_green", "diffuse_blue")),
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_colors_of_any_type_and_order(tmp_path, kind, factor, names, order):
    columns = {names[i]: (COLOR[:, i] * np.float64(factor)).astype(kind) for i in order}
    rows = records(COORD, **columns, alpha=np.uint8(255))
    (tmp_path / "a.ply").write_bytes(ply(vertex_lines(rows), rows.tobytes()))
    scan = read_scan(tmp_path / "a.ply")
    np.testing.assert_array_equal(color_bytes(scan.color), COLOR)
    assert list(scan.color_names) == list(names)
    data, _ = extended(tmp_path / "a.ply")
    for i, name in enumerate(names):
        np.testing.assert_array_equal(data["vertex"][f"original_{name}"], columns[names[i]])
    assert (data["vertex"]["alpha"] == 255).all()


@pytest.mark.parametrize("prefix", ["", "scal_", "scalar_"])
def test_a_gaussian_splat_has_the_colors_of_its_harmonics(tmp_path, prefix):
    harmonics = (COLOR / 255 - 0.5) / 0.28209479177387814
    columns = {f"{prefix}f_dc_{i}": harmonics[:, i].astype("f4") for i in range(3)}
    rows = records(COORD, nx=np.float32(0), ny=np.float32(0), nz=np.float32(0), **columns, opacity=np.float32(3))
    (tmp_path / "a.ply").write_bytes(ply(vertex_lines(rows), rows.tobytes()))
    scan = read_scan(tmp_path / "a.ply")
    np.testing.assert_array_equal(color_bytes(scan.color), COLOR)
    assert scan.normal is None
    assert "Gaussian splat" in scan.notes[0]
    data, _ = extended(tmp_path / "a.ply")
    np.testing.assert_array_equal(data["vertex"][f"{prefix}f_dc_1"], columns[f"{prefix}f_dc_1"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            ply(["element vertex 4", *(f"property uint packed_{n}" for n in ("position", "color"))], bytes(32)),
            "not supported: a compressed Gaussian splat; save it",
        ),
        (mesh().replace(b"float x", b"long x"), "not supported: the type 'long' of its property 'x'"),
        (mesh().replace(b"property float x", b"proprety float x"), "damaged.*unknown header line"),
        (mesh(["made by hand"])[:-5], "damaged.*has no keyword"),
        (mesh(["x 3"]).replace(b"property float x\n", b""), "damaged.*"),
        (mesh()[:300], "damaged.*it ends too early"),
        (mesh().replace(b"element vertex", b"element points"), "damaged.*no element vertex"),
        (ply(vertex_lines(ROWS)[:-1], ROWS.tobytes()), "damaged.*its rows are 1 bytes longer"),
        (cloud(TEXT.replace(b"\n", b" 7\n")), "damaged.*4 numbers in the row of vertex 1, .* 3 properties"),
        (cloud(TEXT[:100]), "damaged.*it ends too early"),
        (cloud(TEXT.replace(b"0.5", b"0.5x", 1)), "damaged.*'0.5x' is not a number"),
        (
            ply(
                [*vertex_lines(records(COORD, q=np.float32(1))), *face_lines(len(FACES))],
                text_rows(records(COORD, q=np.float32(1))[3:]) + ASCII_FACES,
                "ascii",
            ),
            "damaged.*fewer vertices than the header says",
        ),
        (
            ply([*vertex_lines(ROWS), *face_lines(9, "list int int")], ROWS.tobytes() + face_bytes(FACES.tolist())),
            "damaged.*",
        ),
    ],
)
def test_what_cannot_be_read_is_called_what_it_is(tmp_path, content, message):
    path = tmp_path / "a.ply"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        read_scan(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            ply(
                [
                    *vertex_lines(PLAIN),
                    *face_lines(1),
                    "property uchar red",
                    "property uchar green",
                    "property uchar blue",
                ],
                PLAIN.tobytes() + face_bytes([[0, 1, 2]]) + b"\1\2\3",
            ),
            "only element face has colors",
        ),
        (
            ply(vertex_lines(ROWS, {"green": "greeb"}), ROWS.tobytes()),
            "columns red and blue are not used: green is missing",
        ),
        (
            ply(["comment TextureFile room.png", *vertex_lines(PLAIN)], PLAIN.tobytes()),
            "its colors are in a texture",
        ),
    ],
)
def test_colors_that_are_not_read_are_named(tmp_path, content, message):
    (tmp_path / "a.ply").write_bytes(content)
    scan = read_scan(tmp_path / "a.ply")
    assert scan.color is None
    assert message in scan.notes[0]


@pytest.mark.parametrize("name", ["line without a keyword", "cut in the faces", "CR", "two properties of a name"])
def test_raw_meshes_are_checked_strictly(tmp_path, name):
    (tmp_path / "a.ply").write_bytes(GOOD[name][0])
    if GOOD[name][2]:
        with pytest.raises(UserError, match="not a complete triangle mesh"):
            read_mesh(tmp_path / "a.ply")
    else:
        np.testing.assert_array_equal(read_mesh(tmp_path / "a.ply")[2], FACES)


def test_written_columns_of_any_type_and_name_can_be_read(tmp_path):
    columns = dict(zip("xyz", COORD.T, strict=True)) | {
        "gps time": np.full(COUNT, 2**40),
        "id": np.arange(COUNT, dtype=np.int64),
        "seen": np.ones(COUNT, bool),
        "Höhe": np.ones(COUNT, np.float16),
    }
    file = io.BytesIO()
    write_ply(file, columns, FACES)
    (tmp_path / "a.ply").write_bytes(file.getvalue())
    vertex = PlyData.read(tmp_path / "a.ply")["vertex"].data
    assert vertex.dtype.names == ("x", "y", "z", "gps_time", "id", "seen", "H\\xf6he")
    np.testing.assert_array_equal(vertex["gps_time"], columns["gps time"])
    np.testing.assert_array_equal(vertex["id"], columns["id"])


def test_large_integers_of_broken_faces_are_kept(tmp_path):
    header = b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    header += b"element face 2\nproperty int64 id\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "a.ply").write_bytes(header + b"0 0 0\n1 0 0\n0 1 0\n7 3 0 1 2 9\n8 3 0 2 1 9\n")
    scan = read_scan(tmp_path / "a.ply")
    assert "not as the header says" in scan.notes[0]
    with (tmp_path / "b.ply").open("wb") as file:
        extend_ply(file, scan.ply, np.zeros(3, [("label", "<i4")]), set())
    assert PlyData.read(tmp_path / "b.ply")["face"]["id"].tolist() == [7, 8]
