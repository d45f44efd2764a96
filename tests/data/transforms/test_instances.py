"""Augmentation of single objects: what may change and what must not."""

import math

import numpy as np
import pytest
import torch

from ceco3d.data.labels import label_space
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import InstanceAugmentation
from ceco3d.data.transforms.instances import movable, move_objects
from ceco3d.training.batches import object_steps
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of

STRUCTURE = (0, 2)
STILL = {"shift": 0.0, "rotate": 0.0, "flip": 0.0, "scale": (1.0, 1.0), "dropout": 0.0, "gray": 0.0, "p": 1.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_scene(n=2000, seed=0, instances=12):
    """Objects as separate clouds of 0.5 m, each of one class; instance 0 is a wall; some points have no instance."""
    rng = generator(seed)
    instance = torch.randint(-1, instances, (n,), generator=rng)
    place = torch.stack([torch.arange(-1.0, instances), torch.zeros(instances + 1), torch.ones(instances + 1)], 1)
    segment = torch.where(instance == 0, 0, 10 + instance)
    return Scene(
        name="room",
        coord=place[instance + 1] + 0.5 * torch.rand(n, 3, generator=rng),
        color=torch.rand(n, 3, generator=rng) * 255,
        normal=torch.nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=1),
        segment=torch.where(instance < 0, -1, segment),
        instance=instance,
    )


def step(**changes):
    return InstanceAugmentation(STRUCTURE, **(STILL | changes))


def per_object(scene):
    return {i: scene.instance == i for i in range(1, 12)}


def floor_center(coord):
    low, high = coord.amin(0), coord.amax(0)
    return torch.stack([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])


def test_structure_and_points_without_an_object_stay():
    scene = make_scene()
    out = InstanceAugmentation(STRUCTURE, p=1.0, dropout=0.0, gray=1.0)(scene, generator())
    fixed = scene.instance <= 0
    for name, tensor in scene.tensors().items():
        assert torch.equal(getattr(out, name)[fixed], tensor[fixed]), name
    for name in ("segment", "instance"):
        assert torch.equal(getattr(out, name), getattr(scene, name))
    moved = (out.coord != scene.coord).any(1)
    assert moved[~fixed].float().mean() > 0.99


def test_an_instance_with_one_point_of_structure_stays():
    scene = make_scene()
    segment = scene.segment.clone()
    segment[(scene.instance == 5).nonzero()[0]] = 2
    objects, count = movable(scene.replace(segment=segment), STRUCTURE)
    assert count == 10
    assert (objects[(scene.instance == 5) | (scene.instance <= 0)] == -1).all()
    assert sorted(objects.unique().tolist()) == list(range(-1, 10))


def test_gaps_in_the_ids_are_not_objects():
    scene = make_scene()
    far = scene.replace(instance=torch.where(scene.instance >= 0, scene.instance * 100, -1))
    assert movable(far, STRUCTURE)[1] == movable(scene, STRUCTURE)[1] == 11


def test_shift_is_one_horizontal_step_per_object():
    scene = make_scene()
    out = step(shift=0.1)(scene, generator())
    steps = []
    for mask in per_object(scene).values():
        moved = out.coord[mask] - scene.coord[mask]
        torch.testing.assert_close(moved, moved[:1].expand_as(moved), rtol=0, atol=1e-5)
        steps.append(moved[0])
    steps = torch.stack(steps)
    assert steps[:, :2].abs().max() <= 0.1001
    assert steps[:, 2].abs().max() < 1e-5
    assert len(steps[:, 0].unique()) == 11
    assert torch.equal(out.normal, scene.normal)


@pytest.mark.parametrize(
    "changes",
    [{"rotate": 45.0}, {"flip": 1.0}, {"scale": (0.8, 1.2)}, {"rotate": 180.0, "flip": 0.5, "scale": (0.5, 2)}],
)
def test_objects_keep_their_shape_and_stand_where_they_stood(changes):
    scene = make_scene()
    out = step(**changes)(scene, generator(2))
    for mask in per_object(scene).values():
        before, after = scene.coord[mask].double(), out.coord[mask].double()
        ratio = torch.pdist(after) / torch.pdist(before)
        assert ratio.std() < 1e-4, "angles changed"
        if "scale" not in changes:
            assert ratio.mean().item() == pytest.approx(1, abs=1e-5)
        low, high = changes.get("scale", (1, 1))
        assert low - 1e-4 <= ratio.mean() <= high + 1e-4
        # Heights scale from the lowest point, and the floor center is the fixed point of the map.
        torch.testing.assert_close(
            after[:, 2] - after[:, 2].min(), ratio.mean() * (before[:, 2] - before[:, 2].min()), rtol=0, atol=1e-4
        )
        assert after[:, 2].min().item() == pytest.approx(before[:, 2].min().item(), abs=1e-5)
        center = floor_center(before)
        radius = [(c - center)[:, :2].norm(dim=1) for c in (before, after)]
        torch.testing.assert_close(radius[1], ratio.mean() * radius[0], rtol=0, atol=1e-4)
        # A normal keeps its length and its angle to every edge.
        edges = [c - c[0] for c in (before, after)]
        normals = [n[mask].double() for n in (scene.normal, out.normal)]
        torch.testing.assert_close(
            (normals[1] * edges[1]).sum(1), ratio.mean() * (normals[0] * edges[0]).sum(1), rtol=0, atol=1e-4
        )
        torch.testing.assert_close(normals[1].norm(dim=1), normals[0].norm(dim=1), rtol=0, atol=1e-5)


def test_rotation_is_about_the_vertical_and_within_its_range():
    scene = make_scene(6000, instances=200)
    scene = scene.replace(segment=torch.where(scene.instance == 0, 0, 10))
    out = step(rotate=45.0)(scene, generator())
    angles = []
    for i in range(1, 200):
        mask = scene.instance == i
        before, after = (c[mask] - floor_center(scene.coord[mask]) for c in (scene.coord, out.coord))
        far = before[:, :2].norm(dim=1).argmax()
        (bx, by), (ax, ay) = before[far, :2].tolist(), after[far, :2].tolist()
        angles.append(math.degrees(math.atan2(bx * ay - by * ax, bx * ax + by * ay)))
    assert max(map(abs, angles)) <= 45.01
    assert np.std(angles) == pytest.approx(90 / math.sqrt(12), rel=0.12)


def test_probabilities_are_per_object():
    scene = make_scene(20000, instances=1500)
    changed = (
        InstanceAugmentation(STRUCTURE, p=0.3, dropout=0.0, gray=0.0)(scene, generator()).coord != scene.coord
    ).any(1)
    share = np.array([changed[scene.instance == i].float().mean() for i in range(1, 1500, 3)])
    assert np.mean(share > 0.5) == pytest.approx(0.3, abs=0.06)
    assert ((share == 0) | (share > 0.9)).all(), "an object changes as a whole"


def test_dropout_thins_objects_by_different_shares():
    scene = make_scene(20000).replace(normal=torch.arange(20000.0)[:, None].expand(-1, 3) + 1)  # to know the points
    out = step(dropout=0.5)(scene, generator())
    kept = (out.normal[:, 0] - 1).long()
    assert (kept.diff() > 0).all()
    shares = [1 - (out.instance == i).sum().item() / mask.sum().item() for i, mask in per_object(scene).items()]
    assert 0 <= min(shares) < max(shares) < 0.53
    assert np.std(shares) > 0.05
    assert (out.instance <= 0).sum() == (scene.instance <= 0).sum()


def test_gray_objects_have_the_mean_color():
    scene = make_scene()
    out = step(gray=0.5)(scene, generator())
    gray = 0
    for mask in per_object(scene).values():
        if torch.equal(out.color[mask], scene.color[mask]):
            continue
        torch.testing.assert_close(out.color[mask], scene.color.mean(0).expand(int(mask.sum()), 3))
        gray += 1
    assert 0 < gray < 11


def test_move_objects_equals_its_formula():
    scene = make_scene(300)
    objects = torch.where(scene.instance >= 3, scene.instance - 3, -1)
    matrices = torch.linalg.qr(torch.randn(9, 3, 3, generator=generator())).Q * 1.3
    shifts = torch.randn(9, 3, generator=generator(1))
    out = move_objects(scene, objects, matrices, shifts)
    for i in range(9):
        mask = objects == i
        center = floor_center(scene.coord[mask])
        expected = (scene.coord[mask] - center) @ matrices[i].T + center + shifts[i]
        torch.testing.assert_close(out.coord[mask], expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(out.normal[mask], scene.normal[mask] @ matrices[i].T / 1.3, rtol=0, atol=1e-5)
    assert torch.equal(out.coord[objects < 0], scene.coord[objects < 0])


def test_the_recipe_leaves_the_structure_of_its_label_space():
    cfg = settings_of("train", "transforms=modern")
    (found,) = object_steps(cfg.transforms, [], cfg.dataset.space())
    names = label_space("scannet200").names
    assert {"wall", "floor", "ceiling", "door"} <= {names[i] for i in found.structure}
    assert not {"chair", "table", "picture"} & {names[i] for i in found.structure}
    assert (found.p, found.shift, found.rotate) == (0.5, 0.1, 45.0)
    small = settings_of("train", "dataset=scannet20", "dataset.raw=x", "transforms=modern")
    assert (
        object_steps(small.transforms, [], label_space("scannet20"))[0].structure
        == label_space("scannet20").structure
        == (0, 1, 7, 8)
    )
    with pytest.raises(UserError, match=r"transforms\.instances"):
        settings_of("train", "transforms=modern", "+transforms.instances.swap=1")
