"""Objects pasted into scenes: they never overlap with the scene."""

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.data.labels import label_space
from ceco3d.data.scenes.instance_bank import InstanceBank
from ceco3d.data.scenes.processed import list_scenes, read_scene, write_scene
from ceco3d.data.scenes.scene import Scene, concatenate
from ceco3d.data.transforms import PasteInstances, paste
from ceco3d.data.transforms.paste import LEVEL
from ceco3d.training.batches import object_steps
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of

SCANNET200 = label_space("scannet200")

SPACE = SCANNET200


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def box(low, high, segment, instance, n=300, seed=0):
    """Points in and at the corners of an axis-aligned box (meters)."""
    rng = generator(seed)
    low, high = torch.tensor(low), torch.tensor(high)
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    unit = torch.cat([corners, torch.rand(n - 8, 3, generator=rng)])
    return Scene(
        name=f"box{segment}",
        coord=low + unit * (high - low),
        color=torch.rand(n, 3, generator=rng) * 255,
        normal=torch.nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=1),
        segment=torch.full((n,), segment),
        instance=torch.full((n,), instance),
    )


@lru_cache
def room(seed=0, ceiling=True):
    """A floor of 4 x 3 m with walls, a table, things on it, and a ceiling at 2.4 m."""
    parts = [
        box([0.0, 0, -0.01], [4, 3, 0.01], 2, 0, 12000, seed),
        box([0.0, 0, 0], [0.05, 3, 2.4], 0, 1, 2000, seed),
        box([0.0, 2.95, 0], [4, 3, 2.4], 0, 2, 2000, seed),
        box([2.0, 1, 0], [3.2, 1.8, 0.7], 3, 3, 1500, seed),
        box([2.5, 1.3, 0.7], [2.7, 1.5, 0.9], 19, 4, 300, seed),
    ]
    return concatenate([*parts, box([0.0, 0, 2.4], [4, 3, 2.41], 35, 5, 3000, seed)] if ceiling else parts, "room")


def things(seed=0):
    rng = generator(seed)
    size = 0.05 + torch.rand(6, 3, generator=rng) * torch.tensor([0.8, 0.8, 1.9])
    return [box([7.0, -2, 1], [7 + x, -2 + y, 1 + z], 100 + i, 40, 200, i) for i, (x, y, z) in enumerate(size.tolist())]


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.tensors().values(), b.tensors().values(), strict=True))


def boxes(scene):
    return [
        (points.amin(0), points.amax(0))
        for i in scene.instance.unique()
        for points in [scene.coord[scene.instance == i]]
    ]


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=25)
def test_pasted_boxes_are_free_and_nothing_else_changes(seed):
    scene, objects = room(seed % 3), things(seed)
    out = paste(scene, objects, 50, generator(seed))
    assert equal(out.select(torch.arange(len(scene))), scene)
    assert out.name == scene.name
    pasted = out.select(torch.arange(len(scene), len(out)))
    assert set(pasted.instance.tolist()) == set(range(6, 6 + len(pasted.instance.unique())))
    found = boxes(pasted)
    for number, (low, high) in enumerate(found):
        others = [found[i] for i in range(len(found)) if i != number]
        assert not ((scene.coord >= low) & (scene.coord <= high)).all(1).any()
        assert not any(((low <= other[1]) & (other[0] <= high)).all() for other in others)
        below = (scene.coord[:, :2] >= low[:2] - 0.06).all(1) & (scene.coord[:, :2] <= high[:2] + 0.06).all(1)
        support = scene.coord[below & (scene.coord[:, 2] < low[2]), 2].max()
        assert low[2] - support < LEVEL + 0.01, "it floats"
        assert high[2] < 2.4
    for thing in objects:
        same = pasted.select(pasted.segment == thing.segment[0])
        if len(same):
            torch.testing.assert_close(same.coord - same.coord[0], thing.coord - thing.coord[0], rtol=0, atol=1e-5)
            assert torch.equal(same.color, thing.color)
            assert torch.equal(same.normal, thing.normal)
            assert len(same.instance.unique()) == 1


def test_objects_stand_on_the_floor_and_on_tables_but_not_on_walls():
    cup = box([0.0, 0, 0], [0.1, 0.1, 0.1], 102, 0, 50)
    heights = []
    for seed in range(40):
        out = paste(room(), [cup], 50, generator(seed))
        heights.append(round(out.coord[-50:, 2].min().item(), 1))
    assert set(heights) <= {0.0, 0.7, 0.9}
    assert {0.0, 0.7} <= set(heights)


def test_pasting_depends_only_on_the_generator():
    scene, state = room(), torch.get_rng_state()
    first, again, other = (paste(scene, things(), 50, generator(seed)) for seed in (3, 3, 4))
    assert equal(first, again)
    assert len(first) != len(other) or not equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_room_nothing_is_pasted():
    scene = room()
    wide, tall = box([0.0, 0, 0], [5, 0.1, 0.1], 5, 0), box([0.0, 0, 0], [0.1, 0.1, 2.5], 5, 0)
    assert paste(scene, [wide, tall], 50, generator()) is scene
    assert len(paste(room(ceiling=False), [tall], 50, generator())) > len(room(ceiling=False))
    crowd = [box([0.0, 0, 0], [1.5, 1.3, 1.0], 7, 0)] * 20
    assert 0 < len(paste(scene, crowd, 50, generator())) - len(scene) < 5 * 300
    nothing = scene.select(torch.arange(0))
    assert paste(nothing, things(), 50, generator()) is nothing
    point = scene.select(torch.arange(1))
    assert paste(point, things(), 50, generator()) is point


def test_a_scene_without_instances_can_be_pasted_into():
    scene = room().replace(instance=torch.full((len(room()),), -1))
    out = paste(scene, things(), 50, generator())
    assert out.instance[len(scene) :].min() == 0


# The bank ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three scenes: many chairs, one purse, walls, a fragment, and one without labels."""
    root = tmp_path_factory.mktemp("bank") / "train"
    chair, purse, wall = (SPACE.names.index(name) for name in ("chair", "purse", "wall"))
    shelf = box([0.0, 0, 0], [1, 1, 1], SPACE.names.index("shelf"), 6, 200)
    mostly = shelf.replace(segment=torch.where(torch.arange(200) < 150, shelf.segment, -1))
    contents = [
        [box([0.0, i, 0], [1, i + 0.5, 1], chair, i, 150, i) for i in range(4)] + [mostly],
        [box([0.0, 0, 0], [1, 1, 0.3], purse, 3, 120), box([0.0, 0, 0], [5, 1, 2], wall, 7, 500)],
        [box([0.0, 0, 0], [1, 1, 1], chair, 0, 20), box([0.0, 0, 0], [1, 1, 1], -1, 1, 300)],
    ]
    for number, parts in enumerate(contents):
        scene = concatenate(parts)
        scene = scene.select(torch.randperm(len(scene), generator=generator(number)))
        arrays = {name: tensor.numpy() for name, tensor in scene.tensors().items()}
        segment = arrays.pop("segment").astype(np.int16)
        arrays |= {"color": arrays["color"].astype(np.uint8), "instance": arrays["instance"].astype(np.int16)}
        write_scene(root / f"scene{number}", arrays | {"segment20": segment * 0, "segment200": segment})
    (root / "scene1test").mkdir()
    np.save(root / "scene1test" / "coord.npy", np.zeros((4, 3), np.float32))
    return sorted(root.iterdir())


def test_the_bank_holds_complete_objects_with_their_class(folders):
    bank = InstanceBank(folders, SCANNET200)
    assert sorted(SPACE.names[i] for i in bank.labels) == ["chair"] * 4 + ["purse", "shelf"]
    for index in range(len(bank)):
        thing = bank.read(index)
        scene = read_scene(folders[int(bank.scenes[index])], SCANNET200)
        assert equal(thing, scene.select(scene.instance == bank.instances[index]))
        assert thing.segment.mode().values == bank.labels[index]
    assert len(InstanceBank(folders, SCANNET200, min_points=10)) == 7
    assert len(InstanceBank(folders, SCANNET200, max_points=140)) == 1


@pytest.mark.parametrize(("power", "shares"), [(-1.0, (4, 1, 1)), (0.0, (1, 1, 1)), (1.0, (0.25, 1, 1))])
def test_rare_classes_are_preferred(folders, power, shares):
    bank = InstanceBank(folders, SCANNET200, power)
    names = ("chair", "purse", "shelf")
    weights = [bank.weights[bank.labels == SPACE.names.index(name)].sum().item() for name in names]
    np.testing.assert_allclose(np.array(weights) / sum(weights), np.array(shares) / sum(shares))
    chosen = bank.draw(200, generator())
    drawn = [sum(SPACE.names[thing.segment.mode().values] == name for thing in chosen) / 200 for name in names]
    np.testing.assert_allclose(drawn, np.array(shares) / sum(shares), atol=0.12)


def test_an_empty_bank_draws_nothing(folders):
    for empty in (InstanceBank([], SCANNET200), InstanceBank(folders[3:], SCANNET200)):
        assert len(empty) == 0
        scene = room()
        assert PasteInstances(empty)(scene, generator()) is scene


class Bank:
    """An object with one point far from its lowest corner."""

    def draw(self, count, rng):
        coord = torch.tensor([[0.0, 0, 0], [0.3, 0.0, 0.0], [0.0, 0.0, 0.2]])
        zeros = torch.zeros(3, 3)
        one = Scene("thing", coord, zeros, torch.tensor([[1.0, 0, 0]] * 3), torch.full((3,), 7), torch.zeros(3).long())
        return [one] * count


def test_pasted_objects_are_turned_and_scaled_evenly():
    pasting, rng, angles, factors = PasteInstances(Bank(), 1, 50, 180.0, (0.9, 1.1)), generator(), [], []
    for _ in range(300):
        (thing,) = [pasting._changed(thing, rng) for thing in Bank().draw(1, rng)]
        edge, up = thing.coord[1] - thing.coord[0], thing.coord[2] - thing.coord[0]
        angles.append(math.degrees(math.atan2(edge[1], edge[0])))
        factors.append(edge.norm().item() / 0.3)
        torch.testing.assert_close(thing.normal[0], edge / edge.norm())
        torch.testing.assert_close(up, torch.tensor([0.0, 0.0, 0.2 * factors[-1]]))
    assert np.std(angles) == pytest.approx(360 / math.sqrt(12), rel=0.08)
    assert 0.899 <= min(factors) < 0.91 < 1.09 < max(factors) <= 1.101
    still = PasteInstances(Bank(), 1)
    assert torch.equal(still._changed(Bank().draw(1, rng)[0], rng).coord, Bank().draw(1, rng)[0].coord)


# Configuration -------------------------------------------------------------------------------------------------------


def test_the_recipe_pastes_objects_of_the_training_scenes(tiny):
    cfg = settings_of("train", *tiny, "transforms=lground_tail", "transforms.paste.count=3")
    folders = list_scenes(Path(cfg.dataset.root), "train")
    (step,) = object_steps(cfg.transforms, folders, cfg.dataset.space())
    assert (step.count, step.tries) == (3, 50)
    scene = read_scene(folders[0], SCANNET200)
    before = {name: tensor.clone() for name, tensor in scene.tensors().items()}
    out = [step(scene, generator(seed)) for seed in range(4)]
    assert max(len(o) for o in out) > len(scene)
    assert all(torch.equal(getattr(o, name)[: len(scene)], tensor) for o in out for name, tensor in before.items())
    assert object_steps(settings_of("train", *tiny, "transforms=light").transforms, folders, SCANNET200) == []


@pytest.mark.parametrize("override", ["transforms.paste.count=0", "+transforms.paste.rare=1"])
def test_errors_name_a_wrong_setting(tiny, override):
    with pytest.raises(UserError, match=r"transforms\.paste"):
        settings_of("train", *tiny, "transforms=lground_tail", override)
