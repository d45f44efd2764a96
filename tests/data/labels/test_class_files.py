"""Class files: every way to write one, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ceco3d.data.labels import GROUPS, LabelSpace, label_space, read_classes, write_classes
from ceco3d.data.labels.palette import APART, oklab
from ceco3d.utils.errors import UserError


def read(folder: Path, text: str | bytes, ending: str = ".csv") -> LabelSpace:
    path = folder / f"classes{ending}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_classes(path)


# One label space in many spellings

ROWS = "id,name,color,group,alias\n2,Floor,#98df8a,head,ground|7\n-5,low noise,#ff0000,tail,\n9,wall,#aec7e8,common,8\n"
ROWS += "0,unlabeled,,ignored,void\n"
YAML = """
classes:
  - {id: 9, name: wall, color: [174, 199, 232], group: common, aliases: [8]}
  - {id: 2, name: Floor, color: "#98DF8A", group: Head, alias: "ground; 7"}
  - id: -5
    name: low  noise
    color: 255 0 0
    group: tail
ignored: [0, void]
"""
SPELLINGS = {
    "plain": (ROWS, ".csv"),
    "semicolons": (ROWS.replace(",", ";"), ".csv"),
    "tabs": (ROWS.replace(",", "\t"), ".tsv"),
    "txt": (ROWS.replace(",", "\t"), ".txt"),
    "BOM and CRLF": (b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode(), ".csv"),
    "UTF-16": (ROWS.encode("utf-16"), ".CSV"),
    "quotes": ('"id","name","color","group","alias"\n' + ROWS.split("\n", 1)[1].replace("Floor", '"Floor"'), ".csv"),
    "blanks, empty lines": (ROWS.replace(",", " , ").replace("\n", "\n\n , , \n"), ".csv"),
    "other columns and orders": (
        "Points;Name;Colour;Aliases;ID;group\n5;wall;(174, 199, 232);8;9;common\n6;Floor;152 223 138;ground|7;2;HEAD\n"
        ";low noise;[255,0,0];;-5;tail\n;;;void;0;ignored\n",
        ".csv",
    ),
    "YAML": (YAML, ".yaml"),
    "YAML, ignored class": (YAML.replace("ignored: [0, void]", "  - {id: 0, alias: void, group: ignored}"), ".yml"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_label_space_in_any_spelling(tmp_path, spelling):
    space = read(tmp_path, *SPELLINGS[spelling])
    assert space.name == "classes"
    assert (space.ids, space.names) == ((-5, 2, 9), ("low noise", "Floor", "wall"))
    assert space.colors.tolist() == [[255, 0, 0], [152, 223, 138], [174, 199, 232]]
    assert space.colors.dtype == np.uint8
    assert space.groups == {"head": (1,), "common": (2,), "tail": (0,)}
    assert space.aliases == {"ground": 1, 7: 1, 8: 2}
    assert set(space.ignored) - {"unlabeled"} == {0, "void"}
    assert space.ignored_ids == (0,)


@pytest.mark.parametrize("file", ["classes.csv", "again.CSV"])
def test_what_is_written_is_read_again(tmp_path, file):
    space = read(tmp_path, ROWS + '2147483647,"a, ""b"" ü",#010203,,"c d|99"\n-2147483648,none,,ignored,-1|void 2\n')
    write_classes(tmp_path / file, space, {"points": [1, 2, 3, 4], "scans": [0, 0, 0, 1]})
    again = read_classes(tmp_path / file)
    assert again.to_plain() | {"name": "x"} == space.to_plain() | {"name": "x"}
    assert (tmp_path / file).read_text().splitlines()[0] == "id,name,color,group,alias,points,scans"
    assert "-5,low noise,#ff0000,tail,,1,0" in (tmp_path / file).read_text().splitlines()


@pytest.mark.parametrize("name", ["scannet20", "scannet200"])
def test_the_spaces_of_the_package_can_be_written_and_read(tmp_path, name):
    write_classes(tmp_path / f"{name}.csv", label_space(name))
    assert read_classes(tmp_path / f"{name}.csv").to_plain() | {"array": ""} == label_space(name).to_plain() | {
        "array": ""
    }


@pytest.mark.parametrize(
    ("text", "ending", "ids", "names"),
    [
        ("name\nwall\ndining table\n", ".csv", (0, 1), ("wall", "dining table")),
        ("id\n4\n-1\n", ".csv", (-1, 4), ("-1", "4")),
        ("- wall\n- floor\n", ".yaml", (0, 1), ("wall", "floor")),
        ("classes: [wall, floor]\n", ".yaml", (0, 1), ("wall", "floor")),
        ("5: wall\n-3: floor\n", ".yaml", (-3, 5), ("floor", "wall")),
        ("classes: {2147483647: wall, -2147483648: floor}", ".yaml", (-(2**31), 2**31 - 1), ("floor", "wall")),
        ('classes: {1: "no", 2: 2}', ".yaml", (1, 2), ("no", "2")),
        ("label,points\nwall,3\nunlabeled,4", ".csv", (0, 1), ("wall", "unlabeled")),
    ],
)
def test_what_is_not_given_is_made(tmp_path, text, ending, ids, names):
    space = read(tmp_path, text, ending)
    assert (space.ids, space.names) == (ids, names)
    assert (space.groups, space.aliases, space.ignored) == ({}, {}, ())
    assert np.linalg.norm(np.diff(oklab(space.colors), axis=0)) >= APART


def test_many_classes_with_large_gaps_in_shuffled_rows(tmp_path):
    rng = np.random.default_rng(0)
    ids = rng.choice(2**32, 300, replace=False).astype(np.int64) - 2**31
    rows = [f"{number},class {k},{GROUPS[k % 3]}" for k, number in enumerate(ids.tolist())]
    space = read(tmp_path, "\n".join(["id,name,group", *rng.permutation(rows)]))
    assert list(space.ids) == sorted(ids.tolist())
    assert [space.names[k] for k in space.index_of(ids)] == [f"class {k}" for k in range(300)]
    assert sorted(sum(space.groups.values(), ())) == list(range(300))


COLORS = ["#1F77b4", "31 119 180", "(31, 119, 180)", "[31,119,180]", "31;119;180", "  31\t119  180 "]


@pytest.mark.parametrize("color", COLORS)
def test_colors_in_any_spelling(tmp_path, color):
    assert read(tmp_path, f'id,name,color\n1,wall,"{color}"\n').colors.tolist() == [[31, 119, 180]]


# Wrong files: one line with the file, the line, and what is wrong

WRONG = [
    ("id,name\n1,wall\n2,floor\n1,door\n", "line 4: id 1 is already that of line 2"),
    ("id,name\n1,wall\n2,floor\n3, WALL\n", "line 4: name 'wall' is already that of line 2"),
    ("id,name,alias\n1,wall,\n2,floor,1\n", "line 3: id 1 is already that of line 2"),
    ("id,name,alias\n1,wall,Floor\n2,floor,\n", "line 3: name 'floor' is already that of line 2"),
    ("id,name,alias\n1,wall,7\n2,floor,7\n", "line 3: id 7 is already that of line 2"),
    ("id,name,group\n1,wall,\n1,void,ignored\n", "line 3: id 1 is already that of line 2"),
    ("id,name,color\n1,wall,red\n", "line 2: color 'red' is not #rrggbb or three numbers 0 to 255"),
    ("id,name,color\n1,wall,1 2 256\n", "line 2: color '1 2 256' is not"),
    ("id,name,color\n1,wall,-1 2 3\n", "line 2: color '-1 2 3' is not"),
    ("id,name,color\n1,wall,0.1 0.2 0.3\n", "line 2: color '0.1 0.2 0.3' is not"),
    ("id,name,color\n1,wall,#12345\n", "line 2: color '#12345' is not"),
    ("", "the first line must name the columns id and name; it has nothing"),
    ("id,name\n", "no classes in it"),
    ("id,name,group\n1,wall,ignored\n", "no classes in it"),
    ("1,wall\n2,floor\n", "the first line must name the columns id and name; it has 1,wall"),
    ("name,class\nwall,floor\n", "two columns 'name' in the first line"),
    ("id,name\n1,wall,3\n", "line 2 has 3 cells, not 2: quote cells with ','"),
    ("id,name,group\n1,wall,rare\n", "line 2: group 'rare' is none of head, common, tail, ignored"),
    ("id,name\n1,wall\n,floor\n", "line 3: no id"),
    ("id,name\none,wall\n", "line 2: id 'one' is not a whole number"),
    ("id,name\n1.5,wall\n", "line 2: id '1.5' is not a whole number"),
    ("id,name\n2147483648,wall\n", "line 2: id 2147483648 is out of range (32 bits)"),
    ("id,name\n5,9\n", "line 2: the name 9 is a number, but the id is 5: give ids and names"),
    ("name\nwall\n7\n", "line 3: the name 7 is a number, but the id is 1"),
    ("id,name\n1," + "x" * 201, "line 2: 'xxx"),
    ("id,name\n1,wall\n2,\x07\n", "line 3: "),
    (b"id,name\n1,t\xfcr\n", "is not UTF-8 text"),
    ('id,name\n1,"' + "x" * 140_000, "field larger than field limit"),
    ("id,name\n" + "".join(f"{k},c{k}\n" for k in range(32_001)), "32001 classes; at most 32000 are possible"),
]
WRONG_YAML = [
    ("classes: [wall]\nignore: [0]\n", "unknown key 'ignore'; the keys are classes and ignored"),
    ("classes: wall\n", "classes must be a list, or a mapping from id to name"),
    ("classes: [wall]\nignored: 0\n", "ignored must be a list"),
    ("", "classes must be a list"),
    ("classes: []\n", "no classes in it"),
    ("classes: {1: wall, 2: WALL}\n", "class 2: name 'wall' is already that of class 1"),
    ("classes: [wall, [floor]]\n", "class 2: ['floor'] is not a class name"),
    ("classes: {1: no}\n", "class 1: False is not a class name; quote it if it is one"),
    ("classes: [{id: true, name: wall}]\n", "class 1: id 'True' is not a whole number"),
    ("classes: [{id: 1, name: wall, color: [0.5, 0.5, 0.5]}]\n", "class 1: color '[0.5, 0.5, 0.5]' is not"),
    ("classes: [{id: 1, name: wall, color: [1, 2]}]\n", "class 1: color '[1, 2]' is not"),
    ("wall: 1\n", "class 1: id 'wall' is not a whole number"),
    ("classes: [1, 2", "while parsing a flow sequence"),
    ("a: &a [1]\nb: *a\n", "it has aliases"),
]


@pytest.mark.parametrize(
    ("ending", "text", "message"),
    [*((".csv", *case) for case in WRONG), *((".yaml", *case) for case in WRONG_YAML)],
    ids=[message for _, message in WRONG + WRONG_YAML],
)
def test_a_wrong_class_file_is_refused_in_one_line(tmp_path, ending, text, message):
    with pytest.raises(UserError) as caught:
        read(tmp_path, text, ending)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/classes{ending}: ")
    assert message in said
    assert said.isprintable()
    assert len(said) < 500 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.csv", "no such class file; give a .csv with the columns id,name"),
        ("none.yaml", "no such class file"),
        ("classes.json", "a class file is a .csv or .yaml; unknown ending '.json'"),
        ("folder.csv", "cannot be read"),
        ("file/classes.csv", "cannot be read"),
    ],
)
def test_a_class_file_that_cannot_be_read_is_named(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=message) as caught:
        read_classes(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
