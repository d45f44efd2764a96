"""Augmentation of single objects: each step against what the published one does, object by object."""

import math

import numpy as np
import pytest
import torch

from ceco3d.data import transforms as T
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms.instances import draw_objects, find_objects, move_objects
from tests.helpers.commands import settings_of

OBJECTS = 12
STEPS = [
    T.ObjectShift(1.0, 0.1),
    T.ObjectRotation(1.0, 45.0),
    T.ObjectFlip(1.0, 1.0),
    T.ObjectScale(1.0, 0.5, 0.9),
    T.ObjectLabelDropout(1.0, 0.5),
    T.ObjectColorDrop(1.0, 0.0),
    T.ObjectSwap(1.0),
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_scene(n=2000, seed=0, instances=OBJECTS):
    """Objects as separate clouds of 0.5 m, each of one class; instance 0 is a wall; some points have no instance."""
    rng = generator(seed)
    instance = torch.randint(-1, instances, (n,), generator=rng)
    place = torch.stack([torch.arange(-1.0, instances), torch.zeros(instances + 1), torch.ones(instances + 1)], 1)
    return Scene(
        name="room",
        coord=place[instance + 1] + 0.5 * torch.rand(n, 3, generator=rng),
        color=1 + torch.rand(n, 3, generator=rng) * 254,
        normal=torch.nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=1),
        segment=torch.where(instance < 0, -1, torch.where(instance == 0, 0, 10 + instance)),
        instance=instance,
    )


def per_object(scene, count=OBJECTS):
    return [scene.instance == i for i in range(count)]


def changed(step, scene, rng):
    """Whether ``step`` changed any tensor of each object."""
    out = step(scene, rng)
    rows = torch.zeros(len(scene), dtype=torch.bool)
    for name, tensor in scene.tensors().items():
        rows |= (getattr(out, name) != tensor).reshape(len(scene), -1).any(1)
    return torch.stack([rows[mask].any() for mask in per_object(scene)])


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_points_without_an_object_stay_bit_for_bit_and_walls_change_like_all(step):
    scene = make_scene()
    out = step(scene, generator())
    for name, tensor in scene.tensors().items():
        assert torch.equal(getattr(out, name)[scene.instance < 0], tensor[scene.instance < 0]), name
    assert changed(step, scene, generator()).all()


@pytest.mark.parametrize("step", STEPS[:-1], ids=lambda step: type(step).__name__)
def test_every_object_is_drawn_with_the_probability_of_the_step(step):
    scene, rng = make_scene(300), generator(3)
    step = type(step)(0.2, *list(vars(step).values())[1:])
    share = torch.stack([changed(step, scene, rng) for _ in range(250)]).double()
    assert share.mean().item() == pytest.approx(0.2, abs=0.03)
    assert share.mean(0).min() > 0.1, "an object is drawn less often than others"
    together = (share[:, 0] * share[:, 1]).mean().item()
    assert together == pytest.approx(0.04, abs=0.03), "objects are drawn independently"


def test_objects_are_instances_with_a_label():
    scene = make_scene()
    segment = torch.where(scene.instance == 5, -1, scene.segment)
    segment[(scene.instance == 7).nonzero()[0]] = -1  # one point without a label does not matter
    gaps = scene.replace(segment=segment, instance=torch.where(scene.instance >= 0, scene.instance * 100, -1))
    objects, count = find_objects(gaps)
    assert count == OBJECTS - 1
    assert (objects[(scene.instance == 5) | (scene.instance < 0)] == -1).all()
    assert sorted(objects.unique().tolist()) == list(range(-1, OBJECTS - 1))
    assert draw_objects(gaps, 1.0, generator())[1] == OBJECTS - 1
    assert draw_objects(gaps, 0.0, generator())[1] == 0


def test_shifts_are_uniform_along_all_axes():
    scene, rng = make_scene(300), generator()
    steps = []
    for _ in range(60):
        out = T.ObjectShift(1.0, 0.1)(scene, rng)
        for mask in per_object(scene):
            moved = out.coord[mask] - scene.coord[mask]
            torch.testing.assert_close(moved, moved[:1].expand_as(moved), rtol=0, atol=1e-5)
            steps.append(moved[0])
        assert torch.equal(out.normal, scene.normal)
    steps = torch.stack(steps)
    assert steps.abs().max() <= 0.1001
    torch.testing.assert_close(steps.std(0), torch.full((3,), 0.2 / math.sqrt(12)), rtol=0.08, atol=0)


def test_rotations_are_about_the_vertical_through_the_centroid_and_uniform():
    scene, rng, angles = make_scene(300), generator(), []
    for _ in range(40):
        out = T.ObjectRotation(1.0, 45.0)(scene, rng)
        for mask in per_object(scene):
            center = scene.coord[mask].mean(0)
            before, after = scene.coord[mask] - center, out.coord[mask] - center
            far = before[:, :2].norm(dim=1).argmax()
            (bx, by), (ax, ay) = before[far, :2].tolist(), after[far, :2].tolist()
            angle = math.atan2(bx * ay - by * ax, bx * ax + by * ay)
            turn = torch.tensor(
                [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
            )
            torch.testing.assert_close(after, before @ turn.T, rtol=0, atol=1e-5)
            torch.testing.assert_close(out.normal[mask], scene.normal[mask] @ turn.T, rtol=0, atol=1e-5)
            angles.append(math.degrees(angle))
    assert max(map(abs, angles)) <= 45.01
    assert np.std(angles) == pytest.approx(90 / math.sqrt(12), rel=0.08)


def test_mirrors_are_drawn_for_each_axis():
    scene, rng, signs = make_scene(300), generator(), []
    for _ in range(40):
        out = T.ObjectFlip(1.0, 0.5)(scene, rng)
        for mask in per_object(scene):
            center = scene.coord[mask].mean(0)
            sign = torch.sign((scene.coord[mask] - center) * (out.coord[mask] - center)).median(0).values
            torch.testing.assert_close(out.coord[mask], (scene.coord[mask] - center) * sign + center, rtol=0, atol=1e-5)
            torch.testing.assert_close(out.normal[mask], scene.normal[mask] * sign, rtol=0, atol=1e-6)
            signs.append(sign)
    signs = torch.stack(signs)
    assert (signs[:, 2] == 1).all()
    for x in (-1, 1):
        for y in (-1, 1):
            assert ((signs[:, 0] == x) & (signs[:, 1] == y)).float().mean().item() == pytest.approx(0.25, abs=0.07)


def test_scales_are_about_the_centroid_and_uniform():
    scene, rng, factors = make_scene(300), generator(), []
    for _ in range(40):
        out = T.ObjectScale(1.0, 0.9, 1.1)(scene, rng)
        for mask in per_object(scene):
            center = scene.coord[mask].mean(0)
            before, after = scene.coord[mask] - center, out.coord[mask] - center
            factor = (after.norm() / before.norm()).item()
            torch.testing.assert_close(after, factor * before, rtol=0, atol=1e-5)
            factors.append(factor)
        torch.testing.assert_close(out.normal, scene.normal, rtol=0, atol=1e-6)
    assert 0.8999 <= min(factors) < 0.91 < 1.09 < max(factors) <= 1.1001
    assert np.std(factors) == pytest.approx(0.2 / math.sqrt(12), rel=0.08)


def test_dropped_points_stay_and_lose_label_and_instance():
    scene, rng = make_scene(501), generator()
    lost = torch.zeros(501)
    for _ in range(60):
        out = T.ObjectLabelDropout(1.0, 0.5)(scene, rng)
        assert torch.equal(out.coord, scene.coord)
        gone = out.segment != scene.segment
        assert torch.equal(gone, out.instance != scene.instance)
        assert (out.segment[gone] == -1).all()
        assert (out.instance[gone] == -1).all()
        for mask in per_object(scene):
            assert gone[mask].sum() == int(mask.sum()) // 2
        lost += gone
    share = lost[scene.instance >= 0] / 60
    assert share.mean().item() == pytest.approx(0.48, abs=0.03)
    assert share.min() > 0.2, "some points are never lost"


def test_colors_drop_to_the_value():
    scene = make_scene()
    out = T.ObjectColorDrop(0.5, 0.0)(scene, generator())
    black = [bool((out.color[mask] == 0).all()) for mask in per_object(scene)]
    kept = [torch.equal(out.color[mask], scene.color[mask]) for mask in per_object(scene)]
    assert [not value for value in kept] == black
    assert 0 < sum(black) < OBJECTS


def test_pairs_of_objects_trade_places():
    scene, rng, swaps = make_scene(300), generator(), []
    center = torch.stack([scene.coord[mask].mean(0) for mask in per_object(scene)])
    for _ in range(100):
        out = T.ObjectSwap(0.2)(scene, rng)
        after = torch.stack([out.coord[mask].mean(0) for mask in per_object(scene)])
        partner = torch.cdist(after, center).argmin(1)
        torch.testing.assert_close(after, center[partner], rtol=0, atol=1e-4)
        assert torch.equal(partner[partner], torch.arange(OBJECTS))
        for i, mask in enumerate(per_object(scene)):
            moved = out.coord[mask] - scene.coord[mask]
            torch.testing.assert_close(moved, (center[partner[i]] - center[i]).expand_as(moved), rtol=0, atol=1e-4)
        swaps.append((partner != torch.arange(OBJECTS)).sum().item() // 2)
        assert torch.equal(out.normal, scene.normal)
    assert np.mean(swaps) == pytest.approx(0.2 * OBJECTS / 2, rel=0.2)


def test_move_objects_equals_its_formula():
    scene = make_scene(300)
    objects = torch.where(scene.instance >= 3, scene.instance - 3, -1)
    matrices = torch.linalg.qr(torch.randn(9, 3, 3, generator=generator())).Q * 1.3
    shifts = torch.randn(9, 3, generator=generator(1))
    out = move_objects(scene, objects, matrices, shifts)
    for i in range(9):
        mask = objects == i
        center = scene.coord[mask].mean(0)
        expected = (scene.coord[mask] - center) @ matrices[i].T + center + shifts[i]
        torch.testing.assert_close(out.coord[mask], expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(out.normal[mask], scene.normal[mask] @ matrices[i].T / 1.3, rtol=0, atol=1e-5)
    assert torch.equal(out.coord[objects < 0], scene.coord[objects < 0])


def test_the_steps_of_the_recipe_come_after_those_of_colors():
    names = [make.target.__name__ for make in settings_of("train", "transforms=modern").transforms.train]
    objects = [name for name in names if name.startswith("Object")]
    assert names[-len(objects) - 1 :] == ["ChromaticJitter", *objects]
    wanted = ["Shift", "Rotation", "Flip", "Scale", "LabelDropout", "ColorDrop", "Swap"]
    assert objects == [f"Object{name}" for name in wanted]
