"""Weights of Pointcept's SpUNet compute here what they compute on spconv's layers, and go back bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ceco3d.models import MinkUNet, Variant, load_weights
from ceco3d.models.blocks import BasicBlock
from ceco3d.models.spunet import to_spunet
from ceco3d.sparse import SparseTensor
from tests.helpers.benchmarks import compute_on_cpu, make_input
from tests.helpers.spunet import DENSE, SpUNet, randomize, spconv_input

SCRIPT = Path(__file__).parents[2] / "scripts" / "pointcept_weights.py"
CHANNELS, COUNTS = (16, 24, 32, 40, 32, 24, 16, 16), (2, 1, 1, 1, 1, 1, 2, 1)
SMALL = Variant(BasicBlock, COUNTS, CHANNELS, widens=True, eps=1e-3)
CPU = torch.device("cpu")


@pytest.fixture(params=["dense", "spconv", "spconv_triton"])
def layers(request, monkeypatch):
    """spconv's layers, on the CPU; dense convolutions where nothing else is installed."""
    if request.param == "dense":
        return DENSE
    library = pytest.importorskip(f"{request.param}.pytorch")
    compute_on_cpu(monkeypatch, request.param, library)
    return library


def small(inputs=9, classes=5, variant=SMALL) -> MinkUNet:
    return MinkUNet(variant, inputs, classes, bn_momentum=0.01)


def theirs(layers=DENSE, inputs=9, classes=5, seed=0) -> SpUNet:
    return randomize(SpUNet(layers, inputs, classes, CHANNELS, COUNTS), seed)


def write(path, network, prefix="module.backbone."):
    """A checkpoint as Pointcept saves it."""
    state = {prefix + name: value for name, value in network.state_dict().items()}
    torch.save({"epoch": 600, "state_dict": state, "optimizer": {"state": {}}, "best_metric_value": 0.3}, path)
    return path


def assert_near(found, wanted, share):
    assert (found - wanted).abs().max() <= share * wanted.abs().max()


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_outputs_gradients_and_statistics_equal_those_of_spconvs_layers(tmp_path, layers, training):
    reference, ours = theirs(layers), small()
    load_weights(ours, write(tmp_path / "model_best.pth", reference))
    features, coordinates = (value.cpu() for value in make_input())
    coordinates[:, 1:] -= coordinates[:, 1:].amin(0)
    precise = layers is DENSE
    if precise:
        features, reference, ours = features.double(), reference.double(), ours.double()
    share = 1e-9 if precise else 1e-5
    leaves = [features.clone().requires_grad_() for _ in range(2)]
    wanted = reference.train(training)(spconv_input(layers, leaves[0], coordinates))
    found = ours.train(training)(SparseTensor(leaves[1], coordinates)).features
    assert_near(found, wanted, share)
    for logits in (wanted, found):
        (logits * torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)).sum().backward()
    assert_near(leaves[1].grad, leaves[0].grad, share)
    gradients = to_spunet({name: parameter.grad for name, parameter in ours.named_parameters()})
    for name, parameter in reference.named_parameters():
        assert_near(gradients[name], parameter.grad, 10 * share)
    after = to_spunet(ours.state_dict())
    for name, value in reference.state_dict().items():
        assert_near(after[name].double(), value.double(), share)
