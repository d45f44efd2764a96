"""Batches one step ahead: their order, errors at their turn, and the same ones wherever they are made."""

import re

import pytest
import torch
from torch.utils.data import DataLoader

from ceco3d.data import dataset as scenes
from ceco3d.models import build_model
from ceco3d.preprocessing.datasets import processed_scenes
from ceco3d.training import batches as making
from ceco3d.training.batches import training_batches
from ceco3d.training.prefetcher import Prefetcher
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of

CPU = torch.device("cpu")


class Numbers(torch.utils.data.Dataset):
    """0, 1, 2, ...; reading number ``broken`` fails."""

    sources = 10

    def __init__(self, broken=None):
        self.broken, self.read = broken, []

    def __getitem__(self, index):
        if index == self.broken:
            raise UserError(f"{index} is broken")
        self.read.append(index)
        return index


class Order(torch.utils.data.Sampler):
    """Batches of one number from the position on."""

    def set_position(self, epoch, batch):
        self.position = batch

    def __iter__(self):
        return iter([[index] for index in range(self.position, 10)])

    def __len__(self):
        return 10


def feed_of(dataset, parts=1):
    loader = DataLoader(dataset, batch_sampler=Order(), collate_fn=lambda items: items[0])
    return Prefetcher(loader, lambda item: 10 * item, CPU, parts)


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize(
    ("parts", "first", "steps"), [(1, 7, [[71], [81], [91]]), (3, 1, [[31, 41, 51], [61, 71, 81]])]
)
def test_steps_from_any_position(parts, first, steps, ahead):
    feed = feed_of(Numbers(), parts)
    found = []
    for batches in feed.steps(0, first, lambda item: item + 1):
        found.append(batches)
        if ahead:
            feed.look_ahead()
            feed.look_ahead()
    assert found == steps
    assert len(feed) == 10 // parts


def test_the_next_step_is_read_when_it_is_looked_for():
    dataset = Numbers()
    feed = feed_of(dataset)
    steps = feed.steps(0, 0, lambda item: item)
    next(steps)
    assert dataset.read == [0]
    feed.look_ahead()
    assert dataset.read == [0, 1]
    assert next(steps) == [10]
    assert dataset.read == [0, 1]


def test_an_error_waits_for_its_turn():
    feed = feed_of(Numbers(broken=1))
    steps = feed.steps(0, 0, lambda item: item)
    next(steps)
    feed.look_ahead()  # the step of batch 0 is still to be finished
    with pytest.raises(UserError, match="1 is broken"):
        next(steps)


def batches_of(cfg, epochs=1):
    folders = processed_scenes(cfg.dataset, ("train",), 1)["train"]
    model = build_model("MinkUNet14A", 9, 20, stem_kernel=3)
    feed = training_batches(cfg, folders, CPU)
    epochs = (feed.steps(1 + epoch, 0, lambda batch: batch.prepared(model.build_maps)) for epoch in range(epochs))
    return [batch for steps in epochs for step in steps for batch in step]


@pytest.mark.parametrize("transforms", ["pointcept", "modern", "lground", "light"])
def test_batches_do_not_depend_on_where_they_are_made(tiny, transforms):
    keys = [*tiny, f"transforms={transforms}", "voxel_size=0.25", "trainer.batch_size=4", "trainer.accumulate=2"]
    keys += ["trainer.workers=1", "transforms.mix_prob=0.5"]
    keys += ["+transforms.crop={_target_: ceco3d.data.transforms.SphereCrop, rate: 0.9}"]
    in_loader, on_device = (
        batches_of(settings_of("train", *keys, f"trainer.augment_on={where}")) for where in ("loader", "device")
    )
    assert len(in_loader) == len(on_device) > 1
    for a, b in zip(in_loader, on_device, strict=True):
        assert a.scenes == b.scenes
        assert all(torch.equal(value, b.tensors()[name]) for name, value in a.tensors().items())


@pytest.mark.parametrize("transforms", ["pointcept", "modern"])
def test_scenes_kept_on_the_device_are_read_once_and_give_the_same_batches(tiny, transforms, monkeypatch):
    read, original = [], scenes.read_scene
    monkeypatch.setattr(scenes, "read_scene", lambda folder, *rest: read.append(folder) or original(folder, *rest))
    keys = [*tiny, f"transforms={transforms}", "voxel_size=0.25", "trainer.batch_size=4", "trainer.workers=2"]
    keys += ["features=[coord,color,normal,height]", "trainer.repeat=2"]
    kept, plain = (
        batches_of(settings_of("train", *keys, *more), epochs=2)
        for more in (["trainer.cache=device"], ["trainer.augment_on=loader"])
    )
    assert len(read) == len(set(read)) > 4  # the other run reads in its loader processes
    assert len(kept) == len(plain) > 4
    for a, b in zip(kept, plain, strict=True):
        assert a.scenes == b.scenes
        assert all(torch.equal(value, b.tensors()[name]) for name, value in a.tensors().items())


def test_scenes_that_would_fill_the_device_are_read_each_time(tiny, monkeypatch, capsys):
    monkeypatch.setattr(making, "device_bytes", lambda device: 1_000_000)
    cfg = settings_of("train", *tiny, "voxel_size=0.25", "trainer.batch_size=4", "trainer.cache=device")
    feed = training_batches(cfg, processed_scenes(cfg.dataset, ("train",), 1)["train"], CPU)
    assert feed.loader.dataset.kept is None
    warning = r"trainer\.cache=device: \d+ scenes, about [\d.]+ GB, are more than 25% of the 0 GB of cpu: they are read"
    assert re.search(warning, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("trainer.augment_on=loader", "the scenes are on the device; set trainer.augment_on=auto or device"),
        (
            "+transforms.crop={_target_: ceco3d.data.transforms.SphereCrop, rate: 0.9}",
            "keeps whole scenes, but transforms.crop reads parts",
        ),
    ],
)
def test_what_keeps_scenes_off_the_device_is_named(tiny, key, message):
    with pytest.raises(UserError, match=rf"trainer\.cache=device: {message}"):
        batches_of(settings_of("train", *tiny, "trainer.cache=device", key))


def test_prepared_batches_have_all_maps(tiny):
    (batch, *_) = batches_of(settings_of("train", *tiny, "voxel_size=0.25", "trainer.batch_size=4"))
    made = dict(batch.sparse().manager._maps)
    assert batch.sparse() is batch.ready
    build_model("MinkUNet14A", 9, 20, stem_kernel=3)(batch.sparse())
    assert batch.sparse().manager._maps == made


def test_another_place_is_refused(tiny):
    with pytest.raises(UserError, match=r"trainer\.augment_on=moon: choose auto, loader or device"):
        batches_of(settings_of("train", *tiny, "trainer.augment_on=moon"))
