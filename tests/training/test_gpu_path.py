"""The way of a batch on a GPU, on one that is pretended: every tensor on the right device, and few waits for it."""

from contextlib import nullcontext

import pytest
import torch

from ceco3d.data import dataset as scenes
from ceco3d.data.labels import label_space
from ceco3d.inference.evaluation import evaluate_scenes
from ceco3d.inference.predictor import Predictor, View
from ceco3d.preprocessing.datasets import processed_scenes
from ceco3d.sparse import SparseTensor, load_engine
from ceco3d.sparse.maps.coordinates import unpack
from ceco3d.training import batches, build
from ceco3d.training.batches import training_batches
from ceco3d.training.objective import Objective
from tests.helpers.commands import settings_of
from tests.helpers.pretend_gpu import DEVICE, OnGPU, pretend_gpu
from tests.helpers.sparse import sparse_input
from tests.helpers.thin import MODEL, ThinUNet

SMALL = [*MODEL, "voxel_size=0.25", "trainer.batch_size=4"]  # augment_on=auto: on the device


def test_the_pretended_gpu_catches_what_a_real_one_would():
    with pretend_gpu() as gpu:
        here, there = torch.arange(4.0), torch.arange(4.0, device=DEVICE)
        assert (there.device, (there + 1).device, there.cpu().device) == (DEVICE, DEVICE, torch.device("cpu"))
        with pytest.raises(RuntimeError, match="same device"):
            here + there
        with pytest.raises(RuntimeError, match="same device"):
            torch.nn.Linear(4, 2)(there)
        with pytest.raises(RuntimeError, match="another device"):
            torch.rand(3, generator=torch.Generator(), device=DEVICE)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert torch.nn.Linear(4, 2).to(DEVICE)(there).device == DEVICE
        gpu.waits.clear()
        there[there > 1].sum().item()
        assert gpu.waits == {"__getitem__": 1, "item": 1}


@pytest.mark.parametrize(
    ("shuffled", "waits"), [(False, {"tolist": 2, "__bool__": 1}), (True, {"tolist": 2, "__bool__": 1, "nonzero": 1})]
)
def test_the_checks_of_an_input(shuffled, waits):
    x, _ = sparse_input(0)
    rows = torch.arange(len(x)).flip(0) if shuffled else torch.arange(len(x))
    coordinates = unpack(x.manager.keys(1))[rows]
    with pretend_gpu() as gpu:
        SparseTensor(torch.zeros(len(x), 3, device=DEVICE), coordinates.to(DEVICE))
    assert gpu.waits == waits


@pytest.mark.filterwarnings("ignore:'pin_memory'")
@pytest.mark.parametrize("transforms", ["modern", "lground", "pointcept", "light"])
def test_every_augmentation(tiny, transforms):
    assert take_steps(settings_of("train", *tiny, *SMALL, f"transforms={transforms}")) <= 4


@pytest.mark.filterwarnings("ignore:'pin_memory'")
@pytest.mark.parametrize(
    # Losses select the labelled points and the classes that are present, Lovász some points of each class.
    ("loss", "waits"),
    [("ce", 0), ("cecol", 4), ("balanced_focal", 0), ("logit_adjustment", 0), ("modern_ceco", 120)],
)
def test_every_loss(tiny, loss, waits):
    assert take_steps(settings_of("train", *tiny, *SMALL, "transforms=none", f"loss={loss}")) <= waits


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'pin_memory'")
def test_scenes_that_stay_on_the_device(tiny, monkeypatch):
    read, original = [], scenes.read_scene
    monkeypatch.setattr(scenes, "read_scene", lambda folder, *rest: read.append(folder) or original(folder, *rest))
    monkeypatch.setattr(batches, "device_bytes", lambda device: 1 << 30)
    keys = [*SMALL, "trainer.cache=device", "trainer.repeat=3", "transforms=pointcept", "loss=ce"]
    assert take_steps(settings_of("train", *tiny, *keys)) <= 4
    assert len(read) == len(set(read)) > 4


def take_steps(cfg) -> int:
    """An epoch of updates from raw scenes on; how often one waits for the device, at most."""
    folders, most = processed_scenes(cfg.dataset, ("train",), 1)["train"], 0
    model = build.make_network(cfg)
    loss = build.make_loss(cfg, model.feature_channels, folders)
    with pretend_gpu() as gpu:
        objective = Objective(model, loss).to(DEVICE)
        optimizer = torch.optim.SGD(objective.parameters(), lr=0.01)
        feed = training_batches(cfg, folders, DEVICE)
        assert feed.augments
        for (batch,) in feed.steps(0, 0, objective.prepare):
            assert isinstance(batch.features, OnGPU)
            gpu.waits.clear()
            losses = objective(batch)
            losses["loss"].backward()
            optimizer.step()
            most = max(most, sum(gpu.waits.values()))
            assert all(value.isfinite() for value in losses.values())
    return most


@pytest.mark.filterwarnings("ignore:'pin_memory'")
@pytest.mark.parametrize("method", ["csc", "lground"])
def test_pretraining(tiny, method):
    cfg = settings_of("pretrain", *tiny, *SMALL, f"method={method}", "trainer.repeat=1")
    with pretend_gpu():
        parts = cfg.method.build(cfg, DEVICE)
        (batch,) = next(parts.prefetcher.steps(0, 0, parts.objective.prepare))
        losses = parts.objective(batch)
        losses["loss"].backward()
        assert losses["loss"].device == DEVICE
        assert losses["loss"].isfinite()


def test_validation(tiny):
    cfg = settings_of("train", *tiny, *SMALL)
    folders = processed_scenes(cfg.dataset, ("val",), 1)["val"]
    model = build.make_network(cfg)

    def score(device):
        predictor = Predictor(model.to(device), cfg.features, 0.25, device, [View(), View(90.0, "x")])
        return evaluate_scenes(predictor, folders, label_space("scannet200"), lambda failed: None)

    expected = score(torch.device("cpu"))
    with pretend_gpu():
        found = score(DEVICE)
    errors = [scores.scores.pop("calibration_error") for scores in (found, expected)]  # a sum in another order
    assert errors[0] == pytest.approx(errors[1], rel=1e-5)
    bins = [scores.scores.pop("calibration") for scores in (found, expected)]
    assert [item["points"] for item in bins[0]] == [item["points"] for item in bins[1]]
    assert found.scores == expected.scores


@pytest.mark.slow
def test_triton_waits_for_the_sizes_of_four_levels_alone(monkeypatch):
    tiled = pytest.importorskip("ceco3d.sparse.triton")
    from ceco3d.sparse.kernels import triton_convolve, triton_map, triton_normalize, triton_tuned

    if torch.cuda.is_available():
        pytest.skip("the kernels are not interpreted here")
    for module in (tiled, triton_normalize):
        monkeypatch.setattr(module, "unsupported", lambda device, dtype: None)
    monkeypatch.setattr(triton_tuned, "tuned_config", lambda *call: None)
    monkeypatch.setattr(triton_convolve, "tuned_config", lambda *call: None)
    for module in (triton_map, triton_convolve, triton_normalize):
        monkeypatch.setattr(module, "device_of", lambda tensor: nullcontext())
    x, _ = sparse_input(0, density=0.005)
    coordinates, features = x.coordinates, torch.randn(len(x), 3)
    with pretend_gpu() as gpu:
        model = ThinUNet(3, 5, engine=load_engine("triton")).to(DEVICE)
        inputs = SparseTensor(features.to(DEVICE), coordinates.to(DEVICE))
        gpu.waits.clear()
        model.build_maps(inputs)
        assert gpu.waits == {"unique": 4}
        gpu.waits.clear()
        out = model(inputs).features
        assert out.device == DEVICE
        out.sum().backward()
        assert not gpu.waits
