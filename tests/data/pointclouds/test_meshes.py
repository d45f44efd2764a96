"""Meshes in .obj, .off, .glb, .gltf and .stl, scans in .e57, arrays in .npz, and formats that are not read."""

import json
import struct

import numpy as np
import pytest

from ceco3d.data.pointclouds.files import READERS, read_scan
from ceco3d.data.scenes.colors import color_bytes
from ceco3d.utils.errors import UserError
from tests.helpers.scan_files import records, room, text_rows

COORD, COLOR, FACES = room()
COUNT = len(COORD)
ROWS = records(COORD, COLOR)
OFF_FACES = b"".join(b"3 %d %d %d\n" % tuple(face) for face in FACES.tolist())
COUNTS = b"%d %d 0\n" % (COUNT, len(FACES))


def obj(color=True, face="f {} {} {}\n", faces=FACES + 1, before=""):
    values = np.hstack([COORD, COLOR / 255]) if color else COORD
    lines = "".join("v " + " ".join(f"{value:.9g}" for value in row) + "\n" for row in values)
    return (before + lines + "".join(face.format(*corners) for corners in faces.tolist())).encode()


OBJ = {
    "colors": (obj(), ""),
    "texture": (
        obj(False, "f {0}/1 {1}/2 {2}/3\n", before="mtllib a.mtl\nvt 0 0\nvt 0 1\nvt 1 1\n"),
        "its colors are in materials or a texture",
    ),
    "normals": (obj(face="f {0}//1 {1}//1 {2}//1\n", before="vn 0 0 1\n"), ""),
    "negative": (obj(faces=FACES - COUNT), ""),
    "objects": (obj(before="# Blender\no one\ng two\ns off\nusemtl wall\n").replace(b"f ", b"o more\nf ", 3), ""),
    "continued lines": (obj(face="f {} \\\n {} {}\n"), ""),
    "weights": (obj(False).replace(b"\nf", b" 1\nf", 1), ""),
    "CRLF and tabs": (obj().replace(b"\n", b"\r\n").replace(b"v ", b"v\t"), ""),
}


@pytest.mark.parametrize("kind", OBJ)
def test_obj_vertices_keep_order_and_number(tmp_path, kind):
    content, note = OBJ[kind]
    (tmp_path / "a.obj").write_bytes(content + b"v 9 9 9 0 0 0\n" if kind == "colors" else content)
    scan = read_scan(tmp_path / "a.obj")
    np.testing.assert_allclose(scan.coord[:COUNT], COORD, atol=1e-6)
    assert len(scan) == COUNT + (kind == "colors")
    np.testing.assert_array_equal(scan.triangles(), FACES)
    if scan.color is not None:
        np.testing.assert_array_equal(color_bytes(scan.color)[:COUNT], COLOR)
    assert note in "\n".join(scan.notes)
    assert bool(note) == bool(scan.notes)


@pytest.mark.parametrize(
    ("content", "color"),
    [
        (b"OFF\n" + COUNTS + text_rows(COORD) + OFF_FACES, False),
        (b"OFF " + COUNTS + b"# comment\n\n" + text_rows(COORD) + OFF_FACES.replace(b"\n", b" 255 0 0\n"), False),
        (b"COFF\n" + COUNTS + text_rows(np.hstack([COORD, COLOR, COLOR[:, :1]])) + OFF_FACES, True),
        (b"NCOFF\n" + COUNTS + text_rows(np.hstack([COORD, COORD, COLOR / 255])) + OFF_FACES, True),
        (b"CNOFF\n" + COUNTS + text_rows(np.hstack([COORD, COORD, COLOR / 255])) + OFF_FACES, True),
        (b"OFF\n" + COUNTS + text_rows(np.hstack([COORD, COLOR])) + OFF_FACES, True),
    ],
)
def test_off_files(tmp_path, content, color):
    (tmp_path / "a.off").write_bytes(content)
    scan = read_scan(tmp_path / "a.off")
    np.testing.assert_allclose(scan.coord, COORD, atol=1e-6)
    np.testing.assert_array_equal(scan.triangles(), FACES)
    if color:
        np.testing.assert_array_equal(color_bytes(scan.color), COLOR)
    else:
        assert scan.color is None


@pytest.fixture
def trimesh():
    return pytest.importorskip("trimesh")


@pytest.mark.parametrize("ending", ["glb", "gltf"])
def test_scenes_are_placed_by_their_nodes(tmp_path, trimesh, ending):
    mesh = trimesh.Trimesh(COORD, FACES, vertex_colors=COLOR, process=False)
    turn = trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1], [1, 2, 3])
    scene = trimesh.Scene()
    scene.add_geometry(mesh, node_name="a", geom_name="room", transform=np.eye(4))
    scene.add_geometry(mesh, node_name="b", geom_name="room", transform=turn)
    files = scene.export(file_type=ending)
    for name, content in (files if isinstance(files, dict) else {"model.glb": files}).items():
        (tmp_path / name).write_bytes(content)
    scan = read_scan(tmp_path / f"model.{ending}")
    np.testing.assert_allclose(scan.coord[:COUNT], COORD, atol=1e-6)
    np.testing.assert_allclose(scan.coord[COUNT:], COORD @ turn[:3, :3].T + turn[:3, 3], atol=1e-5)
    np.testing.assert_array_equal(color_bytes(scan.color), np.vstack([COLOR, COLOR]))
    np.testing.assert_array_equal(scan.triangles(), np.vstack([FACES, FACES + COUNT]))
    assert scan.notes == ("glTF is y up: set up=y",)


def test_textures_become_colors_of_vertices(tmp_path, trimesh):
    image = pytest.importorskip("PIL.Image").new("RGB", (4, 4), (10, 200, 30))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image)
    visual = trimesh.visual.TextureVisuals(uv=COORD[:, :2] / 2, material=material)
    mesh = trimesh.Trimesh(COORD, FACES, visual=visual, process=False)
    mesh.export(tmp_path / "a.glb")
    scan = read_scan(tmp_path / "a.glb")
    np.testing.assert_allclose(scan.coord, COORD, atol=1e-6)
    assert (color_bytes(scan.color) == (10, 200, 30)).all()
    assert "colors from textures or materials" in scan.notes[0]


def test_stl_has_three_vertices_per_triangle(tmp_path, trimesh):
    trimesh.Trimesh(COORD, FACES, process=False).export(tmp_path / "a.stl")
    scan = read_scan(tmp_path / "a.stl")
    np.testing.assert_allclose(scan.coord, COORD[FACES.ravel()], atol=1e-6)
    np.testing.assert_array_equal(scan.triangles(), np.arange(len(scan)).reshape(-1, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extensionsUsed": ["KHR_draco_mesh_compression"]}, "not supported: it uses KHR_draco_mesh_compression; save"),
        ({"buffers": [{"uri": "../../secret.bin", "byteLength": 9}]}, "its buffers are outside of its folder"),
        ({"accessors": [{"count": 10**9, "componentType": 5126, "type": "VEC3"}]}, "it ends too early"),
    ],
)
def test_gltf_that_is_refused(tmp_path, change, message):
    pytest.importorskip("trimesh")
    (tmp_path / "a.gltf").write_text(json.dumps({"asset": {"version": "2.0"}, **change}))
    with pytest.raises(UserError, match=message):
        read_scan(tmp_path / "a.gltf")


def test_a_chunk_that_is_longer_than_the_file(tmp_path):
    (tmp_path / "a.glb").write_bytes(b"glTF" + struct.pack("<III4s", 2, 24, 2**31, b"JSON") + b"{}  ")
    with pytest.raises(UserError, match="it ends too early"):
        read_scan(tmp_path / "a.glb")


# --- E57 ---


def write_e57(path, scans, **options):
    pye57 = pytest.importorskip("pye57")
    with pye57.E57(str(path), mode="w") as file:
        for columns in scans:
            file.write_scan_raw(columns, **options)
    return path


def cartesian(**more):
    names = ("cartesianX", "cartesianY", "cartesianZ")
    return {**dict(zip(names, COORD.T.astype(np.float64), strict=True)), **more}


E57_COLOR = dict(zip(("colorRed", "colorGreen", "colorBlue"), np.ascontiguousarray(COLOR.T), strict=True))


def test_e57_scans_are_joined_in_one_frame(tmp_path):
    turn = np.array([np.sqrt(0.5), 0, 0, np.sqrt(0.5)])  # 90 degrees about z
    intensity = COORD[:, 0].copy()
    scans = [cartesian(**E57_COLOR, intensity=intensity), cartesian(**E57_COLOR, intensity=intensity)]
    path = write_e57(tmp_path / "a.e57", scans, rotation=turn, translation=np.array([10.0, 20, 30]))
    scan = read_scan(path)
    expected = COORD[:, [1, 0, 2]] * [-1, 1, 1] + np.array([10, 20, 30])
    np.testing.assert_allclose(scan.coord, np.vstack([expected, expected]), atol=1e-5)
    np.testing.assert_array_equal(color_bytes(scan.color), np.vstack([COLOR, COLOR]))
    np.testing.assert_allclose(scan.attributes["intensity"], np.tile(intensity, 2), atol=1e-6)
    np.testing.assert_array_equal(scan.attributes["scan"], np.repeat([0, 1], COUNT))
    assert "2 scans are joined" in scan.notes[0]


def test_e57_points_that_are_invalid_have_no_coordinates(tmp_path):
    invalid = (np.arange(COUNT) % 10 == 0).astype(np.int8)
    scan = read_scan(write_e57(tmp_path / "a.e57", [cartesian(cartesianInvalidState=invalid)]))
    np.testing.assert_array_equal(np.isnan(scan.coord).any(1), invalid == 1)
    np.testing.assert_allclose(scan.coord[invalid == 0], COORD[invalid == 0], atol=1e-6)
    assert scan.notes == ()


def test_e57_fields_of_some_scans_are_named(tmp_path):
    scan = read_scan(write_e57(tmp_path / "a.e57", [cartesian(**E57_COLOR), cartesian()]))
    assert len(scan) == 2 * COUNT
    assert scan.color is None
    assert "not in all scans, and not read: color" in scan.notes[1]


# --- NPZ ---


@pytest.mark.parametrize(
    "arrays",
    [
        {"cloud": ROWS},
        {"anything": np.hstack([COORD, COLOR])},
        {"anything": np.hstack([COORD, COLOR]), "label": np.arange(COUNT)},
        {"xyz": COORD, "rgb": np.hstack([COLOR, np.full((COUNT, 1), 255, np.uint8)])},
        {"points": COORD, "colors": COLOR, "label": np.arange(COUNT), "embedding": np.ones((COUNT, 2))},
        {"points": COORD, "colors": COLOR, "pose": np.eye(4), "names": np.array([{}], object)},
    ],
)
def test_npz_files(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    scan = read_scan(tmp_path / "a.npz")
    np.testing.assert_allclose(scan.coord, COORD, atol=1e-6)
    np.testing.assert_array_equal(color_bytes(scan.color), COLOR)
    if "label" in arrays:
        np.testing.assert_array_equal(scan.attributes["label"], np.arange(COUNT))
    if "embedding" in arrays:
        assert {"embedding_0", "embedding_1"} <= set(scan.attributes)
    said = "\n".join(scan.notes)
    assert all(name in said for name in ("pose", "names") if name in arrays)


def test_npz_files_with_several_candidates_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.hstack([COORD, COLOR]), two=COORD)
    with pytest.raises(UserError, match=r"has no array named coord.*only one, two"):
        read_scan(tmp_path / "a.npz")


# --- other formats ---


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bin", bytes(160), r"\.bin is not supported: it has no header .* KITTI: .*columns=\[x,y,z,intensity\]"),
        ("a.bin", b"CCB2" + bytes(40), "CloudCompare's own format: convert it to .ply"),
        ("a.ptx", b"1\n1\n", "ptx is not supported: convert it to .ply with CloudCompare"),
        ("a.drc", b"DRACO", "draco_decoder"),
        ("a.spz", b"", "uncompressed .ply with SuperSplat"),
        ("a.SPLAT", b"", "uncompressed .ply with SuperSplat"),
        ("a.zip", b"PK", "unpack it"),
        ("a.fbx", b"", "save it as .glb with Blender"),
        ("a.rcp", b"", "export it as .e57"),
        ("a.what", b"", "unknown format '.what'; choose one of .ply"),
    ],
)
def test_formats_that_are_not_read_say_how_to_convert(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        read_scan(tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("ending", "package", "extra"), [("glb", "trimesh", "mesh"), ("stl", "trimesh", "mesh"), ("e57", "pye57", "e57")]
)
def test_missing_packages_are_named(tmp_path, monkeypatch, ending, package, extra):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    content = b"{}" if ending == "glb" else b""
    (tmp_path / f"a.{ending}").write_bytes(content)
    with pytest.raises(UserError, match=rf"pip install 'ceco3d\[{extra}\]'"):
        read_scan(tmp_path / f"a.{ending}")


def test_all_new_formats_are_found_in_folders():
    assert {".obj", ".off", ".glb", ".gltf", ".stl", ".e57"} <= set(READERS)


def test_negative_corners_of_an_obj_count_from_the_vertices_before_the_face(tmp_path):
    square = "v 0 0 {z}\nv 1 0 {z}\nv 1 1 {z}\nv 0 1 {z}\nf -4 -3 -2 -1\n"
    (tmp_path / "a.obj").write_text(f"o a\n{square.format(z=0)}o b\n{square.format(z=1)}")
    assert read_scan(tmp_path / "a.obj").triangles().tolist() == [[0, 1, 2], [4, 5, 6], [0, 2, 3], [4, 6, 7]]
