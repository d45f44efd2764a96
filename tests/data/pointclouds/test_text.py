"""Text tables of the world: names, content, encodings, decimal marks, counts, and lines that do not fit."""

import time

import numpy as np
import pytest

from ceco3d.data.pointclouds.column_names import COLOR_NAMES, COORD_NAMES, NORMAL_NAMES, find_columns, plain_name
from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.tables import scan_of_table
from ceco3d.data.scenes.colors import color_bytes
from ceco3d.utils.errors import UserError
from tests.helpers.tables import room, rows, write_lines

COORD, COLOR = room()
N = len(COORD)
RNG = np.random.default_rng(0)
UP = np.tile([0.0, 0, 1], (N, 1))
NORMAL = RNG.standard_normal((N, 3))
NORMAL = np.round(NORMAL / np.linalg.norm(NORMAL, axis=1, keepdims=True), 4)
LABEL = np.arange(N) % 20
GRAY_LEVEL = RNG.integers(0, 256, N)  # an intensity that could also be a color
SCALAR = np.linspace(0, 0.9, N)
XYZ_RGB = np.column_stack([COORD, COLOR])


def check(scan, color=COLOR, normal=None):
    """The scan is the room, with these colors and normals."""
    np.testing.assert_allclose(scan.coord, COORD, atol=1e-6)
    for found, expected in ((scan.color, color), (scan.normal, normal)):
        assert (found is None) == (expected is None)
    if color is not None:
        np.testing.assert_array_equal(color_bytes(scan.color), color)
    if normal is not None:
        np.testing.assert_allclose(scan.normal, normal, atol=1e-3)


def read(tmp_path, lines, name="room.txt", columns=None, **options):
    return read_scan(write_lines(tmp_path / name, lines, **options), columns)


# --- columns without names ---

SHARES = np.round(COLOR / 255, 5)
LAYOUTS = {
    "x y z red green blue": [COLOR],
    "x y z red green blue (alpha ignored)": [COLOR, np.full(N, 255)],
    "x y z red green blue (label ignored)": [COLOR, LABEL],
    "x y z red green blue (alpha ignored) (label ignored)": [COLOR, np.full(N, 255), LABEL],
    "x y z red green blue (label ignored) (column 8 ignored)": [COLOR, LABEL, LABEL // 2],
    "x y z (intensity ignored) red green blue": [SCALAR, COLOR],
    "x y z (intensity ignored) red green blue (label ignored)": [np.arange(N) - 900, COLOR, LABEL],
    "x y z red green blue nx ny nz": [COLOR, NORMAL],
    "x y z nx ny nz red green blue": [NORMAL, COLOR],
    "x y z red green blue (column 7 ignored) nx ny nz": [COLOR, SCALAR, NORMAL],
    "x y z (column 4 ignored) (column 5 ignored) (column 6 ignored) red green blue": [SCALAR] * 3 + [COLOR],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_content_tells_what_columns_hold(layout):
    scan = scan_of_table(np.column_stack([COORD, *LAYOUTS[layout]]))
    assert scan.layout == layout
    assert not scan.notes
    check(scan, normal=NORMAL if "nx" in layout else None)
    assert len(scan.attributes) == layout.count("ignored")


@pytest.mark.parametrize("scale", [257, 1 / 255])
def test_colors_of_other_ranges_are_found(scale):
    check(scan_of_table(np.column_stack([COORD, COLOR * scale])))
    white = np.full(N, 65535 if scale > 1 else 1.0)
    scan = scan_of_table(np.column_stack([COORD, COLOR * scale, white]))
    assert scan.layout == "x y z red green blue (alpha ignored)"
    check(scan)


def test_invalid_points_do_not_change_what_columns_hold():
    table = np.column_stack([XYZ_RGB, np.full(N, 255)])
    table[3] = np.nan
    scan = scan_of_table(table)
    assert scan.layout == "x y z red green blue (alpha ignored)"


@pytest.mark.parametrize(
    "columns",
    [
        [COLOR, GRAY_LEVEL],
        [GRAY_LEVEL, COLOR],
        [COLOR, COLOR],
        [SHARES, SCALAR],
        [np.arange(N) % 64, LABEL, LABEL // 5],
        [SCALAR * 90, SCALAR * 200, SCALAR * 7],
        [UP],
        [UP[:, ::-1]],
    ],
    ids=["rgb i", "i rgb", "two colors", "shares and a scalar", "labels", "scalars", "up", "one-hot"],
)
def test_unclear_colors_are_not_used_and_named(columns):
    scan = scan_of_table(np.column_stack([COORD, *columns]))
    check(scan, color=None)
    assert len(scan.notes) == 1
    assert "not used as colors" in scan.notes[0]
    assert "columns=[x,y,z," in scan.notes[0]


def test_labels_up_to_255_behind_colors_are_told_by_being_few_and_unrelated():
    """ScanNet200 has labels up to 199, as bright as a color."""
    rng = np.random.default_rng(0)
    shade = rng.integers(20, 200, (2000, 1))
    color = shade + rng.integers(0, 56, (2000, 3))
    label = rng.choice([3, 17, 60, 111, 150, 199], 2000)
    coord = rng.random((2000, 3))
    scan = scan_of_table(np.column_stack([coord, color, label]))
    assert scan.layout == "x y z red green blue (label ignored)"
    np.testing.assert_array_equal(scan.color, color)
    related = (shade[:, 0] // 40) * 40 + 20  # few values, but as bright as the color is: perhaps an intensity
    assert scan_of_table(np.column_stack([coord, color, related])).color is None


@pytest.mark.parametrize("columns", [[], [LABEL], [SCALAR], [SCALAR, LABEL]])
def test_too_few_columns_for_colors_give_no_warning(columns):
    scan = scan_of_table(np.column_stack([COORD, *columns]))
    check(scan, color=None)
    assert not scan.notes


def test_numbers_of_points_are_no_coordinates():
    for start in (0, 1):
        scan = scan_of_table(np.column_stack([np.arange(N) + start, XYZ_RGB]))
        assert scan.layout == "(number ignored) x y z red green blue"
        check(scan)


def test_colors_before_coordinates_are_refused():
    table = np.column_stack([COLOR, COORD * 10])
    with pytest.raises(UserError, match=r"first columns look like colors.*columns="):
        scan_of_table(table)
    scan = scan_of_table(table, ["r", "g", "b", "x", "y", "z"])
    np.testing.assert_array_equal(scan.color, COLOR)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 100), "points in columns: transpose"),
        ((6, 13), "points in columns: transpose"),
        ((12, 4000), "points in columns: transpose"),
        ((100,), "not .points, 3 or more"),
        ((2, 100, 6), "a batch: save each scan"),
        ((100, 2), "not .points, 3 or more"),
    ],
)
def test_arrays_of_other_shapes_are_refused(tmp_path, shape, message):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(UserError, match=message):
        read_scan(tmp_path / "a.npy")


def test_arrays_with_points_in_columns_are_refused_in_archives_and_folders(tmp_path):
    np.savez(tmp_path / "a.npz", coord=COORD.T, color=COLOR.T)
    (tmp_path / "a").mkdir()
    for name, array in (("coord", COORD.T), ("color", COLOR.T)):
        np.save(tmp_path / "a" / f"{name}.npy", array)
    for path in (tmp_path / "a.npz", tmp_path / "a"):
        with pytest.raises(UserError, match="points in columns: transpose"):
            read_scan(path)


# --- columns= ---


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_columns_can_be_named(tmp_path, suffix):
    path, table = tmp_path / f"a{suffix}", np.column_stack([GRAY_LEVEL, COORD, COLOR[:, ::-1], LABEL])
    if suffix == ".npy":
        np.save(path, table)
    else:
        write_lines(path, ["x,y,z,red,green,blue,wrong,names", *rows(table.astype(float), ",")])
    scan = read_scan(path, ["_", "x", "y", "z", "blue", "green", "red", "class"])
    check(scan)
    assert list(scan.attributes) == ["class"]
    for columns, message in (
        (["x", "y", "z"], "columns=.x,y,z. has 3 names, but the table has 8 columns"),
        (["x", "y", "z", "x", "_", "_", "_", "_"], "two columns are named x"),
        (["x", "y", "_", "_", "_", "_", "_", "_"], "no columns x, y and z, only x, y"),
    ):
        with pytest.raises(UserError, match=message):
            read_scan(path, columns)


def test_named_fields_need_no_names(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(5, [(name, "f4") for name in "xyz"]))
    with pytest.raises(UserError, match="columns= names columns without names, but these are x, y, z"):
        read_scan(tmp_path / "a.npy", ["x", "y", "z"])


def test_ignored_columns_may_hold_anything(tmp_path):
    lines = [f"{line},{'' if i % 2 else 'chair?'}" for i, line in enumerate(rows(XYZ_RGB, ","))]
    scan = read(tmp_path, lines, columns=["x", "y", "z", "red", "green", "blue", "_"])
    check(scan)
    assert not scan.notes


# --- names ---


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        *(("X", "x"), (' "X" ', "x"), ("X [m]", "x"), ("x(ft)", "x"), ("coord_x", "x"), ("posX", "x"), ("x_mm", "x")),
        *(("scalar_Nx", "nx"), ("Nx", "nx"), ("NormalX", "normal x"), ("Points:0", "point 0"), ("RGB:2", "rgb 2")),
        *(("colour_red", "red"), ("Rf", "rf"), ("original_red", "original red"), ("velocity_x", "velocity x")),
        *(("Elevation (m)", "elevation"), ("Höhe [m]", "höhe"), ("Roughness (0.1)", "roughness")),
    ],
)
def test_names_lose_quotes_units_and_fillers(name, plain):
    assert plain_name(name) == plain


@pytest.mark.parametrize(
    ("names", "triples", "found"),
    [
        ("x y z", COORD_NAMES, "x y z"),
        ("Z Y X", COORD_NAMES, "X Y Z"),
        ("Northing Easting Height", COORD_NAMES, "Easting Northing Height"),
        ("N E H", COORD_NAMES, "E N H"),
        ("easting northing z", COORD_NAMES, "easting northing z"),
        ("x y altitude", COORD_NAMES, "x y altitude"),
        ("x y z height", COORD_NAMES, "x y z"),
        ("scalar_x x y z", COORD_NAMES, "x y z"),
        ("Points_0 Points_1 Points_2", COORD_NAMES, "Points_0 Points_1 Points_2"),
        ("Rechtswert Hochwert Höhe", COORD_NAMES, "Rechtswert Hochwert Höhe"),
        ("velocity_x velocity_y velocity_z", COORD_NAMES, None),
        ("scalar_red scalar_green scalar_blue R G B", COLOR_NAMES, "R G B"),
        ("r g b red green blue", COLOR_NAMES, "red green blue"),
        ("colour_R colour_G colour_B", COLOR_NAMES, "colour_R colour_G colour_B"),
        ("RGB:0 RGB:1 RGB:2", COLOR_NAMES, "RGB:0 RGB:1 RGB:2"),
        ("original_red original_green original_blue", COLOR_NAMES, None),
        ("Normals:0 Normals:1 Normals:2", NORMAL_NAMES, "Normals:0 Normals:1 Normals:2"),
        ("scalar_Nx scalar_Ny scalar_Nz", NORMAL_NAMES, "scalar_Nx scalar_Ny scalar_Nz"),
    ],
)
def test_columns_are_found_by_name(names, triples, found):
    assert find_columns(names.split(), triples) == (None if found is None else found.split())


CLOUD_COMPARE = ["X", "Y", "Z", "Rf", "Gf", "Bf", "Illuminance (PCV)", "Roughness (0.01)", "Nx", "Ny", "Nz"]
TABLE = np.column_stack([COORD, SHARES, SCALAR, SCALAR / 9, NORMAL])


@pytest.mark.parametrize("separator", [";", ",", "\t", " ", "|"])
@pytest.mark.parametrize("comment", ["//", "# ", ""])
@pytest.mark.parametrize("count", [True, False])
def test_names_with_blanks_are_read(tmp_path, separator, comment, count):
    header = [comment + separator.join(CLOUD_COMPARE), *([str(N)] if count else [])]
    scan = read(tmp_path, [*header, *rows(TABLE, separator)])
    check(scan, normal=NORMAL)
    assert list(scan.attributes) == CLOUD_COMPARE[6:8]
    np.testing.assert_allclose(scan.attributes["Roughness (0.01)"], SCALAR / 9, rtol=1e-4)
    assert scan.layout == "Rf Gf Bf -> red green blue"


@pytest.mark.parametrize(
    ("header", "separator"),
    [
        ("X [m],Y [m],Z [m],R,G,B", ","),
        ('"X","Y","Z","R","G","B"', ","),
        ("X [m] Y [m] Z [m] R G B", " "),
        ('"Points:0","Points:1","Points:2","RGB:0","RGB:1","RGB:2"', ","),
        ("Easting;Northing;Elevation (m);Red;Green;Blue;", ";"),
        ("# Columns: x y z r g b", " "),
        ("% x y z r g b", " "),
        ("# x, y, z, red, green, blue", " "),
        ("scalar_x\tscalar_y\tscalar_z\tscalar_R\tscalar_G\tscalar_B", "\t"),
        ("coord_x coord_y coord_z color_r color_g color_b", " "),
    ],
)
def test_names_of_many_programs_are_read(tmp_path, header, separator):
    check(read(tmp_path, [header, *rows(XYZ_RGB, separator)]))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("x y z r g", "line 1 has 5 names for 6 columns .*columns="),
        ("//X Y Z R G B Scalar field", "line 1 has 8 names for 6 columns"),
        ("# x y z intensity r g b", "line 1 has 7 names for 6 columns"),
        ("Latitude Longitude Height r g b", "in degrees .Latitude, Longitude, Height.*project"),
        ("# lat lon alt r g b", "in degrees"),
        ("s t u r g b", "no columns x, y and z, only s, t, u, r, g, b: rename"),
        ("velocity_x velocity_y velocity_z r g b", "no columns x, y and z"),
        ("x y z x y z", "two columns are named x"),
        ("a room that someone has scanned yesterday", "line 1: 'a room .*neither a row of numbers nor names"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, header, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, [header, *rows(XYZ_RGB)])


def test_other_lines_before_the_names_are_skipped_with_a_note(tmp_path):
    scan = read(tmp_path, ["Exported by a scanner", "# in meters", "x,y,z,r,g,b", "m,m,m,,,", *rows(XYZ_RGB, ",")])
    check(scan)
    assert list(scan.notes) == ["line 1 is skipped: 'Exported by a scanner'", "line 4 is skipped: 'm,m,m,,,'"]


@pytest.mark.parametrize("first", ["0,1,2,3,4,5", ",0,1,2,3,4,5"])
def test_numbers_of_columns_are_no_point(tmp_path, first):
    table = XYZ_RGB if first[0] == "0" else np.column_stack([np.arange(N), XYZ_RGB])
    scan = read(tmp_path, [first, *rows(table, ",")])
    check(scan)
    assert "line 1 is skipped" in scan.notes[0]


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ("x y z red greeb blue", "columns red and blue are not used: green is missing"),
        ("x y z red s t", "column red is not used: green and blue are missing"),
        ("x y z nx ny t", "columns nx and ny are not used: nz is missing"),
        ("x y z rgb s t", "column rgb is not used: colors need three columns"),
        ("X_mm Y_mm Z_mm s t u", "X_mm says that coordinates are in mm: set unit=mm"),
        ("X_(ft) Y_(ft) Z_(ft) s t u", "in ft: convert them to meters"),
        ("x X y z s t", "columns x, X have the same name: x is used"),
    ],
)
def test_names_that_promise_more_are_noted(tmp_path, names, note):
    scan = read(tmp_path, [names, *rows(XYZ_RGB)])
    assert len(scan.notes) == 1
    assert note in scan.notes[0]


def test_single_letters_are_not_half_a_color(tmp_path):
    assert not read(tmp_path, ["x y z r s t", *rows(XYZ_RGB)]).notes


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        ("E N H r g b", "E N H -> x y z"),
        ("x y z red green blue", ""),
        ("X Y Z R G B", ""),
        ("x y z r g b red green blue", "red green blue -> red green blue (r g b ignored)"),
    ],
)
def test_the_layout_says_what_unusual_names_are_taken_for(tmp_path, names, layout):
    table = np.column_stack([XYZ_RGB, COLOR])[:, : len(names.split())]
    scan = read(tmp_path, [names, *rows(table)])
    assert scan.layout == layout
    check(scan)


# --- text ---


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_of_text_are_named_and_not_kept(tmp_path, header, separator):
    table = [(f"P{i}", *row, "dining table" if i % 2 else "chair") for i, row in enumerate(XYZ_RGB.tolist())]
    names = separator.join(["name", "x", "y", "z", "r", "g", "b", "class"])
    scan = read(tmp_path, [*([names] if header else []), *rows(table, separator)])
    check(scan)
    first, last = ("name", "class") if header else ("1", "8")
    assert list(scan.notes) == [
        f"not kept, because it is text: column {first} (such as 'P0'), column {last} (such as 'chair')"
    ]
    assert scan.layout == ("" if header else "(text ignored) x y z red green blue (text ignored)")


def test_quoted_text_may_hold_the_delimiter(tmp_path):
    table = [(f'"a, {i}"', *row) for i, row in enumerate(XYZ_RGB.tolist())]
    check(read(tmp_path, ["name,x,y,z,r,g,b", *rows(table, ",")]))
    check(read(tmp_path, rows([[f'"{value}"' for value in row] for row in XYZ_RGB], ",")))


def test_coordinates_of_text_are_refused(tmp_path):
    table = [(f"P{i}", *row) for i, row in enumerate(XYZ_RGB.tolist())]
    with pytest.raises(UserError, match="column x holds text, such as 'P0'"):
        read(tmp_path, ["x y z a b c d", *rows(table)])


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (150, lambda line: line[:-2] + "\x10" + line[-2:], r"line 151: .*x10.* in column 6 is not a number: correct"),
        (239, lambda line: line[:9], r"line 240: 2 columns instead of the 6 of line 1"),
        (5, lambda line: line + " window", "line 6: 7 columns instead of the 6 of line 1 .the last is 'window'"),
        (7, lambda line: "9" * 20, "line 8: 1 columns instead of the 6"),
        (9, lambda line: line.replace(" ", " 1_", 1), "line 10: '1_.*' in column 2 is not a number"),
        (9, lambda line: "1,234.5" + line[line.index(" ") :], "line 10: .*without separators of thousands"),
        (9, lambda line: "\u0661" + line, "line 10: .* in column 1 is not a number"),
        (9, lambda line: "x y z b g r", "line 10: 'x' in column 1"),
    ],
    ids=["control", "cut", "word", "digits", "underscore", "thousands", "other digits", "names"],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_first_line_that_does_not_fit_is_named(tmp_path, number, change, message, newline):
    lines = rows(XYZ_RGB)
    lines[number] = change(lines[number])
    with pytest.raises(UserError, match=message):
        read(tmp_path, lines, newline=newline)


@pytest.mark.parametrize(
    "words",
    [
        *(
            "nan nan nan 0 0 0",
            "-nan(ind) -nan(ind) -nan(ind) 0 0 0",
            "1.#QNAN 1.#QNAN 1.#QNAN 0 0 0",
            "NaN NaN NaN 0 0 0",
        ),
        *(
            "1.#INF -1.#INF00 inf 0 0 0",
            "-1.#IND -1.#IND000 nan(snan) 0 0 0",
            "null NULL N/A 0 0 0",
            "None NA nil 0 0 0",
        ),
    ],
)
@pytest.mark.parametrize("at", [0, 3])
def test_invalid_points_are_kept(tmp_path, words, at):
    lines = rows(XYZ_RGB)
    lines[at] = words
    scan = read(tmp_path, lines)
    assert np.flatnonzero(~np.isfinite(scan.coord).all(1)).tolist() == [at]
    assert scan.layout == "x y z red green blue"
    np.testing.assert_array_equal(np.delete(scan.color, at, 0), np.delete(COLOR, at, 0))


def test_empty_cells_are_missing_numbers(tmp_path):
    lines = rows(np.column_stack([XYZ_RGB, SCALAR]), ",")
    lines[2], lines[5] = ",,,,,,", lines[5].rpartition(",")[0] + ","
    scan = read(tmp_path, ["x,y,z,r,g,b,i", *lines])
    assert np.isnan(scan.coord[2]).all()
    assert np.flatnonzero(np.isnan(scan.attributes["i"])).tolist() == [2, 5]


@pytest.mark.parametrize("names", ["x;y;z;r;g;b", "x;y;z;r;g;b;", None])
def test_rows_may_end_with_the_delimiter(tmp_path, names):
    scan = read(tmp_path, [*([names] if names else []), *(line + ";" for line in rows(XYZ_RGB, ";"))])
    check(scan)
    assert not scan.notes


def test_comments_and_repeated_names_between_points_are_skipped(tmp_path):
    lines = rows(XYZ_RGB, ",")
    lines[7] += "  # by the window"
    check(read(tmp_path, ["x,y,z,r,g,b", *lines[:9], "# more", "", "x,y,z,r,g,b", *lines[9:]]))
    with pytest.raises(UserError, match="line 11 names other columns than the header"):
        read(tmp_path, ["x,y,z,r,g,b", *lines[:9], "# x,y,z,b,g,r", *lines[9:]])


# --- decimal marks and encodings ---


@pytest.mark.parametrize("separator", [";", "\t", " ", " ; "])
@pytest.mark.parametrize("names", [True, False])
def test_decimal_commas_are_read(tmp_path, separator, names):
    header = [separator.join("xyzrgb")] if names else []
    check(read(tmp_path, [*header, *rows(XYZ_RGB, separator, comma=True)]))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1,234 2,345 3,456"] * 3, "1,234 may have a decimal comma, or a comma between thousands"),
        (["1,5;2.5;3,5"] * 3, "decimal points .2.5. and decimal commas .1,5."),
        (["1,050,2,050,3,050"] * 3, "commas separate columns and decimals .050 begins with 0"),
        (["1.234.567,8;2.345.678,9;3.456.789,1"] * 3, "line 1"),
        (["x;y;z", *["1.234.567,8;2.345.678,9;3.456.789,1"] * 3], "line 2: .*without separators of thousands"),
        (['"1,234.5","2,345.6","3,456.7"'] * 3, "line 1"),
        (["1 2 3, 255 0 0"] * 3, "line 1: '1 2 3, 255 0 0' is neither"),
        (["(1 2 3) 255 0 0"] * 3, "neither"),
        (["1.5m 2.5m 3.5m 255 0 0"] * 3, "column 1 begins with a number but is text, such as '1.5m'.*columns="),
        (["1.5 2.5 wall 3.5 255 0"] * 3, "columns of text are between the numbers"),
    ],
)
def test_ambiguous_numbers_are_refused(tmp_path, lines, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, lines)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_usual_encoding_is_read(tmp_path, encoding, header, newline):
    names = "Rechtswert;Hochwert;Höhe [m];Rot;R;G;B"
    table = np.column_stack([COORD, SCALAR, COLOR])
    scan = read(tmp_path, [*([names] if header else []), *rows(table, ";")], encoding=encoding, newline=newline)
    check(scan)
    assert list(scan.attributes) == ["Rot" if header else "intensity"]


def test_text_of_any_encoding_is_no_number(tmp_path):
    table = [(*row, "Küche") for row in XYZ_RGB.tolist()]
    for encoding in ("utf-8", "cp1252", "utf-16"):
        check(read(tmp_path, rows(table), encoding=encoding))
    with pytest.raises(UserError, match="not a number"):
        read(tmp_path, [line.replace(" ", "\xa0", 1) + " 1" for line in rows(XYZ_RGB)][:1] + rows(XYZ_RGB))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.xyz").write_bytes(RNG.standard_normal(3000).tobytes() + bytes(300))
    with pytest.raises(UserError, match=r"not a text file|neither|columns"):
        read_scan(tmp_path / "a.xyz")


# --- several scans, and counts of points ---


def test_several_scans_in_one_file_are_read(tmp_path):
    lines = rows(np.column_stack([COORD, np.full(N, -900), COLOR]))
    scan = read(tmp_path, ["100", *lines[:100], "", str(N - 100), *lines[100:]], "a.pts")
    check(scan)
    assert list(scan.notes) == ["2 scans in one file are labeled as one"]


@pytest.mark.parametrize(
    ("counts", "notes"),
    [
        ((999, None), [f"line 1 promises 999 points, {N} follow"]),
        ((9, None), [f"line 1 promises 9 points, {N} follow"]),
        ((100, 5), ["2 scans in one file are labeled as one", f"line 102 promises 5 points, {N - 100} follow"]),
        ((N, None), []),
    ],
)
def test_counts_that_do_not_fit_are_named(tmp_path, counts, notes):
    lines = rows(XYZ_RGB)
    lines = [str(counts[0]), *lines[:100], *([] if counts[1] is None else [str(counts[1])]), *lines[100:]]
    scan = read(tmp_path, lines, "a.pts")
    check(scan)
    assert list(scan.notes) == notes


def test_pts_files_with_a_count_have_intensity_before_colors(tmp_path):
    lines = rows(np.column_stack([COORD, GRAY_LEVEL, COLOR]).astype(float))
    scan = read(tmp_path, [str(N), *lines], "a.pts")
    check(scan)
    assert scan.layout == "x y z (intensity ignored) red green blue"
    alpha = rows(np.column_stack([XYZ_RGB, np.full(N, 255.0)]))
    check(read(tmp_path, [str(N), *alpha], "b.pts"))


@pytest.mark.parametrize("lines", [[], ["# nothing"], ["x y z"], ["0"], ["//X Y Z", "0"]])
def test_files_without_points_are_refused(tmp_path, lines):
    with pytest.raises(UserError, match="has no points"):
        read(tmp_path, lines)


def test_plain_tables_and_others_give_the_same_numbers(tmp_path):
    """One comment makes the reader go line by line."""
    table = RNG.standard_normal((500, 6)) * 10.0 ** RNG.integers(-9, 9, (500, 6))
    lines = [" ".join(map(repr, row)) for row in table.tolist()]
    plain, other = (read(tmp_path, lines + more) for more in ([], ["# the end"]))
    np.testing.assert_array_equal(plain.coord, other.coord)
    np.testing.assert_array_equal(plain.coord, table[:, :3])


@pytest.mark.parametrize("lines", [["9" * 200_000 + " 1 2"], ["1 2 3", "9" * 200_000 + " 1 2"], ["x" + "9" * 200_000]])
def test_very_long_numbers_are_refused_at_once(tmp_path, lines):
    """The file is untrusted: no pattern, and no conversion, may take quadratic time."""
    start = time.process_time()
    with pytest.raises(UserError, match="line"):
        read(tmp_path, lines)
    assert time.process_time() - start < 2
