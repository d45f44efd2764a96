"""Contrastive scene contexts: the loss against loops, what cameras see, pairs of views and of frames."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.data.batch import point_features
from ceco3d.data.labels import label_space
from ceco3d.data.scenes.processed import list_scenes, read_scene
from ceco3d.data.scenes.scene import Scene
from ceco3d.losses.info_nce import Partition, SceneContextLoss, info_nce
from ceco3d.models import build_model
from ceco3d.pretraining.csc import ContrastObjective
from ceco3d.pretraining.dataset import FramePairs, ScanPairs
from ceco3d.pretraining.frames import list_frame_pairs, read_frame
from ceco3d.pretraining.pairs import SEARCH_RADIUS, NoPairError, PairCollate, PairMaker
from ceco3d.pretraining.views import OVERLAP_VOXEL, ViewSampler, draw_views
from ceco3d.pretraining.visibility import visible
from ceco3d.utils.errors import UserError
from ceco3d.utils.random import seeded_generator
from ceco3d.visualization.camera import Camera
from tests.helpers.commands import settings_of
from tests.helpers.frames import write_frames

VOXEL = 0.1  # metres
PARTITIONS = {
    "one": Partition("one"),
    "fast": Partition("fast", r1=1.0, r2=4.0),
    "angular": Partition("angular", r1=1.0, r2=4.0, bins_xy=4, bins_zy=2),
}


def slow_bin(partition, t):
    """The bin of a point at ``t`` from another one, or None: the definition, in plain Python."""
    if partition.kind == "one":
        return 0
    distance = math.dist((0, 0, 0), t)
    if distance <= partition.r1:
        return None
    shell = 1 if distance > partition.r2 else 0
    if partition.kind == "fast":
        return 2 * shell + (0 if t[2] > 0 else 1)
    xy = int((math.atan2(t[1], t[0]) % (2 * math.pi)) // (2 * math.pi / partition.bins_xy))
    zy = int((math.atan2(t[1], t[2]) % math.pi) // (math.pi / partition.bins_zy))
    return (shell * partition.bins_xy + xy) * partition.bins_zy + zy


def slow_loss(q, k, positions, partition, temperature):
    """The sum over bins and points, in plain Python."""
    q, k = ([[x / math.hypot(*row) for x in row] for row in rows.tolist()] for rows in (q, k))
    logits = [[sum(a * b for a, b in zip(x, y, strict=True)) / temperature for y in k] for x in q]
    total, count = 0.0, len(q)
    for number in range(partition.count):
        for i in range(count):
            allowed = [i]
            for j in range(count):
                t = [b - a for a, b in zip(positions[i].tolist(), positions[j].tolist(), strict=True)]
                if j != i and slow_bin(partition, t) == number:
                    allowed.append(j)
            total += math.log(sum(math.exp(logits[i][j]) for j in allowed)) - logits[i][i]
    return total / count / partition.count


@pytest.mark.parametrize("kind", PARTITIONS)
@given(seed=st.integers(0, 2**31), count=st.sampled_from([2, 50]))
@settings(max_examples=5, deadline=None)
def test_bins_and_loss_equal_the_definition(kind, seed, count):
    partition, rng = PARTITIONS[kind], torch.Generator().manual_seed(seed)
    q, k = (torch.randn(count, 8, generator=rng, dtype=torch.float64) for _ in range(2))
    positions = 4 * torch.randn(count, 3, generator=rng, dtype=torch.float64)
    bins = partition(positions)
    assert bins.dtype == torch.int8
    for i in range(count):
        for j in range(count):
            expected = None if i == j else slow_bin(partition, (positions[j] - positions[i]).tolist())
            assert bins[i, j] == (-1 if expected is None else expected)
    loss, _ = info_nce(q, k, bins, partition.count, 0.4)
    assert loss.item() == pytest.approx(slow_loss(q, k, positions, partition, 0.4), rel=1e-9)
    results = SceneContextLoss(partition, 0.4)(q, k, positions, [count])
    assert results["loss"].item() == pytest.approx(loss.item())
    equal = torch.ones_like(q)
    assert results["chance"].item() == pytest.approx(slow_loss(equal, equal, positions, partition, 0.4))


def test_one_bin_is_the_cross_entropy_of_all_pairs():
    q, k = torch.randn(20, 8), torch.randn(20, 8)
    logits = torch.nn.functional.cosine_similarity(q[:, None], k[None], dim=2) / 0.4
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(20))
    loss, accuracy = info_nce(q, k, Partition("one")(torch.randn(20, 3)), 1, 0.4)
    torch.testing.assert_close(loss, expected)
    assert accuracy == (logits.argmax(1) == torch.arange(20)).float().mean()


def test_equal_features_of_matches_are_best_and_gradients_flow():
    features = torch.randn(30, 8, requires_grad=True)
    criterion = SceneContextLoss(Partition("fast", 0.5, 2.0))
    right = criterion(features, features, torch.randn(30, 3), [10, 20])
    wrong = criterion(features, features.roll(1, 0), torch.randn(30, 3), [10, 20])
    assert right["match_accuracy"] == 1
    assert right["loss"] < wrong["loss"]
    wrong["loss"].backward()
    assert features.grad.isfinite().all()
    assert features.grad.abs().sum() > 0


def test_the_loss_is_float32_under_autocast_and_zero_without_matches():
    q, k, positions = torch.randn(40, 8), torch.randn(40, 8), 5 * torch.randn(40, 3)
    criterion = SceneContextLoss(Partition("fast"), temperature=0.03)
    with torch.autocast("cpu", torch.bfloat16):
        low = criterion(q.bfloat16(), k.bfloat16(), positions, [40])["loss"]
    full = criterion(q.bfloat16().float(), k.bfloat16().float(), positions, [40])["loss"]
    assert low.dtype == torch.float32
    assert torch.equal(low, full)
    assert full.isfinite()
    assert criterion(q[:0], k[:0], positions[:0], [0])["loss"] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Partition("radial"), "choose one of one, fast, angular"),
        (lambda: Partition(r1=3.0, r2=2.0), "r1 <= r2"),
        (lambda: Partition("angular", bins_xy=0), "both at least 1"),
        (lambda: Partition("angular", bins_xy=8, bins_zy=8), "product at most 63"),
        (lambda: SceneContextLoss(Partition(), 0.001), "at least 0.03"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def cube(center, side=1.0, step=0.02):
    """Points and outward normals of a cube's surface."""
    line = np.arange(-side / 2, side / 2 + step / 2, step)
    a, b = (grid.ravel() for grid in np.meshgrid(line, line))
    points, normals = [], []
    for axis in range(3):
        for sign in (-1, 1):
            face = np.empty((len(a), 3))
            face[:, axis], face[:, axis - 1], face[:, axis - 2] = sign * side / 2, a, b
            points.append(face + center)
            normals.append(np.eye(3)[[axis] * len(a)] * sign)
    return np.concatenate(points).astype(np.float32), np.concatenate(normals).astype(np.float32)


@pytest.mark.parametrize("with_normals", [True, False])
def test_a_camera_sees_the_faces_towards_it_and_nothing_behind(with_normals):
    (near, normals), (behind, _) = cube([3, 0, 0]), cube([4, -1, -1], side=0.3)
    coord = np.concatenate([near, behind])
    normal = np.concatenate([normals, normals[: len(behind)] * 0]) if with_normals else coord * 0
    camera = Camera.looking(np.array([1.0, 2.0, 2.0]), np.array([1.0, -1.0, -1.0]))
    seen = visible(coord, normal, camera, radius=0.022)
    assert (np.diff(seen) > 0).all()
    assert seen.max() < len(near)
    face = {0: -0.5, 1: 0.5, 2: 0.5}  # coordinate of the visible face along each axis
    local = near - [3, 0, 0]
    inner = (np.abs(local) < 0.4).sum(1) == 2  # not at an edge
    towards = np.any([np.isclose(local[:, axis], value) for axis, value in face.items()], axis=0)
    hit = np.zeros(len(near), bool)
    hit[seen] = True
    assert hit[inner & towards].mean() > 0.98
    assert not hit[inner & ~towards].any()


def test_points_outside_the_image_are_not_seen():
    coord = np.array([[2, 0, 0], [-2, 0, 0], [0.1, 0, 0], [1, 3, 0], [1, 0, 3]], np.float32)
    seen = visible(coord, coord * 0, Camera.looking(np.zeros(3), np.array([1.0, 0, 0])), 0.02)
    assert seen.tolist() == [0]
    straight_down = Camera.looking(np.array([2.0, 0, 3]), np.array([0.0, 0, -1]))
    assert visible(coord, coord * 0, straight_down, 0.02).tolist() == [0]


@pytest.fixture(scope="module")
def folders(tiny) -> list[Path]:
    """The training scenes of rooms200 tiny."""
    return list_scenes(Path(settings_of("preprocess", *tiny).dataset.root), "train")


def test_views_overlap_as_asked(folders):
    for number, folder in enumerate(folders[:4]):
        scene = read_scene(folder, label_space("scannet200"))
        first, second = (view.numpy() for view in draw_views(scene, 0.5, seeded_generator(number)))
        cells = [set(map(tuple, np.floor(scene.coord.numpy()[view] / OVERLAP_VOXEL))) for view in (first, second)]
        share = len(cells[0] & cells[1]) / min(map(len, cells))
        assert share >= 0.5
        assert share == pytest.approx(ViewSampler.of(scene).overlap(first, second))
        assert max(len(first), len(second)) < 0.9 * len(scene)  # something is hidden


def flat(name, coord):
    """A scene of ``coord`` without anything else."""
    zeros, none = torch.zeros_like(coord), torch.full((len(coord),), -1)
    return Scene(name, coord, zeros, zeros, none, none)


def test_a_scene_without_overlapping_views_is_named():
    lonely = flat("scene0042_00", 5 * torch.rand(150, 3))
    with pytest.raises(NoPairError, match="scene scene0042_00: no two views overlap by 30%") as caught:
        draw_views(lonely, 0.3, seeded_generator(0))
    assert "\n" not in str(caught.value)


def dataset(folders, queries=4096, jitter=0.01):
    return ScanPairs(folders, label_space("scannet200"), 0.3, PairMaker(VOXEL, queries, jitter), seed=0)


def places(pairs, index):
    """Where the points of both views of a pair lie in the scene, from its draws alone: unrotated by a rigid fit."""
    pair = pairs[index]
    scene = read_scene(pairs.folders[index], label_space("scannet200"))
    by_color = {}
    for color, point in zip(scene.color.tolist(), scene.coord, strict=True):
        by_color.setdefault(tuple(color), []).append(point)
    fitted = []
    for view in pair.views:
        colors = [tuple(color) for color in view.color.round().tolist()]
        known = [row for row, color in enumerate(colors) if len(by_color[color]) == 1]
        target = torch.stack([by_color[colors[row]][0] for row in known])
        fitted.append(rigid_fit(view.coord[known], target)(view.coord))
    return pair, fitted


def rigid_fit(source, target):
    """The rotation and shift that take ``source`` (N, 3) to ``target`` (Kabsch), which must fit."""
    center, other = source.mean(0), target.mean(0)
    u, _, v = torch.linalg.svd((source - center).T @ (target - other))
    turn = u @ v
    assert torch.linalg.det(turn) > 0
    torch.testing.assert_close((source - center) @ turn + other, target, atol=1e-4, rtol=0)
    return lambda points: (points - center) @ turn + other


def test_views_are_turned_and_matches_lie_together_in_the_scene(folders):
    pair, (first, second) = places(dataset(folders, jitter=1e-9), 0)
    rows, others = pair.matches.T
    assert len(rows.unique()) == len(rows) > 50
    distance = (first[rows] - second[others]).norm(dim=1)
    assert distance.max() <= SEARCH_RADIUS * VOXEL + 1e-3
    assert distance.max() > 0.5 * VOXEL  # not only the same vertex
    torch.testing.assert_close(pair.positions * VOXEL, first[rows], atol=1e-3, rtol=0)
    # All that could be matched is: no other point of the first view has a neighbour in the second.
    alone = torch.ones(len(first), dtype=torch.bool)
    alone[rows] = False
    assert torch.cdist(first[alone], second).min() > SEARCH_RADIUS * VOXEL - 1e-3
    moved = (pair.views[0].coord[rows] - pair.views[1].coord[others]).norm(dim=1)
    assert moved.mean() > 0.3


def test_draws_depend_on_seed_epoch_and_index_only(folders):
    pairs, again = dataset(folders), dataset(folders)
    again[3]
    assert torch.equal(pairs[0].matches, again[0].matches)
    before = pairs[0].positions
    pairs.set_epoch(1)
    assert not (len(before) == len(pairs[0].positions) and torch.equal(before, pairs[0].positions))


def test_a_batch_keeps_rows_and_pairs_apart(folders):
    pairs = [dataset(folders, queries=50)[index] for index in (0, 1, 2)]
    batch = PairCollate(VOXEL, ["color"], seed=0)(pairs)
    assert batch.counts == (50, 50, 50)
    assert len(batch) == sum(len(view) for pair in pairs for view in pair.views)
    assert batch.scenes == tuple(pair.views[0].name for pair in pairs)
    start = 0
    for number, pair in enumerate(pairs):
        rows = batch.matches[start : start + 50]
        for side, part in enumerate((batch.first, batch.second)):
            assert (part.coordinates[rows[:, side], 0] == number).all()
            expected = point_features(pair.views[side], ["color"])[pair.matches[:, side]]
            assert torch.equal(part.features[rows[:, side]], expected)
        start += 50
    assert batch.to("cpu").matches.equal(batch.matches)


def test_a_few_steps_on_one_batch_bring_matches_together(folders):
    batch = PairCollate(VOXEL, ["color"], seed=0)([dataset(folders, queries=100)[index] for index in (0, 1)])
    torch.manual_seed(0)
    model = build_model("MinkUNet14A", in_channels=3, out_channels=32, stem_kernel=3)
    objective = ContrastObjective(model, SceneContextLoss(Partition()))
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.003)
    history = []
    for _ in range(6):
        values = objective(batch)
        optimizer.zero_grad()
        values["loss"].backward()
        optimizer.step()
        history.append({name: value.item() for name, value in values.items()})
    assert history[-1]["loss"] < history[0]["loss"] - 0.2
    assert history[-1]["match_accuracy"] > history[0]["match_accuracy"]


def test_a_scene_without_pairs_is_replaced_and_only_many_are_an_error(folders, tmp_path, monkeypatch):
    pairs = dataset(folders[:3])
    original = ScanPairs.views

    def views(self, source, rng):
        if source == 0:
            raise NoPairError("scene zero: no two views overlap by 30%")
        return original(self, source, rng)

    monkeypatch.setattr(ScanPairs, "views", views)
    assert pairs[0].views[0].name in {folder.name for folder in folders[1:3]}
    assert torch.equal(pairs[0].matches, pairs[0].matches)
    with pytest.raises(NoPairError, match="scene zero"):
        dataset(folders[:1])[0]


@pytest.mark.parametrize("kind", ["csc", "pointcept"])
def test_frames_of_both_layouts(tmp_path, kind):
    points = write_frames(tmp_path, kind)
    pairs = list_frame_pairs(tmp_path, 0.3)
    assert [[path.stem for path in pair] for pair in pairs] == [["0", "25"]]
    listed = tmp_path / ("splits/overlap30.txt" if kind == "csc" else "scene0000_00/pcd/overlap.txt")
    assert list_frame_pairs(listed, 0.3) == pairs
    assert len(list_frame_pairs(tmp_path, 0.05)) == 2
    frame = read_frame(pairs[0][0])
    assert frame.name == "scene0000_00/0"
    np.testing.assert_allclose(frame.coord, points["0"][:, :3], rtol=1e-6)
    np.testing.assert_array_equal(frame.color, points["0"][:, 3:6])
    pair = FramePairs(pairs, PairMaker(0.06, 100, 0.01), seed=0)[0]
    assert len(pair.matches) == 100
    assert PairCollate(0.06, ["color"], 0)([pair]).counts == (100,)


def broken_pth(path: Path) -> Path:
    torch.save({"coord": Path("a")}, path)
    return path


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.npz", lambda p: None, "no such frame"),
        ("a.ply", lambda p: p.write_text("ply"), r"\.npz or \.pth"),
        ("a.npz", lambda p: p.write_bytes(b"junk"), "not a readable frame|refused"),
        ("a.npz", lambda p: p.write_bytes(b""), "not a readable frame|refused"),
        ("a.npz", lambda p: np.savez(p, other=np.zeros(3)), "pcd"),
        ("a.npz", lambda p: np.savez(p, pcd=np.zeros((4, 5))), r"\(4, 2\)"),
        ("a.npz", lambda p: np.savez(p, pcd=np.zeros((0, 7))), r"\(0, 3\)"),
        ("a.npz", lambda p: np.savez(p, pcd=np.full((4, 7), np.nan)), "not all finite"),
        ("a.npz", lambda p: np.savez(p, pcd=np.array([{}, {}], dtype=object)), "not a readable frame.*pickle"),
        ("a.pth", lambda p: p.write_bytes(b"junk"), "refused|not a readable"),
        ("a.pth", lambda p: broken_pth(p), "refused"),
        ("a.pth", lambda p: torch.save({"coord": np.zeros((4, 3))}, p), "color"),
        ("a.pth", lambda p: torch.save([1, 2], p), "not a readable"),
    ],
)
def test_bad_frames_give_one_line(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(UserError, match=message) as caught:
        read_frame(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds neither splits/overlap30.txt nor overlap30.txt nor SCENE/pcd/overlap.txt"),
        ("", "no pair of frames overlaps by 30%"),
        ("a.npz b.npz 0.2\n", "no pair of frames overlaps by 30%"),
        ("a.npz b.npz 0.4\na.npz\n", r"overlap30.txt:2: not a line FRAME FRAME \[OVERLAP\]: a.npz"),
        ("a.npz b.npz high\n", "overlap30.txt:1: not a line"),
    ],
)
def test_bad_lists_give_one_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "overlap30.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        list_frame_pairs(tmp_path, 0.3)
    with pytest.raises(UserError, match="no such folder or list"):
        list_frame_pairs(tmp_path / "none", 0.3)
