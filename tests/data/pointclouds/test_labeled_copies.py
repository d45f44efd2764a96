"""Labeled copies of text tables, NumPy and PCD files: all columns kept, and read again with label and confidence."""

import zipfile

import numpy as np
import pytest

from ceco3d.data.pointclouds import pcd_write, read_scan
from ceco3d.data.pointclouds.earlier_result import RESULT, original_names
from ceco3d.data.pointclouds.labeled_copy import copy_suffix, write_copy
from tests.helpers.scan_files import pcd, records, text_rows
from tests.helpers.tables import room, rows, write_lines

IDS = (-7, 3, 2**31 - 1)
COORD, COLOR = room()
COUNT = len(COORD)
TABLE = np.concatenate([COORD, COLOR], axis=1)


def result_of(ids=IDS, count=COUNT):
    result = np.zeros(count, RESULT)
    result["label"][2:] = np.array(ids)[np.arange(count - 2) % len(ids)]
    result["confidence"][2:] = np.linspace(0.25, 1, count - 2)
    return result


def copied(path, columns=None, ids=IDS):
    """The scan in the file, the path of its labeled copy, and the result."""
    scan = read_scan(path, columns)
    result = result_of(ids, len(scan))
    target = path.with_name("copy" + path.suffix)
    with target.open("wb") as file:
        write_copy(file, path, scan, result, ids)
    return scan, target, result


def assert_same_scan(given, target, result, columns=None):
    """The copy holds the points, colors and attributes of the scan, and the result."""
    scan = read_scan(target, columns)
    assert scan.coord.tobytes() == given.coord.tobytes()
    assert (scan.color is None) == (given.color is None)
    if given.color is not None:
        np.testing.assert_array_equal(scan.color, given.color)
    np.testing.assert_array_equal(scan.attributes["label"], result["label"])
    np.testing.assert_allclose(scan.attributes["confidence"], result["confidence"], rtol=1e-5)
    renamed = original_names(given.attributes, RESULT.names)
    for name, column in given.attributes.items():
        np.testing.assert_array_equal(scan.attributes[renamed.get(name, name)], column, err_msg=name)
    return scan


# --- text ---

PLAIN = rows(TABLE)
COMMAS, SEMICOLONS, TABS = rows(TABLE, ","), rows(TABLE, ";", comma=True), rows(TABLE, "\t")
LABELED = [line + " 7 0.5" for line in PLAIN]


@pytest.mark.parametrize(
    ("name", "lines", "head"),
    [
        ("a.xyz", PLAIN, "# x y z red green blue label confidence"),
        ("a.csv", COMMAS, "# x,y,z,red,green,blue,label,confidence"),
        ("a.csv", ["x,y,z,red,green,blue", *COMMAS], "x,y,z,red,green,blue,label,confidence"),
        ("a.csv", ['"x","y","z","r","g","b"', *COMMAS], '"x","y","z","r","g","b","label","confidence"'),
        ("a.txt", ["//X Y Z Rf Gf Bf", *PLAIN], "//X Y Z Rf Gf Bf label confidence"),
        ("a.txt", ["# Columns: x y z r g b", *TABS], None),
        ("a.asc", ["Rechtswert;Hochwert;Höhe [m];R;G;B", *SEMICOLONS], None),
        ("a.asc", ["East;North;Height [m];R;G;B;", *(line + ";" for line in SEMICOLONS)], None),
        ("a.txt", [str(COUNT), *PLAIN], str(COUNT)),
        ("a.csv", ["0,1,2,3,4,5", *COMMAS], "# 0,1,2,3,4,5"),
        ("a.txt", ["x y z r g b label confidence", *LABELED], None),
        ("a.txt", ["x y z r g b", *PLAIN[:9], "", "# half", "x y z r g b", *PLAIN[9:]], None),
        ("a.txt", ["x y z r g b", *(line + " # a note" for line in PLAIN)], None),
        ("a.csv", ["x,y,z,kind,r", *(f"1.5,2.5,{i},wall,{i}" for i in range(20))], "x,y,z,kind,r,label,confidence"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_copies_of_text_keep_lines_and_separators(tmp_path, name, lines, head, newline):
    path = write_lines(tmp_path / name, lines, newline=newline)
    given, target, result = copied(path)
    assert_same_scan(given, target, result)
    text = target.read_bytes().decode()
    assert text.count(newline) == text.count("\n")
    if head is not None:
        assert text.split(newline)[0] == head
    if name == "a.csv":
        assert all(line in text for line in lines[1:])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_copies_of_text_keep_the_encoding(tmp_path, encoding):
    path = write_lines(tmp_path / "a.csv", ["Rechtswert;Hochwert;Höhe;R;G;B", *SEMICOLONS], encoding)
    given, target, result = copied(path)
    assert_same_scan(given, target, result)
    assert target.read_bytes().decode(encoding).startswith("Rechtswert;Hochwert;Höhe;R;G;B;label;confidence\n")


def test_the_last_line_needs_no_end(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("\n".join(PLAIN))
    given, target, result = copied(path)
    assert_same_scan(given, target, result)


def test_columns_that_the_user_names_are_named_in_the_copy(tmp_path):
    columns = ["x", "y", "z", "_", "green", "label"]
    path = write_lines(tmp_path / "a.txt", ["a title", *PLAIN])
    given, target, result = copied(path, columns)
    lines = target.read_text().splitlines()
    assert lines[:2] == ["# a title", "# x y z _ green original_label label confidence"]
    assert_same_scan(given, target, result)


# --- NumPy ---


@pytest.mark.parametrize("kind", ["f8", "f4", "i4", "u2"])
@pytest.mark.parametrize("ids", [(1, 2, 40), (9, 100, 250), (1, 1191), IDS])
@pytest.mark.parametrize("width", [3, 6])
def test_tables_get_two_more_columns(tmp_path, kind, ids, width):
    table = np.asfortranarray(np.round(1000 * TABLE if kind in "i4u2" else TABLE)[:, :width] + 1000)
    table[:, 3:] = COLOR[:, : width - 3]
    table = table.astype(kind)
    np.save(tmp_path / "a.npy", table)
    given, target, result = copied(tmp_path / "a.npy", ids=ids)
    array = np.load(target)
    np.testing.assert_array_equal(array[:, :width], table)
    np.testing.assert_array_equal(array[:, width], result["label"])
    np.testing.assert_allclose(array[:, width + 1], result["confidence"])
    scan = read_scan(target)
    assert (scan.coord == given.coord).all()
    if width == 6:
        np.testing.assert_array_equal(scan.color, given.color)


def test_records_get_two_more_fields(tmp_path):
    array = records(COORD, COLOR.astype("u1"), label=np.arange(COUNT), other=np.float16(1))
    np.save(tmp_path / "a.npy", array)
    given, target, result = copied(tmp_path / "a.npy")
    assert_same_scan(given, target, result)
    copy = np.load(target)
    assert copy.dtype.names == (*array.dtype.names[:6], "original_label", "other", "label", "confidence")
    for name, new in zip(array.dtype.names, copy.dtype.names, strict=False):
        assert copy[new].dtype == array[name].dtype
        np.testing.assert_array_equal(copy[new], array[name])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("arrays", [{"coord": COORD, "color": COLOR}, {"a": TABLE}, {"a": records(COORD, COLOR)}])
def test_archives_get_two_more_arrays(tmp_path, save, arrays):
    arrays = arrays | {"label": np.arange(COUNT), "words": np.array(["some", "text"]), "number": np.float32(3)}
    save(tmp_path / "a.npz", **arrays)
    given, target, result = copied(tmp_path / "a.npz")
    assert_same_scan(given, target, result)
    copy = np.load(target)
    assert set(copy) == {*arrays, "original_label", "confidence"}
    for name, array in arrays.items():
        kept = copy["original_label" if name == "label" else name]
        assert kept.dtype == array.dtype
        np.testing.assert_array_equal(kept, array)
    with zipfile.ZipFile(target) as archive:
        assert {member.compress_type for member in archive.infolist()} == {8 if save is np.savez_compressed else 0}


# --- PCD ---

POINTS = records(
    COORD.astype("f4"), packed=(COLOR @ [1 << 16, 1 << 8, 1]).astype("u4"), label=np.arange(COUNT, dtype="u4")
)
FIELDS = {"fields": "x y z rgb label", "sizes": "4 4 4 4 4", "types": "F F F U U"}


def pcd_bytes(kind, **more):
    lzf = pytest.importorskip("lzf") if kind == "binary_compressed" else None
    data = text_rows(POINTS) if kind == "ascii" else POINTS.tobytes()
    if lzf is not None:
        plain = b"".join(np.ascontiguousarray(POINTS[name]).tobytes() for name in POINTS.dtype.names)
        packed = lzf.compress(plain, 2 * len(plain))
        data = len(packed).to_bytes(4, "little") + len(plain).to_bytes(4, "little") + packed
    return pcd(**FIELDS, data=data, count=COUNT, kind=kind, **more)


@pytest.mark.parametrize("kind", ["ascii", "binary", "binary_compressed"])
@pytest.mark.parametrize("more", [{}, {"counts": "1 1 1 1 1"}, {"newline": "\r\n"}])
def test_copies_of_pcd_files_keep_kind_and_fields(tmp_path, kind, more, monkeypatch):
    monkeypatch.setattr(pcd_write, "ROWS", 100)
    (tmp_path / "a.pcd").write_bytes(pcd_bytes(kind, extra=("VIEWPOINT 1 2 3 1 0 0 0",), **more))
    given, target, result = copied(tmp_path / "a.pcd")
    scan = assert_same_scan(given, target, result)
    header = target.read_bytes().split(b"DATA")[0].decode().splitlines()
    assert {"FIELDS x y z rgb original_label label confidence", "VIEWPOINT 1 2 3 1 0 0 0"} <= set(header)
    assert "original_label" in scan.attributes
    assert f"DATA {kind}\n".encode() in target.read_bytes()


# --- all ---


@pytest.mark.parametrize("name", ["a.ply", "a.e57", "a.obj", "a.off", "a.stl", "a.glb", "a.pts", "folder"])
def test_other_formats_hold_no_labels(tmp_path, name):
    assert copy_suffix(tmp_path / name) is None


def test_folders_hold_no_labels(tmp_path):
    (tmp_path / "a.npy").mkdir()
    assert copy_suffix(tmp_path / "a.npy") is None
