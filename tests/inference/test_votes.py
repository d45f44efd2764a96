"""Votes over segments, over-segmentations and ensembles, against loops and single networks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ceco3d.data.labels import label_space
from ceco3d.data.scenes.blocks import _scene_blocks
from ceco3d.data.scenes.processed import write_scene
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import voxelize
from ceco3d.inference import Predictor, View, predict_in_chunks
from ceco3d.inference.chunks import receptive_field
from ceco3d.inference.ensemble import Ensemble, load_networks
from ceco3d.inference.evaluation import label_points
from ceco3d.inference.oversegment import merge, neighbor_edges, oversegment
from ceco3d.inference.segments import Segments
from ceco3d.inference.votes import SegmentVotes
from ceco3d.models import build_model
from ceco3d.utils.errors import UserError
from tests.helpers.raw_scene import grid, ply_bytes

SPACE = label_space("scannet20")


def predictor(seed=0, features=("color",), voxel_size=0.1, **options):
    torch.manual_seed(seed)
    model = build_model("MinkUNet14A", in_channels=3 * len(features), out_channels=20, stem_kernel=3)
    return Predictor(model, features, voxel_size, **options)


def room(count=600, seed=0):
    rng = torch.Generator().manual_seed(seed)
    coord = torch.rand(count, 3, generator=rng) * torch.tensor([2.0, 2.0, 1.0])
    normal = torch.nn.functional.normalize(torch.randn(count, 3, generator=rng), dim=1)
    none = torch.full((count,), -1)
    return Scene("room", coord, 255 * torch.rand(count, 3, generator=rng), normal, none, none)


def shares_of(network, scene):
    """(N, K) probabilities of every point."""
    found = []
    network.predict(scene, count=lambda shares, row: found.append(shares[row]))
    return found[0]


# --- votes ---


@pytest.mark.parametrize("parts", [1, 3])
def test_a_segment_gets_the_class_with_the_largest_sum(parts):
    rng = torch.Generator().manual_seed(0)
    shares, row = torch.rand(30, 5, generator=rng).softmax(1), torch.randint(0, 30, (200,), generator=rng)
    segments = torch.randint(0, 12, (200,), generator=rng).numpy() * 1000 - 7
    votes = SegmentVotes(segments)
    for points in torch.randperm(200, generator=rng).chunk(parts):
        votes.add(points, shares, row[points])
    labels, confidence = votes.result()
    for segment in set(segments.tolist()):
        mean = shares[row[segments == segment]].mean(0)
        assert set(labels[segments == segment].tolist()) == {int(mean.argmax())}
        torch.testing.assert_close(confidence[segments == segment], mean.max().expand(int((segments == segment).sum())))


def test_segments_of_one_point_change_nothing():
    scene, network = room(), predictor()
    votes = SegmentVotes(np.arange(len(scene)))
    labels, confidence = network.predict(scene, count=lambda *found: votes.add(torch.arange(len(scene)), *found))
    assert torch.equal(votes.result()[0], labels)
    torch.testing.assert_close(votes.result()[1], confidence)


def test_votes_of_chunks_are_those_of_the_whole():
    scene, network = room(1500), predictor(views=[View(), View(90.0)], fragments=2)
    voxels, segments = voxelize(scene.coord, 0.1), np.arange(1500) // 100
    whole = SegmentVotes(segments)
    network.predict(scene, count=lambda *found: whole.add(torch.arange(1500), *found))
    chunked = SegmentVotes(segments)
    labels, confidence = predict_in_chunks(network, scene, voxels, 500, receptive_field(network), chunked)
    assert labels.dtype == torch.int16
    assert torch.equal(labels.long(), whole.result()[0])
    torch.testing.assert_close(confidence, whole.result()[1], rtol=1e-4, atol=1e-6)


def test_nothing_added_is_an_error():
    with pytest.raises(ValueError, match="no points"):
        SegmentVotes(np.zeros(3, np.int64)).result()


# --- over-segmentation ---


def naive(edges, weight, count, threshold, fewest):
    """The algorithm with sets."""
    segment = {point: frozenset([point]) for point in range(count)}
    heaviest = dict.fromkeys(segment.values(), 0.0)
    order = sorted(range(len(edges)), key=lambda i: weight[i])
    for small in (False, True):
        for i in order:
            a, b = segment[edges[i][0]], segment[edges[i][1]]
            fits = weight[i] <= min(heaviest[a] + threshold / len(a), heaviest[b] + threshold / len(b))
            if a != b and (min(len(a), len(b)) < fewest if small else fits):
                heaviest[a | b] = weight[i]
                segment.update(dict.fromkeys(a | b, a | b))
    return [min(segment[point]) for point in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_segments_are_those_of_a_naive_version(seed):
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, 60, (60, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    weight = rng.random(len(edges)) ** 3
    found = merge(edges, weight, 60, 0.1, 4)
    expected = naive(edges.tolist(), weight.tolist(), 60, 0.1, 4)
    np.testing.assert_array_equal(found, np.unique(expected, return_inverse=True)[1])
    assert 1 < found.max() < 59


def corner():
    """A floor and a wall that meet in a line, as one mesh of 2 x 20 x 20 vertices."""
    vertices, faces = grid(20, 40, 0.1)
    vertices[:, 2] = 0
    wall = vertices[:, 1] > 1.95
    vertices[wall, 2], vertices[wall, 1] = vertices[wall, 1] - 1.95, 1.95
    return vertices, faces, wall


@pytest.mark.parametrize("meshed", [True, False])
def test_a_floor_and_a_wall_are_two_segments(meshed):
    vertices, faces, wall = corner()
    found = oversegment(vertices, faces if meshed else None)
    inside = np.abs(vertices[:, 1] - 1.95) + np.abs(vertices[:, 2]) > 0.5  # normals at the edge are between
    floor, side = set(found[inside & ~wall].tolist()), set(found[inside & wall].tolist())
    assert len(floor) == len(side) == 1
    assert floor != side


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_points_are_one_segment(count):
    assert oversegment(np.random.default_rng(0).random((count, 3)).astype(np.float32)).tolist() == [0] * count


def test_neighbors_are_pairs_once():
    edges = neighbor_edges(np.random.default_rng(0).random((50, 3)))
    assert (edges[:, 0] < edges[:, 1]).all()
    assert len({tuple(edge) for edge in edges.tolist()}) == len(edges)


@pytest.fixture
def processed(tmp_path):
    """A processed scene, and its raw scene with a mesh and a segs.json of stripes."""
    vertices, faces, _ = corner()
    folder, raw = tmp_path / "processed/val/room", tmp_path / "scans/room"
    raw.mkdir(parents=True)
    (raw / "room_vh_clean_2.ply").write_bytes(ply_bytes(vertices, faces))
    stripes = (np.arange(len(vertices)) % 3 * 10).tolist()
    (raw / "room_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": stripes}))
    color = np.random.default_rng(0).integers(0, 255, (len(vertices), 3)).astype(np.uint8)
    write_scene(folder, {"coord": vertices, "color": color, "segment20": np.zeros(len(vertices), np.int16)})
    return folder, raw.parent, np.array(stripes), vertices, faces


def test_segments_come_from_the_file_then_the_mesh_then_the_points(processed):
    folder, raw, stripes, vertices, faces = processed
    np.testing.assert_array_equal(Segments("segments", raw)(folder, SPACE), stripes)
    meshed = oversegment(vertices, faces)
    np.testing.assert_array_equal(Segments("made", raw)(folder, SPACE), meshed)
    (raw / "room/room_vh_clean_2.0.010000.segs.json").unlink()
    np.testing.assert_array_equal(Segments("segments", raw)(folder, SPACE), meshed)
    assert len(np.unique(Segments("segments")(folder, SPACE))) > 1


def test_damaged_segments_are_one_line(processed):
    folder, raw, *_ = processed
    (raw / "room/room_vh_clean_2.0.010000.segs.json").write_text('{"segIndices": [1, 2]}')
    with pytest.raises(UserError, match="2 entries for 800 vertices"):
        Segments("segments", raw)(folder, SPACE)


def test_blocks_of_a_large_scene_vote_together(processed, monkeypatch):
    folder, raw, stripes, *_ = processed
    whole = label_points(predictor(voxel_size=0.3), folder, SPACE, segments=Segments("segments", raw))
    assert all(len(set(whole[1][stripes == stripe].tolist())) == 1 for stripe in (0, 10, 20))
    monkeypatch.setattr("ceco3d.data.scenes.blocks.LARGE", 100)
    monkeypatch.setattr("ceco3d.data.scenes.blocks.TARGET", 300)
    _scene_blocks.cache_clear()
    _, labels, _ = label_points(predictor(voxel_size=0.3), folder, SPACE, segments=Segments("segments", raw))
    assert all(len(set(labels[stripes == stripe].tolist())) == 1 for stripe in (0, 10, 20))
    _scene_blocks.cache_clear()


# --- ensembles ---


def test_an_ensemble_has_the_mean_probabilities_of_different_networks():
    scene = room()
    members = [
        predictor(0),
        predictor(1, ["normal", "color"], 0.25, fragments=2),
        predictor(2, views=[View(), View(45.0)]),
    ]
    both = Ensemble(members)
    assert (both.voxel_size, both.features, both.coarsest) == (0.1, ["color", "normal"], 2.5)
    expected = sum(shares_of(member, scene) for member in members) / 3
    torch.testing.assert_close(shares_of(both, scene), expected, rtol=1e-5, atol=1e-7)
    labels, confidence = both.predict(scene)
    torch.testing.assert_close(confidence, expected.max(1).values, rtol=1e-5, atol=1e-7)
    assert not torch.equal(labels, members[0].predict(scene)[0])


def test_the_same_network_twice_changes_nothing():
    scene, network = room(), predictor(fragments=2)
    for ours, expected in zip(Ensemble([network, network]).predict(scene), network.predict(scene), strict=True):
        torch.testing.assert_close(ours, expected)


def test_other_passes_reach_all_members():
    both = Ensemble([predictor(0), predictor(1)]).with_passes([View(90.0)], 3)
    assert [(member.views, member.fragments) for member in both.members] == [([View(90.0)], 3)] * 2
    assert both.fragments == 3


def test_chunks_of_an_ensemble_have_no_seams():
    rng = torch.Generator().manual_seed(0)
    scene = room(4000)
    scene = scene.replace(coord=scene.coord * torch.tensor([20.0, 0.2, 0.2]) + torch.rand(1, 3, generator=rng))
    both = Ensemble([predictor(0, voxel_size=0.1), predictor(1, voxel_size=0.2)])
    assert receptive_field(both) == 2 * receptive_field(both.members[1])
    labels, expected = both.predict(scene)
    voxels = voxelize(scene.coord, both.voxel_size)
    chunked, confidence = predict_in_chunks(both, scene, voxels, 1000, receptive_field(both))
    torch.testing.assert_close(confidence, expected, rtol=1e-4, atol=1e-6)
    assert (chunked == labels).float().mean() > 0.999


def save(path, space, classes, name="MinkUNet14A"):
    model = build_model(name, in_channels=3, out_channels=classes, stem_kernel=3)
    arguments = {"name": name, "in_channels": 3, "out_channels": classes, "stem_kernel": 3}
    setup = {"model": arguments, "label_space": space, "features": ["color"], "voxel_size": 0.1}
    torch.save({"setup": setup, "model": model.state_dict()}, path)
    return path


def test_checkpoints_of_other_classes_are_one_line(tmp_path):
    one, other = save(tmp_path / "a.pt", "scannet20", 20), save(tmp_path / "b.pt", "scannet200", 200)
    with pytest.raises(UserError, match=r"b\.pt predicts 200 classes of scannet200, but .*a\.pt 20 of scannet20"):
        load_networks([one, other])
    with pytest.raises(UserError, match="name a checkpoint"):
        load_networks([])


def test_checkpoints_of_other_networks_are_summed(tmp_path):
    paths = [save(tmp_path / "a.pt", "scannet20", 20), save(tmp_path / "b.pt", "scannet20", 20, "MinkUNet18A")]
    network, space = load_networks(paths, "cpu", (View(),), torch.float32, None, None, None, 2)
    assert (space.name, len(network.members), network.fragments) == ("scannet20", 2, 2)
    assert type(load_networks(paths[:1])[0]) is Predictor
    with pytest.raises(UserError, match="no logits in common"):
        network.voxel_logits(room())
