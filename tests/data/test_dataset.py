"""Batches: voxels and labels stay aligned, and nothing depends on workers, order of access or interruptions."""

import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ceco3d.data import transforms as T
from ceco3d.data.batch import Batch, feature_channels, make_batch, point_features
from ceco3d.data.collate import Collate
from ceco3d.data.dataset import SceneDataset
from ceco3d.data.labels import label_space
from ceco3d.data.loader import make_loader
from ceco3d.data.sampler import SceneSampler, VoxelCap, count_voxels
from ceco3d.data.scenes.blocks import Piece
from ceco3d.data.scenes.cache import ArrayCache
from ceco3d.data.scenes.processed import write_scene
from ceco3d.data.scenes.scene import Scene
from ceco3d.utils.errors import UserError
from ceco3d.utils.random import Stream, seeded_generator
from ceco3d.utils.untrusted import read_npy

SCANNET200 = label_space("scannet200")

VOXEL = 0.1
ROOMS = [f"room{number}" for number in range(7)]
AUGMENT = T.Transforms(
    [T.CenterShift(), T.RandomRotation(z=180), T.PointDropout(0.2, 0.5), T.ChromaticJitter(0.05, 1.0)]
)


def make_scene(n=400, seed=0, name=None):
    rng = torch.Generator().manual_seed(seed)
    return Scene(
        name=name or f"room{seed}",
        coord=torch.rand(n, 3, generator=rng) * torch.tensor([1.0, 0.8, 0.5]) + 3,
        color=torch.rand(n, 3, generator=rng) * 255,
        normal=torch.nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=1),
        segment=torch.randint(-1, 200, (n,), generator=rng),
        instance=torch.randint(-1, 30, (n,), generator=rng),
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Seven processed scenes of different sizes."""
    root = tmp_path_factory.mktemp("processed") / "train"
    for seed in range(7):
        scene = make_scene(150 + 20 * seed, seed)
        arrays = {
            "coord": scene.coord.numpy(),
            "color": scene.color.to(torch.uint8).numpy(),
            "normal": scene.normal.numpy(),
            "segment20": (scene.segment % 20).short().numpy(),
            "segment200": scene.segment.short().numpy(),
            "instance": scene.instance.short().numpy(),
        }
        write_scene(root / scene.name, arrays)
    return [root / f"room{seed}" for seed in range(7)]


def same(a, b):
    """Two batches are equal in every field."""
    assert a.scenes == b.scenes
    for name in ("coordinates", "features", "labels", "inverse"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    return True


# Batches -------------------------------------------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(0, 80), min_size=1, max_size=4), seed=st.one_of(st.none(), st.integers(0, 5)))
@settings(max_examples=60, deadline=None)
def test_every_voxel_has_the_features_and_label_of_one_of_its_points(sizes, seed):
    scenes = [make_scene(n, i) for i, n in enumerate(sizes)]
    # A color encodes the index of its point, to trace features and labels back.
    count = 0
    for i, scene in enumerate(scenes):
        number = torch.arange(count, count + len(scene), dtype=torch.float32)
        scenes[i] = scene.replace(color=number[:, None].repeat(1, 3))
        count += len(scene)
    rng = None if seed is None else torch.Generator().manual_seed(seed)
    batch = make_batch(scenes, VOXEL, ["color"], rng and [rng] * len(scenes))
    assert batch.coordinates.dtype == torch.int32
    assert (batch.coordinates >= 0).all()
    assert len(torch.unique(batch.coordinates, dim=0)) == len(batch)
    assert batch.features.shape == (len(batch), 3)
    assert batch.features.dtype == torch.float32
    assert batch.scenes == tuple(scene.name for scene in scenes)
    assert batch.inverse.shape == (count,)

    point = ((batch.features[:, 0] + 0.5) * 255).round().long()  # the point that represents each voxel
    assert torch.equal(batch.inverse[point], torch.arange(len(batch)))
    segment = torch.cat([scene.segment for scene in scenes])
    assert torch.equal(batch.labels, segment[point])
    number = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    assert torch.equal(batch.coordinates[batch.inverse, 0].long(), number)
    for i, scene in enumerate(scenes):  # same relative voxels as the formula, moved by one whole offset per scene
        if len(scene):
            cell = np.floor(scene.coord.numpy() / np.float32(VOXEL))
            offset = batch.coordinates[batch.inverse[number == i], 1:].numpy() - (cell - cell.min(0))
            assert (offset == offset[0]).all()
            assert (offset[0] == 0).all() if seed is None else ((offset[0] >= 0) & (offset[0] < 100)).all()


def test_offsets_are_uniform_and_differ_by_scene_and_axis():
    scenes, rng = [make_scene(1), make_scene(1)], torch.Generator().manual_seed(0)
    offsets = torch.stack(
        [make_batch(scenes, VOXEL, ["color"], rng and [rng] * len(scenes)).coordinates[:, 1:] for _ in range(1500)]
    ).flatten(1)
    assert offsets.min() == 0
    assert offsets.max() == 99
    np.testing.assert_allclose(offsets.float().mean(0), 49.5, atol=3)
    assert np.abs(np.corrcoef(offsets.T) - np.eye(6)).max() < 0.1


def test_mixed_scenes_give_unique_voxels():
    rng = torch.Generator().manual_seed(0)
    scenes = [make_scene(400, seed) for seed in range(5)]
    batch = make_batch(T.mix_pairs(scenes, 1.0, rng), VOXEL, ["color"], [rng] * 3)
    assert batch.scenes == ("room0+room1", "room2+room3", "room4")
    assert len(torch.unique(batch.coordinates, dim=0)) == len(batch)
    assert batch.inverse.shape == (5 * 400,)
    assert batch.coordinates[batch.inverse, 0].bincount().tolist() == [800, 800, 400]


def test_point_features():
    scene = make_scene(50)
    out = point_features(scene, ["color", "normal", "coord"])
    assert out.shape == (50, feature_channels(["color", "normal", "coord"]))
    np.testing.assert_allclose(out[:, :3], scene.color / 255 - 0.5, atol=1e-6)
    assert torch.equal(out[:, 3:6], scene.normal)
    centered = out[:, 6:]
    np.testing.assert_allclose(centered - centered[0], scene.coord - scene.coord[0], atol=1e-5)
    assert centered[:, 2].min() == 0
    assert torch.equal(point_features(scene, ["normal", "color"]), out[:, [3, 4, 5, 0, 1, 2]])
    scene = scene.replace(intensity=torch.linspace(0, 1, 50), height=torch.linspace(-1, 40, 50))
    out = point_features(scene, ["intensity", "height"])
    assert torch.equal(out[:, 0], scene.intensity - 0.5)
    assert (out[:, 1].amin(), out[:, 1].amax()) == (-0.1, 2)


@pytest.mark.parametrize("features", [[], ["colour"], ["color", "heights"]])
def test_unknown_features_are_refused(features):
    with pytest.raises(UserError, match="color, normal, coord, intensity, height"):
        point_features(make_scene(3), features)


def test_a_scene_that_cannot_be_voxelized_is_named():
    scene = make_scene(3, name="scene0001_00")
    scene.coord[1, 1] = float("nan")
    with pytest.raises(UserError, match="scene0001_00"):
        make_batch([scene], VOXEL, ["color"])


def test_batches_move_between_devices_and_processes():
    batch = make_batch([make_scene(20)], VOXEL, ["color"])
    assert batch.to("meta").coordinates.device.type == "meta"
    assert isinstance(batch.to("cpu"), Batch)
    assert same(pickle.loads(pickle.dumps(batch)), batch)


# Data set and loader -------------------------------------------------------------------------------------------------


def test_evaluation_reads_the_scene_as_it_is(folders):
    dataset = SceneDataset(folders, SCANNET200, None, seed=0)
    (batch,) = list(make_loader(dataset, Collate(VOXEL, ["color"]), 1, False, 0))[3:4]
    reference = make_scene(150 + 60, 3)
    cells = np.floor(reference.coord.numpy() / np.float32(VOXEL))
    assert np.array_equal(batch.coordinates[batch.inverse, 1:].numpy(), cells - cells.min(0))
    assert batch.scenes == ("room3",)
    assert torch.equal(dataset[3].scene.segment, reference.segment)
    assert torch.equal(
        SceneDataset(folders, label_space("scannet20"), None, seed=0)[3].scene.segment, reference.segment % 20
    )


def test_a_scene_does_not_depend_on_order_of_access(folders):
    def scenes(order, epoch, seed=0):
        dataset = SceneDataset(folders, SCANNET200, AUGMENT, seed, repeat=2)
        dataset.set_epoch(epoch)
        return {i: dataset[i].scene.coord for i in order}

    forward, backward = scenes(range(14), 1), scenes(reversed(range(14)), 1)
    assert all(torch.equal(forward[i], backward[i]) for i in range(14))
    # Another epoch, another seed and another repetition have other draws.
    for other in (scenes([0], 2)[0], scenes([0], 1, seed=1)[0], forward[7]):
        assert other.shape != forward[0].shape or not torch.equal(other, forward[0])


def epochs(folders, workers, epochs=3):
    """All batches of some epochs, with all augmentation."""
    dataset = SceneDataset(folders, SCANNET200, AUGMENT, seed=3)
    collate = Collate(VOXEL, ["color", "normal"], mix_prob=0.5, seed=3)
    loader = make_loader(dataset, collate, 2, True, workers)
    result = []
    for epoch in range(epochs):
        loader.batch_sampler.set_position(epoch)
        result.append(list(loader))
    return result


def test_batches_do_not_depend_on_the_number_of_workers(folders):
    torch.manual_seed(1)
    inline = epochs(folders, 0)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    parallel = epochs(folders, 2)
    assert torch.equal(torch.get_rng_state(), state), "loading used the global generator"
    assert [len(e) for e in inline] == [len(e) for e in parallel] == [4, 4, 4]
    assert all(same(a, b) for x, y in zip(inline, parallel, strict=True) for a, b in zip(x, y, strict=True))
    # Persistent workers follow the epoch: orders and draws differ from epoch to epoch.
    assert len({tuple(batch.scenes for batch in epoch) for epoch in parallel}) == 3
    assert any("+" in name for epoch in inline for batch in epoch for name in batch.scenes), "no pair was mixed"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_continues_like_an_uninterrupted_one(folders, workers):
    whole = epochs(folders, 0, epochs=2)
    dataset = SceneDataset(folders, SCANNET200, AUGMENT, seed=3)
    collate = Collate(VOXEL, ["color", "normal"], mix_prob=0.5, seed=3)
    loader = make_loader(dataset, collate, 2, True, workers)
    loader.batch_sampler.set_position(1, batch=2)
    rest = list(loader)
    assert len(rest) == 2
    assert all(same(a, b) for a, b in zip(rest, whole[1][2:], strict=True))
    assert len(loader) == 4, "the length is that of a whole epoch"


# Sampler -------------------------------------------------------------------------------------------------------------


def sampler(folders, repeat=1, seed=0, **options):
    return SceneSampler(SceneDataset(folders, SCANNET200, None, seed, repeat), **options)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop", [False, True])
@given(repeat=st.integers(1, 4), batch_size=st.integers(1, 5), world=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_ranks_share_an_epoch_without_overlap(shuffle, drop, repeat, batch_size, world):
    n = 7 * repeat
    assume(not drop or n >= batch_size * world)
    options = {"batch_size": batch_size, "shuffle": shuffle, "drop_last": drop, "world": world}
    samplers = [sampler(ROOMS, repeat, rank=rank, **options) for rank in range(world)]
    shares = [list(s) for s in samplers]
    assert [len(share) for share in shares] == [len(s) for s in samplers]
    seen = [index for share in shares for batch in share for index in batch]
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(range(n))
    if drop:
        assert len(seen) == n - n % (batch_size * world)
        assert {len(batch) for share in shares for batch in share} == {batch_size}
        assert len({len(share) for share in shares}) == 1
    else:
        assert len(seen) == n


def test_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch, batch=0):
        s = sampler(ROOMS, repeat=4, seed=seed, batch_size=3, shuffle=True, drop_last=False)
        s.set_position(epoch, batch)
        return list(s)

    assert order(0, 5) == order(0, 5)
    assert order(0, 5) != order(0, 6)
    assert order(0, 5) != order(1, 5)
    assert order(0, 5, batch=4) == order(0, 5)[4:]
    assert order(0, 5, batch=10) == []


def test_too_few_scenes_for_one_batch_are_refused():
    with pytest.raises(UserError, match="7 scenes do not fill one batch of 4 on each of 2"):
        sampler(ROOMS, batch_size=4, shuffle=True, drop_last=True, world=2)


# Batches by voxels ---------------------------------------------------------------------------------------------------


def capped(voxels, most, shuffle=True, world=1, rank=0, repeat=1):
    dataset = SceneDataset(["room"] * len(voxels), SCANNET200, None, 0, repeat)
    return SceneSampler(dataset, 99, shuffle, True, rank, world, VoxelCap(voxels, most))


@given(
    voxels=st.lists(st.integers(1, 50), min_size=5, max_size=40),
    most=st.integers(20, 80),
    world=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_batches_stay_below_the_cap(voxels, most, world, epoch):
    assume(sum(voxels) >= most * world)
    samplers = [capped(voxels, most, world=world, rank=rank) for rank in range(world)]
    for sampler in samplers:
        sampler.set_position(epoch)
    shares = [list(sampler) for sampler in samplers]
    assert {len(share) for share in shares} == {len(samplers[0])}, "another number of steps by rank or epoch"
    assert len(shares[0]) > 0
    for batch in (batch for share in shares for batch in share):
        assert sum(voxels[i] for i in batch) <= most or len(batch) == 1
        assert len(set(batch)) == len(batch)
    again = capped(voxels, most, world=world)
    again.set_position(epoch, 1)
    assert list(again) == shares[0][1:]


def test_capped_batches_are_filled_in_order():
    assert list(capped([4, 3, 3, 9, 12, 1], 10, shuffle=False)) == [[0, 1, 2], [3], [4], [5, 0, 1]]
    with pytest.raises(UserError, match="32 voxels do not fill one batch of 20 on each of 2"):
        capped([4, 3, 3, 9, 12, 1], 20, world=2)


def test_capped_epochs_show_the_scenes_about_equally_often():
    seen = np.zeros(40)
    sampler = capped([10] * 40, 70)
    for epoch in range(50):
        sampler.set_position(epoch)
        np.add.at(seen, np.concatenate(list(sampler)), 1)
    assert seen.min() >= 50
    assert seen.max() < 70


def test_counted_voxels_are_those_of_the_batches(folders):
    batches = list(make_loader(SceneDataset(folders, SCANNET200, None, 0), Collate(VOXEL, ["color"]), 1, False, 0))
    assert count_voxels([Piece(folder) for folder in folders], SCANNET200, VOXEL) == [len(batch) for batch in batches]


# What is read --------------------------------------------------------------------------------------------------------


def test_a_crop_while_reading_keeps_what_the_transform_keeps(folders):
    crop = T.SphereCrop(max_points=90)
    cropped = SceneDataset(folders, SCANNET200, T.CenterShift(), seed=2, crop=crop)
    whole = SceneDataset(folders, SCANNET200, None, seed=2)
    for i in range(len(folders)):
        rng = seeded_generator(2, Stream.CROP, 0, i)
        a, b = cropped[i].scene, T.center_shift(crop(whole[i].scene, rng))
        assert len(a) == 90
        assert all(torch.equal(x, b.tensors()[name]) for name, x in a.tensors().items())
    small = SceneDataset(folders, SCANNET200, None, seed=2, crop=T.SphereCrop(max_points=10**6))
    assert len(small[0].scene) == 150


def test_a_crop_reads_little_of_the_files(tmp_path):
    """Pages far from the crop are never mapped into memory."""
    count = 400_000
    coord = np.zeros((count, 3), np.float32)
    coord[:, 0] = np.linspace(0, 10, count)
    color, normal = np.zeros((count, 3), np.uint8), np.zeros((count, 3), np.float32)
    color[1], normal[1] = 255, (0, 0, 1)  # the rest need not be read to see that there are colors and normals
    arrays = {"coord": coord, "color": color, "normal": normal}
    arrays |= {name: np.zeros(count, np.int16) for name in ("segment20", "segment200", "instance")}
    write_scene(tmp_path / "scene", arrays)
    loaded = {}

    def load(path):
        loaded[path.stem] = read_npy(path)
        return loaded[path.stem]

    dataset = SceneDataset([tmp_path / "scene"], SCANNET200, None, 0, crop=T.SphereCrop(2000), load=load)
    assert len(dataset[0].scene) == 2000
    assert resident(loaded["coord"]) > 4000  # of 4700 kB
    assert resident(loaded["normal"]) < 3000


def resident(array):
    """kB of the mapped ``array`` that are in the memory of this process (Linux)."""
    start = array.__array_interface__["data"][0] // 4096 * 4096
    text = Path("/proc/self/smaps").read_text()
    block = next(b for b in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text) if int(b.split("-")[0], 16) == start)
    return int(re.search(r"^Rss:\s+(\d+) kB", block, re.MULTILINE)[1])


def test_cache_keeps_within_its_size_and_changes_nothing(folders):
    size = sum(array.stat().st_size for folder in folders[:3] for array in folder.glob("*.npy"))
    cache = ArrayCache(folders, size)
    assert 0 < len(cache) <= size
    plain = SceneDataset(folders, SCANNET200, AUGMENT, seed=1)
    cached = SceneDataset(folders, SCANNET200, AUGMENT, seed=1, load=cache)
    for _ in range(2):
        for i in range(len(folders)):
            a, b = plain[i].scene, cached[i].scene
            assert all(torch.equal(x, b.tensors()[name]) for name, x in a.tensors().items())
    assert len(ArrayCache(folders, 10)) == 0


def test_cached_scenes_are_read_once_by_all_workers(folders, tmp_path):
    copies = [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in folders[:4]]
    dataset = SceneDataset(copies, SCANNET200, None, seed=1, load=ArrayCache(copies, 10**6))
    loader = make_loader(dataset, Collate(VOXEL, ["color"]), 1, False, 2)
    first = list(loader)
    for folder in copies:
        for path in folder.glob("*.npy"):
            np.save(path, np.zeros_like(np.load(path)))
    assert all(same(a, b) for a, b in zip(first, list(loader), strict=True))


def test_a_cache_larger_than_shared_memory_is_refused(folders, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(UserError, match=r"trainer\.cache"):
        ArrayCache(folders, 10**6)
