"""Augmentation: each transform against an independent reference, its ranges and its determinism."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial.transform import Rotation

from ceco3d.cli.app import compose, config_dir
from ceco3d.cli.components import with_components
from ceco3d.data import transforms as T
from ceco3d.data.scenes.colors import GRAY
from ceco3d.data.scenes.scene import Scene, columns
from ceco3d.data.transforms.elastic import box_blur, trilinear
from ceco3d.utils.random import seeded_generator

RECIPES = sorted(path.stem for path in (config_dir() / "transforms").glob("*.yaml"))
STEPS = [
    T.CenterShift(),
    T.RandomRotation(x=10, y=10, z=180),
    T.RandomScale(0.9, 1.1),
    T.RandomFlip(),
    T.PointJitter(0.005, 0.02),
    T.ElasticDistortion([[0.2, 0.4], [0.8, 1.6]], p=1.0),
    T.PointDropout(0.2, p=1.0),
    T.SphereCrop(100),
    T.RandomAutocontrast(p=1.0),
    T.ChromaticTranslation(0.1, p=1.0),
    T.ChromaticJitter(0.05, p=1.0),
    T.ColorDrop(p=0.5),
    T.ObjectShift(0.5, 0.1),
    T.ObjectRotation(0.5, 45.0),
    T.ObjectFlip(0.5),
    T.ObjectScale(0.5, 0.9, 1.1),
    T.ObjectLabelDropout(0.5, 0.5),
    T.ObjectColorDrop(0.5),
    T.ObjectSwap(0.5),
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_scene(n=500, seed=0):
    rng = generator(seed)
    return Scene(
        name=f"room{seed}",
        coord=torch.rand(n, 3, generator=rng) * torch.tensor([4.0, 3.0, 2.5]),
        color=torch.rand(n, 3, generator=rng) * 255,
        normal=torch.nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=1),
        segment=torch.randint(-1, 200, (n,), generator=rng),
        instance=torch.randint(-1, 30, (n,), generator=rng),
    )


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.tensors().values(), b.tensors().values(), strict=True))


def draws(step, scene, count, field="coord"):
    """The ``field`` after ``count`` independent draws of ``step``: (count, N, 3)."""
    rng = generator(1)
    return torch.stack([getattr(step(scene, rng), field) for _ in range(count)])


# All steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 500])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_step_is_a_pure_function_of_scene_and_generator(step, n):
    scene = make_scene(n)
    before = Scene(name=scene.name, **{name: tensor.clone() for name, tensor in scene.tensors().items()})
    global_state = torch.get_rng_state()
    first, again = step(scene, generator(7)), step(scene, generator(7))
    assert equal(first, again)
    assert equal(scene, before), "the input was changed"
    assert torch.equal(torch.get_rng_state(), global_state), "the global generator was used"
    for name, tensor in first.tensors().items():
        assert tensor.dtype == getattr(scene, name).dtype
        assert tensor.shape[1:] == getattr(scene, name).shape[1:]
        assert len(tensor) == len(first)
        assert tensor.isfinite().all()
    assert (len(first) == 0) == (n == 0)


@pytest.mark.parametrize("step", [s for s in STEPS if not isinstance(s, T.CenterShift)], ids=lambda s: type(s).__name__)
def test_step_draws_from_the_generator(step):
    scene = make_scene(500)
    results = [step(scene, generator(seed)) for seed in range(6)]
    assert any(not equal(results[0], other) if len(results[0]) == len(other) else True for other in results[1:])


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_result_does_not_depend_on_the_memory_layout(step):
    by_rows = make_scene()
    by_columns = by_rows.replace(**{name: columns(getattr(by_rows, name)).t() for name in ("coord", "color", "normal")})
    assert by_columns.coord.stride() == (1, 500)
    a, b = step(by_rows, generator()), step(by_columns, generator())
    for name, values in a.tensors().items():
        np.testing.assert_allclose(values, getattr(b, name), atol=1e-4 if name == "color" else 1e-6)
    assert b.coord.stride(0) == b.color.stride(0) == b.normal.stride(0) == 1, "the columns are not contiguous any more"


def test_pointcept_recipe_has_the_distribution_of_a_plain_one():
    scene, steps = make_scene(600), T.Transforms(steps_of("pointcept"))
    fast = np.array([moments(steps(scene, generator(seed))) for seed in range(120)])
    rng = np.random.default_rng(0)
    slow = np.array([moments(plain_recipe(scene, rng)) for _ in range(120)])
    error = np.sqrt((fast.var(0) + slow.var(0)) / 120)
    assert (np.abs(fast.mean(0) - slow.mean(0)) < 4 * error + 1e-4).all()
    np.testing.assert_allclose(fast.std(0), slow.std(0), rtol=0.4, atol=1e-4)
    margin = 2 * slow.std(0) + 1e-4
    assert (fast.min(0) > slow.min(0) - margin).all()
    assert (fast.max(0) < slow.max(0) + margin).all()


def moments(scene):
    """Points, spread and middle of the coordinates, mean and spread of the colors, length and tilt of the normals."""
    coord, color, normal = scene.coord, scene.color, scene.normal
    parts = ([len(scene) / 600], coord.std(0), coord.mean(0), color.mean(0) / 255, color.std(0) / 255)
    return np.concatenate([*map(np.asarray, parts), [normal.norm(dim=1).mean(), normal[:, 2].std()]])


def plain_recipe(scene, rng):
    """Pointcept's ScanNet200 recipe step by step in float64, with scipy."""
    coord, color, normal = (values.double().numpy() for values in (scene.coord, scene.color, scene.normal))
    coord = coord - [*(coord.min(0) + coord.max(0))[:2] / 2, coord[:, 2].min()]
    if rng.random() < 0.2:
        kept = rng.permutation(len(coord))[: len(coord) - int(0.2 * len(coord))]
        coord, color, normal = coord[kept], color[kept], normal[kept]
    for axis in rng.permutation(3):
        if rng.random() < 0.5:
            turn = Rotation.from_euler("xyz"[axis], rng.uniform(-1, 1) * (180 if axis == 2 else 180 / 64), degrees=True)
            coord, normal = turn.apply(coord), turn.apply(normal)
    coord = coord * rng.uniform(0.9, 1.1)
    for axis in (0, 1):
        if rng.random() < 0.5:
            coord, normal = (values * np.where(np.arange(3) == axis, -1, 1) for values in (coord, normal))
    coord = coord + np.clip(0.005 * rng.standard_normal(coord.shape), -0.02, 0.02)
    if rng.random() < 0.95:
        for granularity, magnitude in ((0.2, 0.4), (0.8, 1.6)):
            low = coord.min(0)
            nodes = ((coord.max(0) - low) // granularity).astype(int) + 3
            field = rng.standard_normal((*nodes, 3))
            for axis in (0, 1, 2) * 2:
                field = ndimage.uniform_filter1d(field, 3, axis=axis, mode="constant")
            axes = [low[i] - granularity + granularity * np.arange(nodes[i]) for i in range(3)]
            coord = coord + magnitude * RegularGridInterpolator(axes, field)(coord)
    if rng.random() < 0.2:
        stretched, blend = (color - color.min(0)) * 255 / (color.max(0) - color.min(0)), rng.random()
        color = (1 - blend) * color + blend * stretched
    if rng.random() < 0.95:
        color = np.clip(color + 255 * 0.05 * rng.uniform(-1, 1, 3), 0, 255)
    if rng.random() < 0.95:
        color = np.clip(color + 255 * 0.05 * rng.standard_normal(color.shape), 0, 255)
    coord, color, normal = map(torch.from_numpy, (coord, color, normal))
    return scene.replace(coord=coord, color=color, normal=normal)


def recipe(name):
    return compose("train", [f"transforms={name}"])["transforms"]


def steps_of(name):
    return [step() for step in with_components(recipe(name)["train"])]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("n", [0, 1, 3000])
def test_recipes_run(name, n):
    config = recipe(name)
    transforms = T.Transforms(steps_of(name))
    assert 0 <= config["mix_prob"] <= 1
    assert set(config) == {"train", "mix_prob", "mix", "offset", "crop", "crop_voxels", "block", "paste"}
    out = transforms(make_scene(n), generator())
    assert out.coord.dtype == torch.float32
    assert out.color.numel() == 0 or (out.color.min() >= 0 and out.color.max() <= 255)


def test_recipe_values():
    tilt = math.degrees(math.pi / 64)
    assert recipe("pointcept")["mix_prob"] == 0.8
    for name, wanted in (("pointcept", tilt), ("pointcept_tilt", 30.0), ("modern", tilt)):  # Pointcept turns z, x, y
        rotations = [step for step in steps_of(name) if isinstance(step, T.RandomRotation)]
        assert rotations == [
            T.RandomRotation(z=180.0, p=0.5),
            T.RandomRotation(x=wanted, p=0.5),
            T.RandomRotation(y=wanted, p=0.5),
        ]
    assert T.RandomRotation(tilt, tilt, 180.0, 1.0) in steps_of("lground")


def test_transforms_apply_in_order():
    class Add:
        def __init__(self, value):
            self.value = value

        def __call__(self, scene, rng):
            return scene.replace(coord=scene.coord * 2 + self.value)

    out = T.Transforms([Add(1.0), Add(5.0)])(make_scene(1).replace(coord=torch.zeros(1, 3)), generator())
    assert out.coord.tolist() == [[7.0, 7.0, 7.0]]


def test_seeded_generator_depends_on_every_part_of_the_key():
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0)]
    values = {torch.rand(1, generator=seeded_generator(*key)).item() for key in keys}
    assert len(values) == len(keys)
    assert torch.equal(torch.rand(4, generator=seeded_generator(3, 5)), torch.rand(4, generator=seeded_generator(3, 5)))


# Geometry ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["".join(p) for p in itertools.permutations("xyz")])
def test_rotation_matrix_matches_scipy(order):
    angles = {"x": 0.3, "y": -1.1, "z": 2.0}
    ours = T.rotation_matrix([angles[a] for a in "xyz"], order)
    reference = Rotation.from_euler(order, [angles[a] for a in order]).as_matrix()  # lower case: about fixed axes
    np.testing.assert_allclose(ours.numpy(), reference, atol=1e-6)


def test_rotation_turns_x_toward_y():
    scene = make_scene(1).replace(coord=torch.tensor([[1.0, 0, 0]]))
    out = T.rotate(scene, T.rotation_matrix([0, 0, math.pi / 2]))
    np.testing.assert_allclose(out.coord.numpy(), [[0, 1, 0]], atol=1e-6)


def test_rotation_keeps_distances_and_normals_follow():
    scene = make_scene()
    out = T.RandomRotation(180, 180, 180)(scene, generator(2))
    assert not torch.allclose(out.coord, scene.coord, atol=0.1)
    np.testing.assert_allclose(torch.pdist(out.coord), torch.pdist(scene.coord), atol=1e-5)
    # A normal keeps its angle to every edge of the surface it belongs to.
    before = (scene.normal * (scene.coord - scene.coord[0])).sum(1)
    after = (out.normal * (out.coord - out.coord[0])).sum(1)
    np.testing.assert_allclose(after, before, atol=1e-5)
    np.testing.assert_allclose(out.normal.norm(dim=1), 1, atol=1e-5)


@pytest.mark.parametrize(("axis", "start", "towards"), [("x", 1, 2), ("y", 2, 0), ("z", 0, 1)])
def test_rotation_angles_are_uniform_and_gated(axis, start, towards):
    coord = torch.zeros(1, 3)
    coord[0, start] = 1
    out = draws(T.RandomRotation(**{axis: 30.0}, p=0.5), make_scene(1).replace(coord=coord), 4000)[:, 0]
    angle = torch.rad2deg(torch.atan2(out[:, towards], out[:, start]))
    turned = angle[angle.abs() > 1e-4]
    assert len(turned) / 4000 == pytest.approx(0.5, abs=0.04)
    assert turned.abs().max() <= 30.001
    assert turned.mean() == pytest.approx(0, abs=1.5)
    assert turned.std() == pytest.approx(60 / math.sqrt(12), rel=0.05)


def test_rotation_shuffles_the_axes():
    scene = make_scene(1).replace(coord=torch.tensor([[1.0, 0.5, 0.2]]))
    rng = generator(3)
    orders = set()
    for _ in range(60):
        state = rng.get_state()
        out = T.RandomRotation(90, 90, 90)(scene, rng).coord
        replay = torch.Generator()
        replay.set_state(state)
        unit = torch.rand(6, generator=replay)[1::2]  # gate, angle, gate, angle, ...
        angles = ((2 * unit - 1) * math.pi / 2).tolist()
        for order in map("".join, itertools.permutations("xyz")):
            reference = Rotation.from_euler(order, [angles["xyz".index(a)] for a in order]).apply(scene.coord.numpy())
            if np.allclose(reference, out.numpy(), atol=1e-5):
                orders.add(order)
    assert len(orders) == 6


def test_flip_mirrors_coordinates_and_normals():
    scene = make_scene()
    out = T.flip(scene, "y")
    sign = torch.tensor([1.0, -1.0, 1.0])
    assert torch.equal(out.coord, scene.coord * sign)
    assert torch.equal(out.normal, scene.normal * sign)
    assert equal(T.flip(scene, ""), scene)


@pytest.mark.parametrize(("gate", "p"), [(1.0, 0.5), (0.6, 0.5), (0.0, 1.0)])
def test_flip_frequencies(gate, p):
    scene = make_scene(1).replace(coord=torch.ones(1, 3))
    out = draws(T.RandomFlip(p=p, gate=gate), scene, 3000)[:, 0]
    assert (out[:, 2] == 1).all(), "z must never flip"
    x, y = out[:, 0] < 0, out[:, 1] < 0
    assert x.float().mean() == pytest.approx(gate * p, abs=0.03)
    assert y.float().mean() == pytest.approx(gate * p, abs=0.03)
    assert (x & y).float().mean() == pytest.approx(gate * p * p, abs=0.03)


def test_scale_range():
    scene = make_scene(1).replace(coord=torch.ones(1, 3))
    out = draws(T.RandomScale(0.9, 1.1), scene, 3000)[:, 0]
    assert (out == out[:, :1]).all(), "the same factor along every axis"
    assert out.min() >= 0.9
    assert out.max() <= 1.1
    assert out.mean() == pytest.approx(1.0, abs=0.005)
    assert out[:, 0].std() == pytest.approx(0.2 / math.sqrt(12), rel=0.05)
    assert torch.equal(T.scale(make_scene(), 2.0).normal, make_scene().normal)


def test_jitter_is_clipped_gaussian_noise():
    scene = make_scene(20000)
    noise = T.jitter(scene, 0.005, 0.01, generator()).coord - scene.coord
    assert noise.abs().max() <= 0.01 + 1e-6
    assert noise.mean() == pytest.approx(0, abs=1e-4)
    assert (noise.abs() < 0.005).float().mean() == pytest.approx(0.6827, abs=0.01)
    assert (noise.abs() > 0.00999).float().mean() == pytest.approx(0.0455, abs=0.005)  # beyond two sigma, moved to it


def test_center_shift():
    out = T.center_shift(make_scene()).coord
    low, high = out.min(0).values, out.max(0).values
    np.testing.assert_allclose((low + high)[:2], 0, atol=1e-5)
    assert low[2] == 0


# Elastic distortion --------------------------------------------------------------------------------------------------


def test_box_blur_matches_scipy():
    grid = torch.randn(2, 5, 3, 7, generator=generator())
    reference = grid.numpy()
    for shape in ((1, 3, 1, 1), (1, 1, 3, 1), (1, 1, 1, 3)):
        reference = ndimage.convolve(reference, np.full(shape, 1 / 3, np.float32), mode="constant", cval=0)
    np.testing.assert_allclose(box_blur(grid), reference, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 4, 3), (3, 3, 3), (2, 9, 2)])
def test_trilinear_matches_scipy(shape):
    grid = torch.randn(3, *shape, generator=generator())
    last = torch.tensor(shape) - 1.0
    position = torch.rand(200, 3, generator=generator(1)) * last
    position[:3] = torch.stack([torch.zeros(3), last, last.floor() / 2])
    reference = RegularGridInterpolator([np.arange(n) for n in shape], grid.permute(1, 2, 3, 0).numpy())
    np.testing.assert_allclose(trilinear(grid, position.t()).t(), reference(position.numpy()), atol=1e-5)


def test_elastic_distortion_matches_scipy():
    scene, granularity = make_scene(300), 0.2
    coord = scene.coord.numpy()
    low = coord.min(0)
    nodes = np.floor((coord.max(0) - low) / granularity).astype(int) + 3
    field = torch.randn((3, *nodes.tolist()), generator=generator(4)).numpy()
    for axis in (1, 2, 3) * 2:
        field = ndimage.uniform_filter1d(field, 3, axis=axis, mode="constant")
    axes = [low[i] - granularity + granularity * np.arange(nodes[i]) for i in range(3)]
    reference = coord + 0.4 * RegularGridInterpolator(axes, field.transpose(1, 2, 3, 0))(coord)
    np.testing.assert_allclose(T.elastic_distortion(scene, granularity, 0.4, generator(4)).coord, reference, atol=1e-5)


def test_elastic_displacement_statistics():
    scene = make_scene(4000).replace(coord=torch.rand(4000, 3, generator=generator()) * 8)
    magnitude = 0.4
    moved = T.elastic_distortion(scene, 0.2, magnitude, generator(1)).coord - scene.coord
    # Two box blurs are the weights (1, 2, 3, 2, 1) / 9, so a node keeps (19 / 81)^3 of the variance; trilinear
    # interpolation between nodes lowers it further, by no more than to the mean of eight correlated corners.
    node_std = magnitude * (19 / 81) ** 1.5
    assert 0.7 * node_std < moved.std() < 1.02 * node_std
    assert moved.mean() == pytest.approx(0, abs=0.1 * node_std)
    assert moved.abs().max() < 6 * node_std
    for a, b in ((0, 1), (0, 2), (1, 2)):  # the axes move independently
        assert abs(np.corrcoef(moved[:, a], moved[:, b])[0, 1]) < 0.1


def test_elastic_is_smooth_and_scales_with_magnitude():
    scene = make_scene(2000)
    near = scene.replace(coord=scene.coord + 0.001)
    both = torch.cat([scene.coord, near.coord])
    pair = make_scene(4000).replace(coord=both)
    small = T.elastic_distortion(pair, 0.2, 0.1, generator()).coord - both
    large = T.elastic_distortion(pair, 0.2, 0.4, generator()).coord - both
    np.testing.assert_allclose(large, 4 * small, atol=1e-5)
    assert (large[:2000] - large[2000:]).abs().max() < 0.01
    assert large.abs().max() > 0.05
    assert torch.equal(T.elastic_distortion(scene, 0.2, 0.0, generator()).coord, scene.coord)
    assert torch.equal(T.elastic_distortion(scene, 0.2, 0.4, generator()).normal, scene.normal)


def test_elastic_probability():
    scene = make_scene(10)
    step = T.ElasticDistortion([[0.2, 0.4]], p=0.7)
    unchanged = (draws(step, scene, 1000) == scene.coord).all(dim=(1, 2))
    assert unchanged.float().mean() == pytest.approx(0.3, abs=0.05)


# Crops ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 17, 499, 500, 900])
def test_sphere_crop_keeps_exactly_the_nearest(keep):
    scene = make_scene(500)
    scene = scene.replace(instance=torch.arange(500))
    out = T.sphere_crop(scene, scene.coord[123], keep)
    distance = np.linalg.norm(scene.coord.numpy().astype(np.float64) - scene.coord[123].numpy(), axis=1)
    nearest = np.sort(np.argsort(distance)[:keep])
    assert out.instance.tolist() == nearest.tolist()
    assert equal(out, scene.select(torch.from_numpy(nearest)))


@pytest.mark.parametrize(
    ("limits", "kept"), [((None, 0.6), 300), ((200, 0.6), 200), ((400, 0.6), 300), ((None, None), 500)]
)
def test_sphere_crop_obeys_both_limits(limits, kept):
    assert len(T.SphereCrop(*limits)(make_scene(500), generator())) == kept
    assert len(T.SphereCrop(*limits)(make_scene(1), generator())) == 1


def test_a_share_to_keep_is_drawn_evenly():
    scene, rng = make_scene(1000), generator()
    crop = T.SphereCrop(rate=(0.6, 1.0))
    kept = np.array([len(crop(scene, rng)) for _ in range(400)])
    assert 600 <= kept.min() < 605
    assert 990 < kept.max() <= 1000
    assert kept.mean() == pytest.approx(800, abs=18)
    assert kept.std() == pytest.approx(400 / math.sqrt(12), rel=0.08)
    assert len(T.SphereCrop(max_points=100, rate=(0.6, 1.0))(scene, rng)) == 100


def test_sphere_crop_with_equal_distances_keeps_the_exact_number():
    scene = make_scene(60).replace(coord=torch.zeros(60, 3))
    assert len(T.SphereCrop(20)(scene, generator())) == 20


@pytest.mark.parametrize(("n", "ratio", "kept"), [(500, 0.2, 400), (1, 0.9, 1), (3, 0.5, 2), (0, 0.5, 0)])
def test_dropout_count_and_order(n, ratio, kept):
    scene = make_scene(n).replace(instance=torch.arange(n))
    out = T.point_dropout(scene, ratio, generator())
    assert len(out) == kept
    assert equal(out, scene.select(out.instance))
    assert (out.instance.diff() > 0).all()


def test_dropout_is_uniform_over_points():
    scene = make_scene(20).replace(instance=torch.arange(20))
    rng = generator()
    kept = torch.zeros(20)
    for _ in range(2000):
        kept[T.point_dropout(scene, 0.25, rng).instance] += 1
    np.testing.assert_allclose(kept / 2000, 0.75, atol=0.05)


# Colour --------------------------------------------------------------------------------------------------------------


def test_autocontrast():
    scene = make_scene().replace(color=make_scene().color * 0.3 + 50)
    full = T.autocontrast(scene, 1.0).color
    np.testing.assert_allclose(full.min(0).values, 0, atol=1e-3)
    np.testing.assert_allclose(full.max(0).values, 255, atol=1e-3)
    np.testing.assert_allclose(T.autocontrast(scene, 0.0).color, scene.color, atol=1e-4)
    np.testing.assert_allclose(T.autocontrast(scene, 0.5).color, (full + scene.color) / 2, atol=1e-3)


def test_autocontrast_leaves_a_constant_channel():
    color = make_scene().color
    color[:, 1] = 77
    out = T.autocontrast(make_scene().replace(color=color), 0.8).color
    assert torch.equal(out[:, 1], color[:, 1])


@given(
    low=st.floats(0, 255),
    high=st.floats(0, 255),
    blend=st.floats(0, 1),
    shift=st.floats(-300, 300),
    std=st.floats(0, 400),
)
@settings(max_examples=50, deadline=None)
def test_colors_stay_in_range(low, high, blend, shift, std):
    color = torch.linspace(low, high, 30)[:, None].repeat(1, 3)
    scene = make_scene(30).replace(color=color)
    for out in (
        T.autocontrast(scene, blend),
        T.chromatic_translation(scene, torch.tensor([shift, -shift, 0.0])),
        T.chromatic_jitter(scene, std, generator()),
    ):
        assert out.color.min() >= 0
        assert out.color.max() <= 255
        assert torch.equal(out.coord, scene.coord)


def test_chromatic_translation_distribution():
    scene = make_scene(2).replace(color=torch.full((2, 3), 128.0))
    shift = draws(T.ChromaticTranslation(0.1, p=1.0), scene, 3000, "color") - 128
    assert (shift[:, 0] == shift[:, 1]).all(), "the same shift for every point"
    assert shift.abs().max() <= 25.5001
    assert shift.std() == pytest.approx(51 / math.sqrt(12), rel=0.03)
    assert shift.mean() == pytest.approx(0, abs=0.5)
    assert abs(np.corrcoef(shift[:, 0, 0], shift[:, 0, 1])[0, 1]) < 0.06, "channels are independent"


def test_dropped_colors_are_those_of_a_scan_without_colors():
    scene = make_scene(20)
    drawn = [T.ColorDrop(p=0.3)(scene, generator(seed)).color for seed in range(400)]
    gray = [bool((color == GRAY).all()) for color in drawn]
    assert sum(gray) / 400 == pytest.approx(0.3, abs=0.07)
    assert all(dropped or torch.equal(color, scene.color) for dropped, color in zip(gray, drawn, strict=True))


def test_chromatic_jitter_distribution():
    scene = make_scene(20000).replace(color=torch.full((20000, 3), 128.0))
    noise = T.ChromaticJitter(0.05, p=1.0)(scene, generator()).color - 128
    assert noise.std() == pytest.approx(0.05 * 255, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize(
    "step",
    [
        T.RandomAutocontrast(0.2),
        T.ChromaticTranslation(0.1, 0.2),
        T.ChromaticJitter(0.05, 0.2),
        T.PointDropout(0.2, 0.2),
    ],
)
def test_probability(step):
    scene, rng = make_scene(20), generator(5)
    changed = [len(out := step(scene, rng)) < 20 or not torch.equal(out.color, scene.color) for _ in range(1500)]
    assert np.mean(changed) == pytest.approx(0.2, abs=0.04)


# Mix3D ---------------------------------------------------------------------------------------------------------------


def test_mix3d_keeps_points_labels_and_objects():
    first, second = make_scene(300, seed=1), make_scene(200, seed=2)
    mixed = T.mix3d(first, second)
    assert mixed.name == "room1+room2"
    assert torch.equal(mixed.segment, torch.cat([first.segment, second.segment]))
    assert torch.equal(mixed.color, torch.cat([first.color, second.color]))
    np.testing.assert_allclose(mixed.coord[:300] - mixed.coord[0], first.coord - first.coord[0], atol=1e-5)
    for part in (mixed.coord[:300], mixed.coord[300:]):
        assert part[:, 2].min() == 0, "both stand on one floor"
        np.testing.assert_allclose((part.min(0).values + part.max(0).values)[:2], 0, atol=1e-5)
    objects = [set(mixed.instance[:300].tolist()) - {-1}, set(mixed.instance[300:].tolist()) - {-1}]
    assert not objects[0] & objects[1]
    assert len(objects[1]) == len(set(second.instance.tolist()) - {-1})
    assert torch.equal(mixed.instance[300:] < 0, second.instance < 0)


@pytest.mark.parametrize(("count", "sizes"), [(1, [10]), (2, [21]), (3, [21, 12]), (4, [21, 25]), (0, [])])
def test_mix_pairs(count, sizes):
    scenes = [make_scene(10 + i, seed=i) for i in range(count)]
    mixed = T.mix_pairs(scenes, 1.0, generator())
    assert [len(scene) for scene in mixed] == sizes
    assert [s for scene in mixed for s in scene.segment.tolist()] == [
        s for scene in scenes for s in scene.segment.tolist()
    ]
    assert T.mix_pairs(scenes, 0.0, generator()) == scenes


def test_mix_probability():
    scenes, rng = [make_scene(3, seed=i) for i in range(2)], generator()
    assert np.mean([len(T.mix_pairs(scenes, 0.8, rng)) == 1 for _ in range(1500)]) == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (0, 0), (1, 1)])
def test_mix3d_of_tiny_scenes(sizes):
    assert len(T.mix3d(*(make_scene(n, seed=n) for n in sizes))) == sum(sizes)


# Transforms of one's own


def drop_ceiling(scene, rng):
    """A function is a transform: no base class, no registration."""
    return scene.select(scene.coord[:, 2] < 2.0)


class Tint:
    """So is any callable object; it draws from the generator that it gets."""

    def __init__(self, strength):
        self.strength = strength

    def __call__(self, scene, rng):
        return scene.replace(color=scene.color + self.strength * torch.rand(3, generator=rng))


def test_a_transform_of_ones_own_runs_between_the_others():
    scene = make_scene()
    before = {name: tensor.clone() for name, tensor in scene.tensors().items()}
    transforms = T.Transforms([T.CenterShift(), drop_ceiling, Tint(10.0), T.PointDropout(0.2, p=1.0)])
    first, again = (transforms(scene, seeded_generator(1)) for _ in range(2))
    assert equal(first, again)
    assert not equal(first, transforms(scene, seeded_generator(2)))
    assert 0 < len(first) < len(scene)
    assert first.coord[:, 2].max() < 2.0
    assert all(torch.equal(tensor, before[name]) for name, tensor in scene.tensors().items()), "the input changed"
