"""Rooms without end: each epoch after the first trains on others."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ceco3d.data.dataset import SceneDataset
from ceco3d.data.labels import label_space
from ceco3d.data.scenes.device_cache import DeviceCache
from ceco3d.preprocessing.datasets import processed_scenes
from ceco3d.preprocessing.endless import EndlessRooms
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of

ARRAYS = ("coord", "color", "normal", "segment20", "segment200", "instance")
SPACE = label_space("scannet200")


def read(rooms, epoch, index):
    load = rooms(epoch, index)
    return {name: load(Path(f"anywhere/{name}.npy")) for name in ARRAYS}


def same(one, other):
    return len(one["coord"]) == len(other["coord"]) and all(np.array_equal(one[name], other[name]) for name in ARRAYS)


@pytest.fixture(scope="module")
def rooms():
    return EndlessRooms(5000, seed=3, style="plain", align=True)


def test_epoch_index_and_seed_decide_a_room(rooms):
    first = read(rooms, 1, 0)
    assert same(first, read(EndlessRooms(5000, seed=3, style="plain", align=True), 1, 0))
    for other in (read(rooms, 2, 0), read(rooms, 1, 1), read(EndlessRooms(5000, 4, "plain", True), 1, 0)):
        assert not same(first, other)
    assert (first["segment200"] >= 0).mean() > 0.5
    assert abs(first["coord"][:, 2].min()) < 0.3  # aligned: the floor is at 0


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_set_has_the_scenes_on_disk_first_and_then_others(tiny, rooms, workers):
    settings = settings_of("train", *tiny)
    folders = processed_scenes(settings.dataset, ("train",), 1)["train"][:2]
    dataset = SceneDataset(folders, SPACE, renew=rooms)
    on_disk = SceneDataset(folders, SPACE)
    for epoch in range(3):
        dataset.set_epoch(epoch)
        loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers)
        for index, sample in enumerate(loader):
            scene = on_disk[index].scene
            if epoch:
                assert torch.equal(sample.scene.coord, torch.from_numpy(read(rooms, epoch, index)["coord"]))
            else:
                assert torch.equal(sample.scene.coord, scene.coord)


def test_scenes_that_are_kept_cannot_be_renewed(tmp_path, rooms):
    with pytest.raises(ValueError, match="not both"):
        SceneDataset([tmp_path], SPACE, kept=DeviceCache(torch.device("cpu")), renew=rooms)


@pytest.mark.parametrize("command", ["train", "pretrain"])
@pytest.mark.parametrize("key", ["trainer.cache=1", "trainer.batch_voxels=1000"])
def test_what_needs_the_same_rooms_again_is_an_error(run_command, tiny, tmp_path, command, key):
    arguments = (*tiny, "model=minkunet14a", "dataset.endless=true", key, f"run_dir={tmp_path / 'run'}")
    outcome = run_command(command, *arguments)
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1].startswith("error: dataset.endless: "), outcome.err


def test_rooms_whose_objects_are_counted_have_an_end():
    settings = settings_of("train", "dataset=rooms200_lt", "dataset.size=tiny", "dataset.endless=true")
    with pytest.raises(UserError, match="fixed number"):
        settings.dataset.rooms()
