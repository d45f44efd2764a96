"""Label spaces and class files: what people write, and what is refused."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceco3d.data.labels import IGNORE, LabelSpace, frequency_groups, label_space, read_classes, write_classes
from ceco3d.data.labels.label_space import from_plain
from ceco3d.data.labels.palette import oklab
from ceco3d.data.labels.shipped import restored_space, stored_space
from ceco3d.utils.errors import UserError

CLASSES = """id,name,color,group,alias,notes
7,table,#8c5a32,common,desk|70,wooden
-3,void,,tail,,
2147483647,chair,31 119 180,head,Office Chair;stool,
0,outside,,ignored,9,
"""


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def space(tmp_path):
    return read_classes(written(tmp_path / "classes.csv", CLASSES))


def test_a_class_file_says_everything(space):
    assert (space.name, space.ids, space.names) == ("classes", (-3, 7, 2**31 - 1), ("void", "table", "chair"))
    assert space.groups == {"head": (2,), "common": (1,), "tail": (0,)}
    assert space.aliases == {"desk": 1, 70: 1, "office chair": 2, "stool": 2}
    assert space.ignored == (0, 9)
    assert space.colors[1:].tolist() == [[0x8C, 0x5A, 0x32], [31, 119, 180]]
    assert space.unlabeled == 0
    assert space.index_of(np.array([7, 70, -3, 2**31 - 1, 0, 8, -(2**31)])).tolist() == [1, 1, 0, 2, -1, -1, -1]
    assert space.index_of_names(np.array(["Desk", "CHAIR", "office  chair", "7", "sofa"])).tolist() == [1, 2, 2, 1, -1]
    assert all(map(space.is_ignored, (0, 9, -1, "-1", "")))
    assert not space.is_ignored(7)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "\ufeff" + CLASSES.replace("\n", "\r\n")),
        ("a.tsv", CLASSES.replace(",", "\t")),
        ("a.csv", CLASSES.replace(";", "|").replace(",", ";")),
        ("a.csv", "\n".join(sorted(CLASSES.splitlines()[1:])).join(["ID,Name,Color,Group,Aliases,x\n", "\n\n"])),
    ],
)
def test_spellings_of_a_table(tmp_path, space, name, text):
    same = read_classes(written(tmp_path / name, text))
    assert (same.ids, same.names, same.groups, same.ignored) == (space.ids, space.names, space.groups, space.ignored)
    assert same.aliases == space.aliases


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("classes: [wall, floor]", (0, 1)),
        ("{2: wall, 5: floor}", (2, 5)),
        ("- {id: 5, name: floor, color: [1, 2, 3]}\n- {id: 2, name: wall, alias: [3, Wand]}", (2, 5)),
        ("classes: {5: floor, 2: wall}\nignored: [0, 255, junk]", (2, 5)),
    ],
)
def test_forms_of_yaml(tmp_path, text, ids):
    space = read_classes(written(tmp_path / "a.yaml", text))
    assert (space.ids, sorted(space.names)) == (ids, ["floor", "wall"])
    assert space.names[0] == "wall"
    assert ("junk" in space.ignored) == ("junk" in text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,name\n1,a\n1,b\n", "line 3: id 1 is already that of line 2"),
        ("id,name\n1,wall\n2,Wall\n", "line 3: name 'wall' is already that of line 2"),
        ("id,name,alias\n1,wall,2\n2,floor,\n", "line 3: id 2 is already that of line 2"),
        ("id,name,group\n1,a,\n1,b,ignored\n", "line 3: id 1 is already that of line 2"),
        ("id,name\n1.5,a\n", "line 2: id '1.5' is not a whole number"),
        ("id,name\n3000000000,a\n", "line 2: id 3000000000 is out of range"),
        ("id,name\n,a\n2,b\n", "line 2: no id"),
        ("id,name,color\n1,a,pink\n", "color 'pink' of a is not #rrggbb"),
        ("id,name,color\n1,a,1 2 256\n", "color '1 2 256' of a"),
        ("id,name,group\n1,a,rare\n", "group 'rare' is none of head, common, tail, ignored"),
        ("id,name\n", "no classes in it"),
        ("", "the first line must name the columns id and name"),
        ("x,y\n1,2\n", "the first line must name the columns id and name, not 'x,y'"),
        ("id,name,id\n1,a,1\n", "two columns 'id' in the first line"),
        ("id,name\n1,a,b\n", "line 2 has 3 cells, not 2"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = written(tmp_path / "classes.csv", text)
    with pytest.raises(UserError) as error:
        read_classes(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "classes: {1: a}\ncolours: 3", "unknown key 'colours'"),
        ("a.yaml", "classes: 3", "must be a list, or a mapping"),
        ("a.yaml", "[", "a.yaml: "),
        ("a.json", "{}", "a class file is a .csv or .yaml"),
    ],
)
def test_other_files_are_refused(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message):
        read_classes(written(tmp_path / name, text))
    with pytest.raises(UserError, match="no such class file"):
        read_classes(tmp_path / "missing.csv")


def test_a_written_file_reads_back(tmp_path, space):
    write_classes(tmp_path / "b.csv", space, {"points": [5, 6, 7]})
    again = read_classes(tmp_path / "b.csv")
    assert {**again.to_plain(), "name": ""} == {**space.to_plain(), "name": ""}
    assert (tmp_path / "b.csv").read_text().splitlines()[0] == "id,name,color,group,alias,points"


@given(st.sets(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=30), st.data())
def test_any_ids_map_to_their_rank(ids, data):
    order = sorted(ids)
    names = tuple(f"class {k}" for k in range(len(order)))
    space = LabelSpace("any", tuple(order), names, np.zeros((len(order), 3), np.uint8))
    asked = data.draw(st.lists(st.one_of(st.sampled_from(order), st.integers(-(2**40), 2**40)), max_size=20))
    expected = [order.index(number) if number in ids else IGNORE for number in asked]
    assert space.index_of(np.array(asked, np.int64)).tolist() == expected
    assert from_plain(json.loads(json.dumps(space.to_plain()))).to_plain() == space.to_plain()
    assert space.unlabeled not in ids


@pytest.mark.parametrize(
    "change",
    [
        {"ids": [1, 1, 2]},
        {"ids": [3, 2, 1]},
        {"ids": [1, 2, 2**40]},
        {"names": ["a", "A", "b"]},
        {"names": ["a", "b"]},
        {"names": ["a", "b", "c\nd"]},
        {"colors": [[0, 0, 0]] * 2},
        {"colors": [[0, 0, 256]] * 3},
        {"groups": {"rare": [0]}},
        {"groups": {"head": [7]}},
        {"aliases": [["x", 9]]},
        {"array": "../../x"},
        {"ignored": 3},
    ],
)
def test_damaged_content_is_refused(space, change):
    with pytest.raises(ValueError, match=r"."):
        from_plain({**space.to_plain(), **change})


@pytest.mark.parametrize(
    ("name", "classes", "groups", "array"),
    [("scannet200", 200, [66, 68, 66], "segment200"), ("scannet20", 20, [], "segment20")],
)
def test_shipped_spaces(name, classes, groups, array):
    space = label_space(name)
    assert (len(space), [len(members) for members in space.groups.values()], space.array) == (classes, groups, array)
    assert stored_space(space) == name
    assert restored_space(name) is space
    assert space.unlabeled == 0


def test_scannet200_is_as_it_always_was():
    space = label_space("scannet200")
    content = [space.ids, space.names, space.colors.tolist(), space.groups]
    assert hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16] == GOLDEN


GOLDEN = "6418680e850aa755"


def test_colors_that_are_made_differ(tmp_path):
    rows = "\n".join(f"{k},class {k}" for k in range(40))
    space = read_classes(written(tmp_path / "a.csv", f"id,name\n{rows}\n"))
    lab = oklab(space.colors)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + np.eye(40)
    assert apart.min() > 0.1


def test_groups_are_thirds_by_frequency():
    assert frequency_groups([5, 100, 7, 0, 50, 7, 1]) == {"head": (1, 2, 4), "common": (0, 5), "tail": (3, 6)}
    assert frequency_groups([1, 2]) == {}
