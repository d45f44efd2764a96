"""PCD files of every version, with padding, packed colors and values of several numbers."""

import numpy as np
import pytest
from pypcd4 import Encoding, PointCloud

from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.scenes.colors import color_bytes
from ceco3d.utils.errors import UserError
from tests.helpers.scan_files import pcd, room, text_rows

COORD, COLOR, _ = room()
COUNT = len(COORD)
TEXT = text_rows(COORD)
BITS = (COLOR[:, 0].astype(np.uint32) << 16) | (COLOR[:, 1].astype(np.uint32) << 8) | COLOR[:, 2]
XYZ = ("x y z", "4 4 4", "F F F")


def text(content=TEXT, fields=XYZ, count=COUNT, **options):
    return pcd(*fields, content, count, **{"kind": "ascii", "counts": "1 1 1", **options})


def binary(*columns, **options):
    """A binary file; columns are (name, size, type, count, array or None for zeros)."""
    rows = np.zeros(
        COUNT, [(f"f{i}", f"<{kind.lower()}{size}", (n,)) for i, (_, size, kind, n, _) in enumerate(columns)]
    )
    for i, (*_, values) in enumerate(columns):
        if values is not None:
            rows[f"f{i}"] = np.asarray(values).reshape(COUNT, -1)
    header = [" ".join(str(column[i]) for column in columns) for i in range(4)]
    return pcd(*header[:3], rows.tobytes(), COUNT, **{"counts": header[3], **options})


POINTS = [(axis, 4, "F", 1, COORD[:, i]) for i, axis in enumerate("xyz")]

GOOD = {
    "version .5": text(version=".5", extra=()),
    "version 0.6": text(version="0.6"),
    "no COUNT": text(counts=None),
    "tabs": text(TEXT.replace(b" ", b"\t")),
    "blanks": text(b" " + TEXT.replace(b" ", b"   ")),
    "capital fields": text(fields=("X Y Z", *XYZ[1:])),
    "capital DATA": text(kind="ASCII"),
    "lower-case header": text().replace(b"FIELDS", b"fields").replace(b"DATA", b"data"),
    "COLUMNS": text().replace(b"FIELDS", b"COLUMNS"),
    "CRLF": text(TEXT.replace(b"\n", b"\r\n"), newline="\r\n"),
    "comments": text().replace(b"HEIGHT", b"# made by hand\n# twice\nHEIGHT"),
    "no POINTS": text().replace(b"POINTS %d\n" % COUNT, b""),
    "binary": binary(*POINTS),
    "binary CRLF": binary(*POINTS, newline="\r\n"),
    "doubles": binary(*((name, 8, "F", 1, values) for name, _, _, _, values in POINTS)),
    "padding": binary(*POINTS, ("_", 1, "U", 4, None), ("i", 4, "F", 1, COORD[:, 0]), ("_", 1, "U", 12, None)),
    "COUNT 0": binary(*POINTS, ("_", 1, "U", 0, None), ("i", 4, "F", 1, COORD[:, 0])),
    "COUNT 0 that is 1": binary(*POINTS, ("ring", 2, "U", 1, None)).replace(b"COUNT 1 1 1 1", b"COUNT 1 1 1 0"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_every_variant_gives_the_points(tmp_path, kind):
    (tmp_path / "a.pcd").write_bytes(GOOD[kind])
    scan = read_scan(tmp_path / "a.pcd")
    np.testing.assert_allclose(scan.coord, COORD, atol=1e-6)
    assert scan.notes == ()
    assert not any(name.startswith("_") for name in scan.attributes)
    if "i" in scan.attributes:
        np.testing.assert_allclose(scan.attributes["i"], COORD[:, 0], atol=1e-6)


PACKED = {
    "float": ("rgb", 4, "F", 1, BITS.view(np.float32)),
    "uint": ("rgb", 4, "U", 1, BITS),
    "int": ("rgb", 4, "I", 1, BITS.view(np.int32)),
    "rgba": ("rgba", 4, "U", 1, BITS | 0xFF000000),
    "opaque floats": ("rgb", 4, "F", 1, (BITS | 0xFF000000).view(np.float32)),
    "whole numbers as floats": ("rgb", 4, "F", 1, BITS.astype(np.float32)),
    "three bytes": ("rgb", 1, "U", 3, COLOR),
}


@pytest.mark.parametrize("kind", PACKED)
def test_packed_colors_of_any_type(tmp_path, kind):
    (tmp_path / "a.pcd").write_bytes(binary(*POINTS, PACKED[kind]))
    scan = read_scan(tmp_path / "a.pcd")
    np.testing.assert_array_equal(color_bytes(scan.color), COLOR)
    assert set(scan.attributes) <= {"alpha"}


@pytest.mark.parametrize("encoding", [Encoding.ASCII, Encoding.BINARY, Encoding.BINARY_COMPRESSED])
def test_files_of_pypcd4(tmp_path, encoding):
    rgb = BITS if encoding == Encoding.ASCII else BITS.view(np.float32)  # pypcd4 writes ten decimals
    columns = {**dict(zip("xyz", COORD.T, strict=True)), "rgb": rgb, "ring": np.arange(COUNT, dtype="u2")}
    types = [column.dtype.type for column in columns.values()]
    PointCloud.from_points(list(columns.values()), tuple(columns), types).save(tmp_path / "a.pcd", encoding)
    scan = read_scan(tmp_path / "a.pcd")
    np.testing.assert_allclose(scan.coord, COORD, atol=1e-6)
    np.testing.assert_array_equal(color_bytes(scan.color), COLOR)
    np.testing.assert_array_equal(scan.attributes["ring"], np.arange(COUNT))


def test_a_packed_nan_is_not_a_color(tmp_path):
    bits = BITS.copy()
    bits[3] = 0x7FC00000  # would be the color (192, 0, 0)
    (tmp_path / "a.pcd").write_bytes(binary(*POINTS, ("rgb", 4, "F", 1, bits.view(np.float32))))
    scan = read_scan(tmp_path / "a.pcd")
    assert np.isnan(scan.color[3]).all()
    np.testing.assert_array_equal(np.delete(color_bytes(scan.color), 3, 0), np.delete(COLOR, 3, 0))
    assert "1 points have NaN as rgb" in scan.notes[0]
    (tmp_path / "b.pcd").write_bytes(binary(*POINTS, ("rgb", 4, "F", 1, np.full(COUNT, np.nan))))
    scan = read_scan(tmp_path / "b.pcd")
    assert scan.color is None
    assert "rgb is NaN at all points" in scan.notes[0]


def test_dark_red_among_opaque_colors_is_a_color(tmp_path):
    bits = BITS | 0xFF000000
    bits[3] = 0xFFC00000
    (tmp_path / "a.pcd").write_bytes(binary(*POINTS, ("rgba", 4, "F", 1, bits.view(np.float32))))
    scan = read_scan(tmp_path / "a.pcd")
    assert scan.color[3].tolist() == [192, 0, 0]
    assert scan.notes == ()


def test_all_other_fields_are_attributes(tmp_path):
    fpfh = np.arange(COUNT * 33, dtype=np.float32)
    (tmp_path / "a.pcd").write_bytes(
        binary(*POINTS, ("fpfh", 4, "F", 33, fpfh), ("t", 8, "U", 1, np.full(COUNT, 2**40)), ("a", 1, "U", 1, None))
    )
    attributes = read_scan(tmp_path / "a.pcd").attributes
    assert list(attributes) == [*(f"fpfh_{i}" for i in range(33)), "t", "a"]
    np.testing.assert_array_equal(attributes["fpfh_32"], fpfh[32::33])
    np.testing.assert_array_equal(attributes["t"], np.full(COUNT, 2.0**40))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text(fields=("x y z class", "4 4 4", "F F F")), "line SIZE has 3 entries for 4 fields"),
        (text(fields=("x y z class", "4 4 4 4", "F F F"), counts="1 1 1 1"), "line TYPE has 3 entries for 4 fields"),
        (text(counts="1 1"), "line COUNT has 2 entries for 3 fields"),
        (text().replace(b"SIZE 4 4 4\n", b""), "no line SIZE"),
        (text().replace(b"TYPE F F F", b"TYPE F F X"), "lines TYPE and SIZE: no type X of 4 bytes"),
        (text().replace(b"DATA ascii", b"DATA text"), "line DATA: 'text' is none of"),
        (text().replace(b"WIDTH", b"WIDHT"), "unknown header line 'WIDHT"),
        (text(TEXT.replace(b"\n", b" 1\n")), "4 numbers in the row of point 1 instead of 3"),
        (text(TEXT[:50]), "it ends too early: "),
        (binary(*POINTS)[:-1], f"it ends too early: {COUNT - 1} of {COUNT} points"),
        (binary(*POINTS) + bytes(COUNT), "its points are 1 bytes longer than the header says"),
        (text(fields=("x y q", *XYZ[1:])), "no columns x, y and z"),
    ],
)
def test_damaged_headers_name_the_line(tmp_path, content, message):
    (tmp_path / "a.pcd").write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        read_scan(tmp_path / "a.pcd")
    assert "a.pcd" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text(TEXT + b"1 2 3\n"), "1 lines behind the last point"),
        (binary(*POINTS) + bytes(7), "7 bytes behind the last point"),
        (text().replace(b"HEIGHT 1", b"HEIGHT 2"), "WIDTH times HEIGHT is 100"),
        (binary(*POINTS, ("r", 1, "U", 1, None), ("b", 1, "U", 1, None)), "columns r and b are not used: g is missing"),
        (binary(*POINTS, ("i", 1, "U", 1, None), ("i", 1, "U", 1, None)), "two fields i: one is called i_2"),
    ],
)
def test_what_is_unusual_is_said(tmp_path, content, message):
    (tmp_path / "a.pcd").write_bytes(content)
    assert message in read_scan(tmp_path / "a.pcd").notes[0]
