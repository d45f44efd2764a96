"""Rooms with a long-tailed training split and a balanced validation split."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ceco3d.data.labels import GROUPS, class_rows, label_space
from ceco3d.data.scenes.processed import read_labels
from ceco3d.synthetic import LongTail, generate_rooms
from ceco3d.synthetic.allocation import OBJECT_SHARE, VERTICES_PER_M2, observed_area
from ceco3d.synthetic.generate import _plan_long_tail
from ceco3d.synthetic.longtail import share_out
from ceco3d.synthetic.style import COARSE
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of

SPACE = label_space("scannet200")
GROUP_OF = {SPACE.names[k]: group for group, members in SPACE.groups.items() for k in members}
IMBALANCES = (10, 50, 100, 200, "scannet")
SIZES = settings_of("preprocess", "dataset=rooms200_lt").dataset.sizes
CONTENTS = ("objects", "each", "classes", "area")


def long_tail(size, imbalance):
    return LongTail(imbalance, **{key: SIZES[size][key] for key in CONTENTS})


def surface_of(size):
    """The vertices of a plain scan of as much surface; `small` is for the style `coarse`, `large` for `plain`."""
    return SIZES[size]["vertices"] * (COARSE.area if size == "small" else 1)


def counts(plans):
    return Counter(name for plan in plans for name in plan.objects)


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("imbalance", IMBALANCES)
def test_training_objects_follow_the_law(size, imbalance):
    tail = long_tail(size, imbalance)
    found = np.array(list(tail.training().values()))
    names = tail.names
    if imbalance == "scannet":
        instances = {row["name"]: int(row["instances"]) for row in class_rows("scannet200")}
        wanted = np.array([instances[name] for name in names], float)
    else:
        wanted = imbalance ** (-np.arange(len(names)) / (len(names) - 1))
    wanted *= tail.objects / wanted.sum()
    assert found.sum() == tail.objects
    assert found.min() >= 1
    assert (np.abs(found - wanted) < 1.5 + 0.01 * wanted).all()  # whole objects, and at least one of each class
    assert [GROUP_OF[name] for name in names] == sorted((GROUP_OF[name] for name in names), key=GROUPS.index)
    assert imbalance == "scannet" or (np.diff(found) <= 0).all()


@pytest.mark.parametrize("size", ["small", "large"])
def test_only_the_balance_of_the_training_objects_differs(size):
    plans = {}
    for imbalance in (10, 200, "scannet"):
        rooms = (SIZES[size][split] for split in ("train", "val", "test"))
        jobs = _plan_long_tail(*rooms, surface_of(size), 0, long_tail(size, imbalance))
        plans[imbalance] = {split: [job.plan for job in jobs if job.split == split] for split in ("train", "val")}
    assert plans[10]["val"] == plans[200]["val"] == plans["scannet"]["val"]
    assert {len(found["train"]) for found in plans.values()} == {SIZES[size]["train"]}
    assert {sum(counts(found["train"]).values()) for found in plans.values()} == {SIZES[size]["objects"]}
    assert counts(plans[10]["train"]) != counts(plans[200]["train"])


@pytest.mark.parametrize("size", ["small", "large"])
def test_validation_has_thirty_objects_of_each_class_in_many_rooms(size):
    tail, options = long_tail(size, 100), SIZES[size]
    surface = surface_of(size)
    plans = share_out(tail.validation(), options["val"], surface, np.random.default_rng(0))
    assert set(counts(plans).values()) == {options["each"]}
    assert options["each"] >= 30
    rooms = Counter(name for plan in plans for name in set(plan.objects))
    assert min(rooms.values()) >= 15
    capacity = OBJECT_SHARE * surface / VERTICES_PER_M2
    training = share_out(tail.training(), options["train"], surface, np.random.default_rng(0))
    fill = [np.mean([plan.load for plan in found]) / capacity for found in (training, plans)]
    assert all(0.85 < share < 1.15 for share in fill)  # rooms of both splits are equally full


def test_classes_are_spread_over_the_groups_and_of_the_size_asked_for():
    tail = LongTail(100, objects=90, each=3, classes=4, area=(0.1, 1.0))
    assert Counter(GROUP_OF[name] for name in tail.names) == dict.fromkeys(GROUPS, 4)
    assert all(0.1 <= observed_area(name) <= 1.0 for name in tail.names)
    assert len(LongTail(100, 900, 3).names) == 197  # all but floor, wall and ceiling


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imbalance": 0.5}, "imbalance=0.5: give a number of at least 1, or scannet"),
        ({"imbalance": "much"}, "imbalance=much"),
        ({"objects": 5}, "5 objects for 12 classes"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    tail = LongTail(100, objects=90, each=3, classes=4, area=(0.1, 1.0))
    with pytest.raises(UserError, match=message):
        replace(tail, **change).training()


def test_more_objects_than_fit_are_refused():
    with pytest.raises(UserError, match=r"2 rooms have space for .* m2 of objects, not for"):
        share_out({"bed": 100}, 2, 60000, np.random.default_rng(0))


@pytest.fixture(scope="module")
def tiny_roots(tmp_path_factory):
    """Processed rooms with an imbalance of 10, twice, and of 1."""
    roots = {}
    for name, imbalance in (("once", 10), ("again", 10), ("balanced", 1)):
        root = tmp_path_factory.mktemp(name)
        overrides = [f"dataset.imbalance={imbalance}", f"dataset.raw={root}/raw", f"dataset.root={root}/processed"]
        dataset = settings_of("preprocess", "dataset=rooms200_lt", "dataset.size=tiny", *overrides).dataset
        dataset.preprocess(None, workers=2)
        roots[name] = root
    return roots


def tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_validation_is_that_of_every_imbalance(tiny_roots):
    once, again, balanced = (tree(tiny_roots[name] / "raw") for name in ("once", "again", "balanced"))
    assert once == again
    assert once != balanced
    names = (tiny_roots["once"] / "raw/scannetv2_val.txt").read_text().split()
    assert len(names) == SIZES["tiny"]["val"]
    for name in names:
        scan = {path for path in once if name in path.parts}
        assert scan
        assert {path: once[path] for path in scan} == {path: balanced[path] for path in scan}


@pytest.mark.slow
def test_every_object_is_seen_and_labeled_with_its_class(tiny_roots):
    tail = long_tail("tiny", 10)
    for split, wanted in (("train", tail.training()), ("val", tail.validation())):
        found = Counter()
        for folder in sorted((tiny_roots["once"] / "processed" / split).glob("scene*")):
            segment, instance = read_labels(folder, SPACE)
            for number in np.unique(instance[(instance >= 0) & (segment >= 0)]):
                labels = segment[(instance == number) & (segment >= 0)]
                if len(labels) >= 5:
                    found[SPACE.names[np.bincount(labels).argmax()]] += 1
        assert {name: found[name] for name in wanted} == wanted


def test_the_number_of_workers_changes_nothing(tmp_path):
    tail = LongTail(5, objects=4, each=1, classes=1, area=(0.1, 1.0))
    for workers in (1, 2):
        generate_rooms(tmp_path / str(workers), 1, 1, 1, 5000, 3, workers, "coarse", tail)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
