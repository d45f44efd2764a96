"""Frozen weights: which they are, their batch norms, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch

from ceco3d import sparse
from ceco3d.models import VARIANTS, build_model, fold_batch_norms
from ceco3d.sparse import SparseTensor
from ceco3d.utils.errors import UserError
from tests.helpers.extensions import TwoLayers
from tests.helpers.sparse import sparse_input


def network():
    torch.manual_seed(0)
    return build_model("MinkUNet14A", 3, 5, 3)


def voxels():
    x, features = sparse_input(3)
    return SparseTensor(features.detach().float(), x.coordinates)


def frozen_names(model):
    return {name for name, value in model.named_parameters() if not value.requires_grad}


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        (["backbone"], lambda name: not name.startswith("final.")),
        (["final"], lambda name: name.startswith("final.")),
        (["conv0p1s1", "block1"], lambda name: name.startswith(("conv0p1s1.", "block1."))),
        (["conv0p1s1.kernel"], lambda name: name == "conv0p1s1.kernel"),
    ],
)
def test_the_weights_that_the_prefixes_name_are_frozen(prefixes, expected):
    model = network()
    model.freeze(prefixes)
    assert frozen_names(model) == {name for name, _ in model.named_parameters() if expected(name)}


def test_frozen_parts_stay_in_evaluation_mode_and_keep_their_statistics():
    model = network()
    model.freeze(["conv0p1s1", "bn0", "block1", "bn2.bn.weight"])
    before = copy.deepcopy(model.state_dict())
    assert model.train() is model
    model(voxels()).features.sum().backward()
    changed = {
        name.rpartition(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    norms = {name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm1d)}
    assert changed == norms - {"bn0.bn", *(name for name in norms if name.startswith("block1."))}
    assert model.block1[0].conv1.kernel.grad is None
    assert model.block2[0].conv1.kernel.grad is not None
    assert model.training
    assert not any(module.training for module in model.eval().modules())


def test_copies_are_frozen_too_and_batch_norms_fold():
    model = network()
    model.freeze(["backbone"])
    twin = copy.deepcopy(model).train()
    assert not twin.bn0.bn.training
    assert twin.bn0 is not model.bn0
    x = voxels()
    torch.testing.assert_close(fold_batch_norms(model)(x).features, model.eval()(x).features, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("prefixes", "message"),
    [
        (["blok1"], r"trainer.freeze=\[blok1\]: no weight starts with blok1; did you mean block1"),
        (["block9.0"], r"no weight starts with block9.0; did you mean block8.0 or block7.0"),
        (["encoder"], "no weight starts with encoder; choose backbone or of conv0p1s1, bn0, conv1p1s2"),
        (["backbone", "final"], r"trainer.freeze=\[backbone, final\]: leaves nothing of the network to train"),
        ([""], "leaves nothing of the network to train"),
    ],
)
def test_prefixes_that_freeze_nothing_or_everything_are_refused(prefixes, message):
    model = network()
    with pytest.raises(UserError, match=message) as caught:
        model.freeze(prefixes)
    assert "\n" not in str(caught.value)
    assert not frozen_names(model)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_stages_of_a_minkunet_are_all_of_its_backbone_once(name):
    with torch.device("meta"):
        model = build_model(name, 3, 5, 3)
    stages = [module for stage in model.stage_names for module in stage]
    assert len(model.stage_names) == 9
    assert sorted(stages) == sorted({name.partition(".")[0] for name, _ in model.named_parameters()} - {"final"})


def test_the_stages_of_a_network_of_ones_own_are_its_modules():
    assert TwoLayers(3, 5, engine=sparse).stage_names == (("stem",),)
