"""Blocks of scenes that are too large to be read at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ceco3d.data.dataset import SceneDataset
from ceco3d.data.labels import label_space
from ceco3d.data.scenes import blocks as module
from ceco3d.data.scenes.blocks import FEWEST, Piece, find_blocks, find_pieces, scene_blocks
from ceco3d.data.scenes.processed import write_scene
from ceco3d.data.transforms import SphereCrop
from ceco3d.inference import Predictor, evaluate_scenes
from ceco3d.models import build_model

SPACE = label_space("scannet20")


def street(count=30_000, seed=0):
    """Points along a diagonal street, in the order of a random walk of the scanner."""
    rng = np.random.default_rng(seed)
    along = np.sort(rng.uniform(0, 100, count))
    points = np.stack([along, 0.5 * along + rng.uniform(-3, 3, count), rng.uniform(0, 2, count)], 1)
    return points.astype(np.float32)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ZONE", 512)
    coord = street()
    folder = tmp_path / "train" / "street"
    arrays = {"coord": coord, "color": np.random.default_rng(1).integers(0, 256, (len(coord), 3)).astype(np.uint8)}
    labels = (coord[:, 0] // 5).astype(np.int16) % 20
    write_scene(folder, arrays | {SPACE.array: labels, "instance": np.full(len(coord), -1, np.int16)})
    return folder


@pytest.mark.parametrize("edge", [7.0, 20.0, 1000.0])
@pytest.mark.parametrize("order", ["walk", "random"])
def test_every_point_is_in_one_core(monkeypatch, edge, order):
    monkeypatch.setattr(module, "ZONE", 512)
    coord = street()
    coord = coord if order == "walk" else np.random.default_rng(0).permutation(coord)
    blocks = find_blocks(coord, edge)
    seen = np.zeros(len(coord), int)
    for number in range(len(blocks)):
        rows = blocks.rows(coord, number, 0.0)
        core = rows[blocks.in_core(coord[rows], number)]
        assert len(core) == blocks.counts[number] > 0
        seen[core] += 1
        around = blocks.rows(coord, number, 1.0)
        low, high = blocks.corners[number] - 1, blocks.corners[number] + edge + 1
        expected = np.flatnonzero(((coord[:, :2] >= low) & (coord[:, :2] < high)).all(1))
        np.testing.assert_array_equal(around, expected)
    assert (seen == 1).all()


def test_blocks_hold_about_the_wanted_number_of_points(monkeypatch):
    monkeypatch.setattr(module, "TARGET", 2000)
    blocks = find_blocks(street())
    assert 500 < np.median(blocks.counts) < 4000


def test_small_scenes_are_read_whole(scene):
    assert find_pieces([scene]) == [Piece(scene)]
    assert scene_blocks(scene.with_name("missing"), 5.0) is None


def test_large_scenes_are_cut(scene, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 10_000)
    monkeypatch.setattr(module, "TARGET", 3000)
    pieces = find_pieces([scene])
    assert len(pieces) > 5
    assert all(piece.blocks.counts[piece.number] >= FEWEST for piece in pieces)


def test_blocks_train_like_scenes(scene):
    pieces = find_pieces([scene], 20.0)
    dataset = SceneDataset(pieces, SPACE, None, seed=0)
    assert len(dataset) == len(pieces) > 3
    whole = SceneDataset([scene], SPACE)[0].scene
    for number, piece in enumerate(pieces):
        rows = torch.from_numpy(piece.chosen(whole.coord.numpy()))
        part = dataset[number].scene
        for name, tensor in part.tensors().items():
            if name != "normal":
                assert torch.equal(tensor, whole.select(rows).tensors()[name])
    cropped = SceneDataset(pieces, SPACE, crop=SphereCrop(100), features=["color"])
    assert len(cropped[0].scene) == 100


def test_scores_of_a_large_scene_are_those_of_the_whole(scene, monkeypatch):
    torch.manual_seed(0)
    model = build_model("MinkUNet14A", in_channels=3, out_channels=len(SPACE), stem_kernel=3)
    predictor = Predictor(model, ["color"], 0.5)
    whole = evaluate_scenes(predictor, [scene], SPACE)
    monkeypatch.setattr(module, "LARGE", 10_000)
    monkeypatch.setattr(module, "OVERLAP", 2.0)  # more than the network sees
    monkeypatch.setattr(module, "TARGET", 6000)
    module._scene_blocks.cache_clear()
    parts = evaluate_scenes(predictor, [scene], SPACE)
    assert parts.counts.sum() == whole.counts.sum() == 30_000
    assert (parts.counts - whole.counts).abs().sum() / 2 < 0.1 * 30_000  # grids of voxels start elsewhere
