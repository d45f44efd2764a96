"""Voxels of training batches: crops after voxelization, grids without an offset, and Mix3D by the corners of grids."""

import numpy as np
import pytest
import torch

from ceco3d.data.batch import make_batch, point_features
from ceco3d.data.collate import Collate
from ceco3d.data.dataset import Sample
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import SphereCrop
from ceco3d.data.transforms.voxelize import voxelize
from ceco3d.losses import PointLoss, SegmentationLoss
from ceco3d.models import build_model
from ceco3d.training.objective import Objective

VOXEL = 0.1
FEATURES = ["coord", "rgb", "normal"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_scene(n=500, seed=0):
    rng = generator(seed)
    return Scene(
        name=f"room{seed}",
        coord=torch.rand(n, 3, generator=rng) * torch.tensor([1.5, 1.2, 0.8]) + seed,
        color=torch.rand(n, 3, generator=rng) * 255,
        normal=torch.nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=1),
        segment=torch.randint(-1, 5, (n,), generator=rng),
        instance=torch.full((n,), -1),
    )


def batch_of(scenes, **options):
    return make_batch(scenes, VOXEL, FEATURES, [generator(i) for i in range(len(scenes))], **options)


def test_rgb_is_color_between_0_and_1():
    scene = make_scene()
    torch.testing.assert_close(point_features(scene, ["rgb"]), scene.color / 255)
    torch.testing.assert_close(point_features(scene, ["rgb"]), point_features(scene, ["color"]) + 0.5)


def test_a_grid_without_an_offset_starts_at_the_corner_of_the_scene():
    batch = batch_of([make_scene(seed=1), make_scene(seed=2)], offset=0)
    for number in (0, 1):
        assert batch.coordinates[batch.coordinates[:, 0] == number, 1:].amin(0).tolist() == [0, 0, 0]


def test_a_crop_keeps_a_share_of_the_voxels_around_one_of_them():
    scene = make_scene(3000)
    voxels = voxelize(scene.coord, VOXEL, generator(0))
    batch = batch_of([scene], offset=0, crop=SphereCrop(rate=(0.3, 0.3)))
    assert len(batch) == int(0.3 * len(voxels))
    kept = batch.inverse >= 0
    cell = np.floor(scene.coord.numpy() / np.float32(VOXEL)).astype(int)
    np.testing.assert_array_equal(batch.coordinates[batch.inverse[kept], 1:].numpy(), (cell - cell.min(0))[kept])
    assert set(batch.inverse[kept].tolist()) == set(range(len(batch)))
    # The voxels kept are those nearest to one of their points; the grid starts where that of the whole scene does.
    inside = {tuple(row) for row in batch.coordinates[:, 1:].tolist()}
    points = scene.coord[voxels.index]
    mine = torch.tensor([tuple(row) in inside for row in voxels.coord.tolist()])
    reach = torch.cdist(points, points[mine])
    assert any(reach[mine, k].max() < reach[~mine, k].min() for k in range(int(mine.sum())))


def test_corners_meet_and_both_labels_count():
    scenes = [make_scene(seed=seed) for seed in range(5)]
    apart, batch = batch_of(scenes, offset=0), batch_of(scenes, offset=0, paired=True)
    assert batch.scenes == ("room0+room1", "room2+room3", "room4")
    assert len(torch.unique(batch.coordinates, dim=0)) == len(batch) < len(apart)
    assert torch.equal(batch.labels, apart.labels)
    # Every voxel of every scene is where it was, in the batch item of its pair.
    wanted = apart.coordinates.clone()
    wanted[:, 0] = apart.coordinates[:, 0] // 2
    assert torch.equal(batch.coordinates[batch.rows], wanted)
    assert torch.equal(batch.coordinates[batch.inverse], wanted[apart.inverse])
    for row in range(len(batch)):
        torch.testing.assert_close(batch.features[row], apart.features[batch.rows == row].mean(0))


def test_a_pair_shares_its_offset():
    batch = batch_of([make_scene(seed=1), make_scene(seed=2)], paired=True)
    low = batch.coordinates[batch.rows, 1:]
    count = len(voxelize(make_scene(seed=1).coord, VOXEL))
    assert torch.equal(low[:count].amin(0), low[count:].amin(0))
    assert low.amin(0).max() > 0


@pytest.mark.parametrize("mix", ["centers", "corners"])
def test_the_batch_decides_whether_its_pairs_are_mixed(mix):
    collate = Collate(VOXEL, FEATURES, 0.5, 3, mix=mix)
    samples = [[Sample(make_scene(50, seed), epoch, seed) for seed in range(4)] for epoch in range(60)]
    mixed = [len(collate(scenes).scenes) == 2 for scenes in samples]
    assert 0.3 < np.mean(mixed) < 0.7
    assert mixed == [len(Collate(VOXEL, FEATURES, 0.5, 3, mix="centers")(scenes).scenes) == 2 for scenes in samples]


def test_the_loss_is_that_of_all_labels():
    """As of TensorField.slice: each label is compared with the prediction of its voxel."""
    torch.manual_seed(0)
    model = build_model("MinkUNet14A", 9, 5, 3)
    batch = batch_of([make_scene(seed=1), make_scene(seed=2)], paired=True)
    losses = Objective(model, SegmentationLoss(PointLoss(5)))(batch)
    logits = model(batch.sparse()).features[batch.rows]
    wanted = torch.nn.functional.cross_entropy(logits, batch.labels, ignore_index=-1)
    torch.testing.assert_close(losses["loss"], wanted)
