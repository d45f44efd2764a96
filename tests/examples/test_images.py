"""The image example: what its cameras see, its U-Net, the center loss on images, and one complete run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ceco3d.data.labels import label_space
from ceco3d.data.scenes.scene import Scene, concatenate
from ceco3d.losses import CenterCollapseLoss
from ceco3d.utils.errors import UserError
from ceco3d.visualization.camera import Camera, focal_length
from examples.images.panel import paint, write_panel
from examples.images.render import FIELD_OF_VIEW, look_around, render
from examples.images.train import images_per_class, predict, score, train
from examples.images.unet import UNet

ROOT = Path(__file__).parents[2]
SIZE = (31, 41)
AHEAD = Camera.looking(np.zeros(3), np.array([1.0, 0, 0]))
FOCAL = focal_length(SIZE[1], FIELD_OF_VIEW)


# Images this small gain nothing from a second thread, and lose much on a busy machine.
pytestmark = pytest.mark.usefixtures("one_thread")


def plane(x: float, half: float, label: int, color: float, normal: float = -1.0) -> Scene:
    """A square of points across the x axis at ``x``, ``half`` a side long, facing the origin."""
    side = torch.arange(-half, half + 1e-6, 0.01)
    y, z = (grid.flatten() for grid in torch.meshgrid(side, side, indexing="ij"))
    count = len(y)
    return Scene(
        name="plane",
        coord=torch.stack([torch.full((count,), x), y, z], 1),
        color=torch.full((count, 3), color),
        normal=torch.tensor([normal, 0.0, 0.0]).expand(count, 3),
        segment=torch.full((count,), label),
        instance=torch.full((count,), -1),
    )


@pytest.mark.parametrize("order", [1, -1])
def test_the_nearest_surface_wins(order):
    scene = concatenate([plane(2.0, 3.0, 7, 200.0), plane(1.0, 0.3, 4, 50.0)][::order])
    view = render(scene, AHEAD, SIZE)
    # The near square covers focal * 0.3 / 1 pixels to each side of the middle, and its discs a little more.
    i, j = np.abs(np.arange(31) - 15)[:, None], np.abs(np.arange(41) - 20)
    off = np.maximum(i, j)
    edge = FOCAL * 0.3
    assert (view.label[off < edge] == 4).all()
    assert (view.label[off > edge + 1] == 7).all()
    np.testing.assert_array_equal(view.color[..., 0], np.where(view.label == 4, 50, 200))


def test_left_is_left_and_up_is_up():
    """Looking along x with z up, y points to the left."""
    scene = plane(1.0, 0.05, 3, 90.0)
    view = render(scene.replace(coord=scene.coord + torch.tensor([0.0, 0.4, 0.2])), AHEAD, SIZE)
    rows, columns = np.nonzero(view.label == 3)
    assert np.mean(rows) == pytest.approx(15 - 0.2 * FOCAL, abs=0.5)
    assert np.mean(columns) == pytest.approx(20 - 0.4 * FOCAL, abs=0.5)


@pytest.mark.parametrize(
    "scene", [plane(-1.0, 3.0, 1, 255.0, normal=1.0), plane(1.0, 3.0, 1, 255.0, normal=1.0), plane(0.1, 1.0, 1, 255.0)]
)
def test_what_is_behind_turned_away_or_too_near_does_not_appear(scene):
    view = render(scene, AHEAD, SIZE)
    assert (view.label == -1).all()
    assert (view.color == 0).all()


def test_a_point_without_annotation_hides_what_is_behind_it():
    view = render(concatenate([plane(2.0, 3.0, 7, 200.0), plane(1.0, 3.0, -1, 50.0)]), AHEAD, SIZE)
    assert (view.label == -1).all()
    assert (view.color == 50).all()


def test_a_small_disc_covers_one_pixel():
    scene = plane(5.0, 0.0, 2, 10.0)
    assert (render(scene, AHEAD, SIZE).label == 2).sum() == 1


def box(size: float) -> Scene:
    """A cube around (5, 5, 1.25) seen from inside; the label of a side is its axis."""
    wall = plane(size / 2, size / 2, 0, 100.0)
    sides = []
    for axis in range(3):
        for sign in (1, -1):
            turn = torch.roll(torch.eye(3), axis, 0) * sign
            middle = torch.tensor([5.0, 5.0, 1.25])
            label = torch.full_like(wall.segment, axis)
            sides.append(wall.replace(coord=wall.coord @ turn + middle, normal=wall.normal @ turn, segment=label))
    return concatenate(sides)


def test_a_closed_room_fills_every_image():
    views = look_around(box(2.5), views=3, height=24, width=32, rng=np.random.default_rng(0))
    assert len(views) == 3
    assert all((view.label >= 0).all() for view in views)
    assert {int(label) for view in views for label in np.unique(view.label)} == {0, 1, 2}
    again = look_around(box(2.5), views=3, height=24, width=32, rng=np.random.default_rng(0))
    assert all(np.array_equal(a.color, b.color) for a, b in zip(views, again, strict=True))


@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 47), (17, 21)])
def test_unet_keeps_the_size(height, width):
    model = UNet(num_classes=9, width=8)
    images = torch.randn(2, 3, height, width)
    features = model.forward_features(images)
    assert features.shape == (2, model.channels, height, width)
    assert model(images).shape == (2, 9, height, width)


def test_loss_of_images_is_that_of_their_pixels():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 6, 5, 7, generator=generator, requires_grad=True)
    labels = torch.randint(-1, 4, (2, 5, 7), generator=generator)
    assert (labels == -1).any()
    loss = CenterCollapseLoss(4, 6, dim=8, class_counts=images_per_class(labels, 4))
    kept = [(b, i, j) for b in range(2) for i in range(5) for j in range(7) if labels[b, i, j] >= 0]
    pixels = torch.stack([images[b, :, i, j] for b, i, j in kept])
    value, expected = loss(images, labels), loss(pixels, torch.stack([labels[at] for at in kept]))
    torch.testing.assert_close(value, expected)
    gradient, wanted = (torch.autograd.grad(loss, images, retain_graph=True)[0] for loss in (value, expected))
    torch.testing.assert_close(gradient, wanted)
    assert (gradient.permute(0, 2, 3, 1)[labels < 0] == 0).all()
    assert wanted.abs().sum() > 0


def test_images_per_class_counts_images():
    labels = torch.tensor([[[0, 0], [2, -1]], [[0, 0], [0, 0]], [[-1, -1], [-1, -1]]])
    assert images_per_class(labels, 4).tolist() == [2, 0, 1, 0]


@pytest.mark.parametrize("ceco", [False, True])
def test_training_learns_the_walls_of_a_box(ceco):
    scene = box(2.5)
    scene = scene.replace(color=torch.eye(3)[scene.segment] * 200)
    views = look_around(scene, views=8, height=20, width=28, rng=np.random.default_rng(0))
    model = train(views, num_classes=3, ceco=ceco, steps=12, seed=0)
    assert score(predict(model, views), views, num_classes=3).accuracy > 0.9


def same(models: list[UNet]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in models), strict=True))


def test_a_seed_repeats_and_both_losses_start_from_the_same_network(monkeypatch):
    views = look_around(box(2.5), views=2, height=8, width=8, rng=np.random.default_rng(0))
    assert same([train(views, num_classes=3, ceco=True, steps=2, seed=4) for _ in range(2)])
    assert not same([train(views, num_classes=3, ceco=ceco, steps=2, seed=4) for ceco in (False, True)])
    monkeypatch.setattr("examples.images.train.RATE", 0.0)
    assert same([train(views, num_classes=3, ceco=ceco, steps=1, seed=4) for ceco in (False, True)])


def test_pixels_without_ground_truth_are_white():
    space = label_space("scannet200")
    picture = paint(np.array([[0, 3]]), space, where=np.array([[True, False]]))
    assert picture.tolist() == [[space.colors[0].tolist(), [255, 255, 255]]]


def test_missing_matplotlib_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"ceco3d\[plot\]"):
        write_panel(tmp_path / "panel.png", [], label_space("scannet200"))


def example(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "examples.images", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_whole_example(tiny, tmp_path):
    scenes = next(text.removeprefix("dataset.root=") for text in tiny if text.startswith("dataset.root="))
    done = example("--scenes", scenes, "--out", tmp_path, "--steps", 2, "--views", 1, "--size", 24)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "14 training and 3 validation images"
    assert [line.split("|")[1].strip() for line in lines[3:5]] == ["CE", "CE + CeCo"]
    assert (tmp_path / "panel.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_folder_is_one_line(tmp_path):
    done = example("--scenes", tmp_path / "nothing", "--out", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
