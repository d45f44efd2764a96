"""Fragments: every point as the representative of its own voxel, in every view, against a slow reference."""

from collections import defaultdict

import pytest
import torch

from ceco3d.data.batch import point_features
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import voxelize
from ceco3d.inference import Predictor, View
from ceco3d.inference.chunks import predict_in_chunks, receptive_field, split_into_boxes
from ceco3d.inference.fragments import make_fragments
from ceco3d.models import build_model
from ceco3d.sparse import SparseTensor

FEATURES = ["coord", "color", "normal"]
VOXEL = 0.1
VIEWS = [View(), View(45.0, "x", 0.95)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return build_model("MinkUNet14A", in_channels=9, out_channels=20, stem_kernel=5).eval()


def corridor(length, seed=0):
    """A scene of ``length`` x 0.3 x 0.1 m, about one and a half points per voxel."""
    rng = torch.Generator().manual_seed(seed)
    count = int(length * 40)
    coord = torch.rand(count, 3, generator=rng) * torch.tensor([length, 0.3, 0.1])
    color, normal = 255 * torch.rand(count, 3, generator=rng), torch.randn(count, 3, generator=rng)
    none = torch.full((count,), -1)
    return Scene("corridor", coord, color, normal, none, none)


def reference(model, scene, views):
    """Pointcept's procedure, voxel by voxel in dictionaries: the sum of the softmax over all passes of all views."""
    total = torch.zeros(len(scene), 20)
    for view in views:
        seen = view(scene)
        cells = torch.floor(seen.coord / torch.tensor(VOXEL)).int()
        members = defaultdict(list)
        for point, cell in enumerate(cells.tolist()):
            members[tuple(cell)].append(point)
        coordinates = torch.tensor([[0, *cell] for cell in members]) - torch.tensor([0, *cells.amin(0).tolist()])
        for number in range(max(map(len, members.values()))):
            chosen = torch.tensor([points[number % len(points)] for points in members.values()])
            with torch.inference_mode():
                x = SparseTensor(point_features(seen, FEATURES, chosen), coordinates)
                total[chosen] += model.final(model.forward_features(x)).features.softmax(1)
    return total


@pytest.mark.parametrize("views", [VIEWS[:1], VIEWS])
def test_every_point_is_predicted_as_its_voxels_representative(model, views):
    scene = corridor(3)
    total = reference(model, scene, views)
    expected = total / total.sum(1, keepdim=True)
    labels, confidence = Predictor(model, FEATURES, VOXEL, "cpu", views, fragments=None).predict(scene)
    torch.testing.assert_close(confidence, expected.amax(1), rtol=1e-4, atol=1e-6)
    assert (labels == expected.argmax(1)).all()
    _, copied = Predictor(model, FEATURES, VOXEL, "cpu", views).predict(scene)
    assert (confidence - copied).abs().max() > 1e-5


def test_as_many_passes_as_the_fullest_voxel_has_points_are_all(model):
    scene = corridor(2)
    most = int(torch.bincount(voxelize(VIEWS[0](scene).coord, VOXEL).inverse).max())
    everything = Predictor(model, FEATURES, VOXEL, fragments=None).predict(scene)
    same = Predictor(model, FEATURES, VOXEL, fragments=most).predict(scene)
    fewer = Predictor(model, FEATURES, VOXEL, fragments=most - 1).predict(scene)
    assert torch.equal(everything[1], same[1])
    assert not torch.equal(everything[1], fewer[1])


@pytest.mark.parametrize("most", [1, 2, 3, None])
def test_each_pass_takes_the_next_point_of_every_voxel(most):
    voxel = torch.tensor([2, 0, 2, 1, 2, 0])
    fragments = make_fragments(voxel, 3, most)
    passes = most or 3
    assert fragments.passes == passes
    expected = [[1, 3, 0], [5, 3, 2], [1, 3, 4]]
    assert [fragments.representatives(i).tolist() for i in range(passes)] == expected[:passes]
    points = torch.arange(6)
    predicted = [set(fragments.predicted(i, points).tolist()) for i in range(passes)]
    full = {2: {0, 2, 4}, 0: {1, 5}, 1: {3}}
    for number, found in enumerate(predicted):
        for members in full.values():
            own = found & members
            assert own == (members if len(members) > passes else {sorted(members)[number % len(members)]})
    assert fragments.rows().tolist() == [n if n <= passes else 1 for n in (2, 1, 3)]


def test_points_of_voxels_that_are_too_full_get_the_mean_of_all_passes(model):
    scene = corridor(2)
    _, confidence = Predictor(model, FEATURES, VOXEL, fragments=2).predict(scene)
    voxel = voxelize(VIEWS[0](scene).coord, VOXEL).inverse
    count = torch.bincount(voxel)
    assert (count > 2).any()
    for number in (count > 2).nonzero().flatten().tolist():
        assert len(confidence[voxel == number].unique()) == 1
    assert len(confidence[count[voxel] == 2].unique()) > (count == 2).sum()


def test_chunks_with_fragments_have_no_seams(model):
    predictor = Predictor(model, FEATURES, VOXEL, "cpu", [View(5.0)], fragments=None)
    scene = corridor(32)
    voxels, reach = voxelize(scene.coord, VOXEL), receptive_field(predictor)
    limit = len(voxels) - 50
    assert len(list(split_into_boxes(voxels.coord, limit, reach + 1))) == 2
    expected, probability = predictor.predict(scene)
    labels, confidence = predict_in_chunks(predictor, scene, voxels, limit, reach)
    torch.testing.assert_close(confidence, probability, rtol=1e-4, atol=1e-6)
    assert (labels == expected).float().mean() > 0.999  # rounding may decide between two classes


def test_crowded_chunks_are_split_until_their_probabilities_fit_into_memory():
    coord = torch.cartesian_prod(torch.arange(8), torch.arange(4), torch.arange(1)).int()
    rows = torch.full((32,), 10)
    assert len(list(split_into_boxes(coord, 32, 100))) == 1
    boxes = list(split_into_boxes(coord, 32, 100, rows))
    assert sum(int(box.contains(coord).sum()) for box in boxes) == 32
    assert all(int(rows[box.contains(coord)].sum()) <= 4 * 32 for box in boxes)
    assert len(list(split_into_boxes(coord[:1], 1, 100, rows[:1]))) == 1


def test_the_same_scene_gets_the_same_bits(model):
    scene, predictor = corridor(2), Predictor(model, FEATURES, VOXEL, fragments=None)
    first, second = predictor.predict(scene), predictor.predict(scene)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_wanted_points_get_the_labels_that_they_get_among_all(model):
    scene = corridor(2)
    wanted = torch.arange(5, len(scene), 3)
    for fragments in (1, 2):
        predictor = Predictor(model, FEATURES, VOXEL, "cpu", VIEWS, fragments=fragments)
        labels, confidence = predictor.predict(scene)
        some = predictor.predict(scene, wanted=wanted)
        assert torch.equal(some[0], labels[wanted])
        assert torch.equal(some[1], confidence[wanted])
