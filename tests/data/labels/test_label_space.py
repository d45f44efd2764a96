"""Label spaces: raw ids and names to training indices and back, plain values, and the spaces of the package."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.data.labels import (
    IGNORE,
    LabelSpace,
    class_rows,
    frequency_groups,
    label_space,
    restored_space,
    stored_space,
)
from ceco3d.data.labels.label_space import clean
from ceco3d.data.labels.palette import APART, NO_LABEL, oklab, spread_colors
from ceco3d.utils.errors import UserError

SPACE = LabelSpace(
    name="mine",
    ids=(-5, 2, 9, 2**31 - 1),
    names=("low noise", "Floor", "wall", "Tür"),
    colors=spread_colors([None] * 4),
    groups={"head": (1,), "common": (2, 3), "tail": (0,)},
    aliases={7: 1, -(2**31): 3, "ground": 1},
    ignored=(0, "unlabeled"),
)


# Raw ids and names


def test_raw_ids_become_training_indices():
    raw = [[2, 7, -5, 9], [2**31 - 1, -(2**31), 0, 123]]
    assert SPACE.index_of(raw).tolist() == [[1, 1, 0, 2], [3, 3, IGNORE, IGNORE]]
    assert SPACE.index_of(np.array([], np.uint8)).shape == (0,)
    assert SPACE.index_of(np.array([9, 200], np.uint8)).dtype == np.int16


def test_raw_names_become_training_indices_whatever_their_case_and_blanks():
    names = ["Low  Noise", " floor ", "GROUND", "tür", "wall", "9", " -5", "7.0", "window", "", "²", "--5"]
    expected = [0, 1, 1, 3, 2, 2, 0, *[IGNORE] * 5]
    assert SPACE.index_of_names(np.array(names)).tolist() == expected
    assert SPACE.index_of_names(np.array([["wall", "floor"]])).tolist() == [[2, 1]]


@pytest.mark.parametrize("raw", [0, "0", "Unlabeled", " unlabeled", -1, "-1", ""])
def test_ignored_labels_are_known_in_any_spelling(raw):
    assert SPACE.is_ignored(raw)


@pytest.mark.parametrize("raw", [1, "1", "wall", "--5", "²", "0.5"])
def test_other_labels_are_not_ignored(raw):
    assert not SPACE.is_ignored(raw)


@pytest.mark.parametrize(
    ("ids", "aliases", "unlabeled"), [((1, 2), {}, 0), ((0, 1), {}, -1), ((-1, 0), {-2: 0}, -3), ((3,), {0: 0}, -1)]
)
def test_points_without_a_class_get_an_id_that_no_class_has(ids, aliases, unlabeled):
    names = tuple(f"class {k}" for k in ids)
    space = LabelSpace("x", ids, names, spread_colors([None] * len(ids)), aliases=aliases)
    assert space.unlabeled == unlabeled
    assert space.index_of([unlabeled]).tolist() == [IGNORE]


IDS = st.integers(-(2**31), 2**31 - 1)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)


@st.composite
def spaces(draw) -> LabelSpace:
    ids = sorted(draw(st.sets(IDS, min_size=1, max_size=12)))
    names = draw(st.lists(NAMES, min_size=len(ids), max_size=len(ids), unique_by=clean))
    raws = draw(st.lists(st.one_of(IDS, NAMES.map(clean)), max_size=6, unique=True))
    raws = [raw for raw in raws if raw not in ids and raw not in map(clean, names)]
    aliased = {raw: draw(st.integers(0, len(ids) - 1)) for raw in raws[::2]}
    points = draw(st.lists(st.integers(0, 9), min_size=len(ids), max_size=len(ids)))
    colors = spread_colors([None] * len(ids))
    return LabelSpace(
        "any", tuple(ids), tuple(names), colors, frequency_groups(points), "note", aliased, tuple(raws[1::2])
    )


@settings(max_examples=60, deadline=None)
@given(spaces(), st.lists(IDS, max_size=20))
def test_any_label_space_survives_json_and_finds_its_ids(space, others):
    again = restored_space(json.loads(json.dumps(stored_space(space))))
    assert again.to_plain() == space.to_plain()
    assert again.same_classes(space)
    table = {raw: k for k, raw in enumerate(space.ids)} | {
        raw: k for raw, k in space.aliases.items() if isinstance(raw, int)
    }
    raw = [*table, *others]
    assert space.index_of(raw).tolist() == [table.get(number, IGNORE) for number in raw]
    assert space.index_of_names(np.array(space.names)).tolist() == list(range(len(space)))


# Plain values of unknown origin


def changed(*path_and_value):
    *path, last, value = path_and_value
    plain = copy.deepcopy(SPACE.to_plain())
    inner = plain
    for key in path:
        inner = inner[key]
    inner[last] = value
    return plain


DAMAGED = [
    *(None, 5, [], {}, "mine", changed("name", 3), changed("name", "a\nb"), changed("array", "../x")),
    *(changed("ids", []), changed("ids", [1, 2, 3]), changed("ids", [2, -5, 9, 12]), changed("ids", [1, 1, 2, 3])),
    *(changed("ids", 0, 2**40), changed("ids", 0, 1.0), changed("ids", 0, True), changed("ids", "abcd")),
    *(changed("names", ["a"] * 4), changed("names", ["wall", "WALL ", "b", "c"]), changed("names", 0, "x" * 300)),
    *(changed("colors", 0, [0, 0, 256]), changed("colors", 0, [0, 0, -1]), changed("colors", 0, [0, 0])),
    *(changed("colors", [[0, 0, 0]]), changed("colors", "red"), changed("groups", ["head"])),
    *(changed("groups", {"other": [0]}), changed("groups", {"head": [4]}), changed("groups", {"head": [-1]})),
    *(changed("aliases", {"a": 1}), changed("aliases", [[7, 4]]), changed("aliases", [[7]]), changed("aliases", 3)),
    *(changed("aliases", [[9, 0]]), changed("ignored", [2]), changed("ignored", [None]), changed("grouping", None)),
]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_classes_are_refused(content):
    with pytest.raises((ValueError, UserError)) as caught:
        restored_space(content)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("key", list(SPACE.to_plain()))
def test_classes_with_a_missing_part_are_refused(key):
    plain = SPACE.to_plain()
    del plain[key]
    with pytest.raises(ValueError, match="classes are not readable"):
        restored_space(plain)


# The spaces of the package


@pytest.mark.parametrize(
    ("name", "count", "digest"), [("scannet20", 20, "f9ea7070c422b843"), ("scannet200", 200, "5a9b1382c3c4df72")]
)
def test_the_spaces_of_scannet_are_those_of_the_benchmark(name, count, digest):
    space = label_space(name)
    groups = {group: list(members) for group, members in space.groups.items()}
    content = json.dumps([list(space.ids), list(space.names), space.colors.tolist(), groups], sort_keys=True)
    assert hashlib.sha256(content.encode()).hexdigest()[:16] == digest
    assert len(space) == count
    assert space.array == f"segment{count}"
    assert (space.unlabeled, space.aliases, space.ignored) == (0, {}, ())
    assert [int(row["id"]) for row in class_rows(name)] == list(space.ids)


def test_a_space_of_the_package_is_stored_by_name_and_one_of_that_name_with_other_classes_is_not():
    space = label_space("scannet20")
    assert stored_space(space) == "scannet20"
    assert restored_space("scannet20") is space
    other = replace(space, ids=(*space.ids[:-1], 40))
    assert restored_space(stored_space(other)).ids[-1] == 40


def test_an_unknown_space_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"unknown label space 'scannet'; choose one of .*scannet20, scannet200"):
        label_space("scannet")


# Groups and colors


def test_groups_are_thirds_by_frequency():
    assert frequency_groups([5, 100, 7, 0, 100, 6, 1]) == {"head": (1, 2, 4), "common": (0, 5), "tail": (3, 6)}
    assert frequency_groups([1, 1, 1]) == {"head": (0,), "common": (1,), "tail": (2,)}
    assert frequency_groups([3, 4]) == {}


@pytest.mark.parametrize("count", [1, 7, 40])
def test_made_colors_differ_from_each_other_from_given_ones_and_from_that_of_points_without_a_class(count):
    colors = spread_colors([(174, 199, 232), *[None] * count])
    assert colors[0].tolist() == [174, 199, 232]
    lab = oklab(np.concatenate([colors, [NO_LABEL]]))
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + np.eye(len(lab))
    assert distance.min() >= APART


def test_hundreds_of_made_colors_are_all_different():
    assert len(np.unique(spread_colors([None] * 1500), axis=0)) == 1500
