"""Scenes of several data sets: shares, order, joint indices, and the label spaces in checkpoints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from ceco3d.data import JointDataset, PartTransforms, SceneDataset
from ceco3d.data.joint import draws_per_epoch
from ceco3d.data.labels import is_joint, label_blocks, label_space, restored_blocks, stored_blocks, stored_space
from ceco3d.data.sampler import SceneSampler
from ceco3d.data.scenes.processed import list_scenes
from tests.helpers.extensions import Planes
from tests.helpers.label_spaces import Levels, numbered

COUNTS = {"planes": 6, "levels": 4}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, list[Path]]:
    root = tmp_path_factory.mktemp("joint")
    found = {}
    for kind, (name, count) in zip((Planes, Levels), COUNTS.items(), strict=True):
        kind(name, root / name, count).preprocess(["train"], 1)
        found[name] = list_scenes(root / name, "train")
    return found


BLOCKS = label_blocks({"planes": label_space("scannet200"), "levels": numbered(3, name="level")})


def joint(folders, shares=(0.6, 0.4), **options) -> JointDataset:
    parts = [SceneDataset(folders[block.name], block.space, seed=3) for block in BLOCKS]
    return JointDataset(parts, BLOCKS, shares, seed=3, **options)


@pytest.mark.parametrize(
    ("scenes", "shares", "draws"),
    [((6, 4), (0.6, 0.4), [6, 4]), ((6, 4), (0.5, 0.5), [6, 6]), ((10, 10, 1), (0.25, 0.25, 0.5), [10, 10, 20])],
)
def test_an_epoch_is_the_shortest_with_every_scene_that_keeps_to_the_shares(scenes, shares, draws):
    assert draws_per_epoch(scenes, shares) == draws


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.75, 0.25), (0.2, 0.8)])
@pytest.mark.parametrize("size", [4, 10])
def test_every_batch_has_the_shares(folders, shares, size):
    dataset = joint(folders, shares, repeat=3)
    sampler = SceneSampler(dataset, size, shuffle=True, drop_last=True)
    for epoch in range(2):
        sampler.set_position(epoch)
        batches = list(sampler)
        for batch in batches:
            first = sum(dataset.part_of(index)[0] == 0 for index in batch)
            assert abs(first - shares[0] * size) <= 1
        assert len({index for batch in batches for index in batch}) == len(batches) * size


def test_scenes_take_turns_over_the_epochs(folders):
    dataset = joint(folders, (0.5, 0.5))
    total: Counter[tuple[int, int]] = Counter()
    for epoch in range(4):
        dataset.set_epoch(epoch)
        drawn = Counter(map(dataset.part_of, range(len(dataset))))
        assert len(drawn) == sum(COUNTS.values())
        total += drawn
    assert {part: {count for (own, _), count in total.items() if own == part} for part in (0, 1)} == {0: {4}, 1: {6}}


def test_the_order_depends_on_seed_and_epoch_alone_and_resumes(folders):
    samplers = [SceneSampler(joint(folders), 2, shuffle=True, drop_last=True) for _ in range(2)]
    orders = []
    for epoch in range(3):
        for sampler in samplers:
            sampler.set_position(epoch)
        orders.append(list(samplers[0]))
        samplers[1].set_position(epoch, 2)
        assert list(samplers[1]) == orders[-1][2:]
    assert orders[0] != orders[1] != orders[2]


def test_labels_are_joint_indices_and_draws_those_of_the_joint_position(folders):
    keys = []

    def remember(scene, rng):
        keys.append(int(torch.randint(2**40, (), generator=rng)))
        assert set(scene.segment.tolist()) in ({0, 2}, {0, 1})  # in the label space of the part
        return scene

    dataset = joint(folders, transforms=PartTransforms(BLOCKS, [remember, remember]))
    for index in range(len(dataset)):
        sample = dataset[index]
        start = BLOCKS[dataset.part_of(index)[0]].start
        assert set(sample.scene.segment.tolist()) == ({0, 2} if start == 0 else {200, 201})
        assert (sample.index, sample.epoch) == (index, 0)
    assert len(set(keys)) == len(dataset)


def test_an_unreadable_scene_is_replaced_by_one_of_its_part(folders, tmp_path):
    broken = joint({**folders, "levels": [tmp_path / "gone", *folders["levels"][1:]]})
    samples = [broken[index] for index in range(len(broken))]
    assert [failure[0] for sample in samples for failure in sample.failed] == ["gone"]
    assert Counter(int(sample.scene.segment.max()) for sample in samples) == {2: 6, 201: 4}


def test_blocks_are_stored_and_restored():
    stored = stored_blocks(BLOCKS)
    assert is_joint(stored)
    assert not is_joint(stored_space(BLOCKS[0].space))
    assert not is_joint(stored_space(BLOCKS[1].space))
    for block, found in zip(BLOCKS, restored_blocks(stored), strict=True):
        assert (found.name, found.start) == (block.name, block.start)
        assert found.space.same_classes(block.space)
    labels = torch.tensor([-1, 0, 2])
    assert BLOCKS[1].joint(labels).tolist() == [-1, 200, 202]
    assert BLOCKS[1].own(torch.tensor([-1, 0, 199, 200, 202, 203])).tolist() == [-1, -1, -1, 0, 2, -1]


@pytest.mark.parametrize("name", ["", "../up", "a.b", "two words", "x" * 80])
def test_names_that_are_no_folders_are_refused(name):
    with pytest.raises(ValueError, match="not the name of a part"):
        label_blocks({name: numbered(2)})
