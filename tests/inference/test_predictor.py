"""The predictor on arrays, without configuration, files or a data set."""

import torch

from ceco3d.data.scenes.scene import Scene
from ceco3d.inference import Predictor, View, load_predictor
from ceco3d.models import build_model


def scene_of_arrays(count=500, seed=0):
    """A scene of ``count`` random points in a room of 2 x 2 x 1 m, without labels."""
    rng = torch.Generator().manual_seed(seed)
    coord = torch.rand(count, 3, generator=rng) * torch.tensor([2.0, 2.0, 1.0])
    color = 255 * torch.rand(count, 3, generator=rng)
    none = torch.full((count,), -1)
    return Scene("arrays", coord, color, torch.zeros(count, 3), none, none)


def model_of(channels=3, classes=20):
    torch.manual_seed(0)
    return build_model("MinkUNet14A", in_channels=channels, out_channels=classes, stem_kernel=3)


def test_a_scene_of_arrays_is_labeled_without_configuration():
    scene, model = scene_of_arrays(), model_of()
    labels, confidence = Predictor(model, ["color"], voxel_size=0.1).predict(scene)
    assert labels.shape == confidence.shape == (500,)
    assert labels.dtype == torch.int64
    assert confidence.dtype == torch.float32
    assert ((labels >= 0) & (labels < 20)).all()
    assert ((confidence > 1 / 20) & (confidence <= 1)).all()


def test_device_views_and_dtype_are_plain_values():
    scene, model = scene_of_arrays(), model_of()
    views = [View(), View(rotation=90.0, flip="x", scale=0.9)]
    predictor = Predictor(model, ["color"], 0.1, device="cpu", views=views, dtype=torch.bfloat16)
    assert predictor.device == torch.device("cpu")
    _, confidence = predictor.predict(scene)
    _, one_view = Predictor(model, ["color"], 0.1).predict(scene)
    assert (confidence - one_view).abs().max() > 1e-6


def test_a_checkpoint_is_loaded_by_its_path_alone(tmp_path):
    model = model_of(classes=200)
    setup = {
        "model": {"name": "MinkUNet14A", "in_channels": 3, "out_channels": 200, "stem_kernel": 3},
        "label_space": "scannet200",
        "features": ["color"],
        "voxel_size": 0.1,
    }
    torch.save({"setup": setup, "model": model.state_dict()}, tmp_path / "best.pt")
    predictor, space = load_predictor(str(tmp_path / "best.pt"))
    assert (space.name, predictor.features, predictor.voxel_size) == ("scannet200", ["color"], 0.1)
    assert (predictor.views, predictor.dtype) == ((View(),), torch.float32)
    scene = scene_of_arrays()
    _, confidence = predictor.predict(scene)
    _, expected = Predictor(model, ["color"], 0.1).predict(scene)
    torch.testing.assert_close(confidence, expected, rtol=1e-4, atol=1e-6)


def test_the_temperature_changes_the_confidence_and_no_label():
    scene, model = scene_of_arrays(), model_of()
    labels, confidence = Predictor(model, ["color"], 0.1).predict(scene)
    sharp, higher = Predictor(model, ["color"], 0.1, temperature=0.1).predict(scene)
    assert torch.equal(labels, sharp)
    assert (higher > confidence).all()
    one, same = Predictor(model, ["color"], 0.1, temperature=1.0).predict(scene)
    assert torch.equal(labels, one)
    assert torch.equal(confidence, same)


def test_other_passes_and_outputs_share_the_network():
    predictor = Predictor(model_of(), ["color"], 0.1, temperature=0.5)
    other = predictor.with_passes([View(rotation=90.0)], fragments=None).with_outputs(slice(5, 9))
    assert other.model is predictor.model
    assert (other.views, other.fragments, other.temperature) == ([View(rotation=90.0)], None, 0.5)
    assert other.predict(scene_of_arrays())[0].max() < 4
    assert (predictor.views, predictor.fragments, predictor.outputs) == ((View(),), 1, slice(None))
