"""Networks of one's own: build, store, load; and what a checkpoint may not name."""

import os
import sys

import pytest
import torch
from torch import nn

from ceco3d import sparse
from ceco3d.models import Network, build_model, build_network, fold_batch_norms, load_trained
from ceco3d.sparse import SparseTensor
from ceco3d.utils.errors import UserError
from tests.helpers.sparse import sparse_input


class Plain(Network):
    """Two convolutions without a U."""

    def __init__(self, in_channels, out_channels, width=8, engine=sparse):
        super().__init__()
        self.conv = engine.Convolution(in_channels, width, 3)
        self.norm, self.relu = engine.BatchNorm(width), engine.ReLU()
        self.feature_channels = width
        self.final = engine.Convolution(width, out_channels, 1, bias=True)
        self.register_buffer("offset", torch.full((width,), 0.5), persistent=False)

    def forward_features(self, x: SparseTensor) -> SparseTensor:
        x = self.relu(self.norm(self.conv(x)))
        return x.with_rows(x.rows + self.offset)


class OwnConvolution(sparse.Convolution):
    """Shows which engine made it."""


class OwnEngine:
    """The native layers but for convolutions."""

    Convolution = OwnConvolution
    SparseTensor, TransposedConvolution = SparseTensor, sparse.TransposedConvolution
    BatchNorm, ReLU = sparse.BatchNorm, sparse.ReLU


class NoFeatures(Network):
    """Lacks forward_features."""


class NoClassifier(Network):
    """Sets no attribute."""

    def __init__(self, in_channels, out_channels):
        super().__init__()

    def forward_features(self, x: SparseTensor) -> SparseTensor:
        return x


class NotANetwork(nn.Module):
    """Must not be built."""

    def __init__(self, **arguments):
        raise AssertionError("built")


PLAIN = {"_target_": f"{__name__}.Plain", "width": 6}


def make_input() -> SparseTensor:
    x, _ = sparse_input(0)
    return SparseTensor(x.features.detach().float(), x.coordinates)


def write(path, settings, weights, **sizes):
    model = settings | {"in_channels": 3, "out_channels": 5} | sizes
    setup = {"model": model, "label_space": None, "features": ["color"], "voxel_size": 0.02}
    torch.save({"setup": setup, "model": weights}, path)
    return path


def test_a_class_of_ones_own_is_built_from_its_path():
    model = build_network(PLAIN, 3, 5, engine=f"{__name__}.OwnEngine")
    assert type(model) is Plain
    assert type(model.conv) is OwnConvolution
    x = make_input()
    model.build_maps(x)
    features = model.forward_features(x)
    assert features.features.shape == (len(x), model.feature_channels) == (len(x), 6)
    assert torch.equal(model(x).features, model.final(features).features)
    with pytest.raises(UserError, match="Plain defines no receptive_radius"):
        model.receptive_radius  # noqa: B018


def test_settings_without_a_class_name_a_minkunet():
    torch.manual_seed(0)
    expected = build_model("MinkUNet14A", 3, 5, stem_kernel=3).state_dict()
    torch.manual_seed(0)
    found = build_network({"name": "MinkUNet14A", "stem_kernel": 3}, 3, 5).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_class_of_ones_own_round_trips_through_a_checkpoint(tmp_path):
    model = build_network(PLAIN, 3, 5)
    path = write(tmp_path / "own.pt", PLAIN, model.state_dict())
    state = torch.get_rng_state()
    loaded, setup = load_trained(path)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(loaded) is Plain
    assert setup["model"] == PLAIN | {"in_channels": 3, "out_channels": 5}
    x = make_input()
    for network in (loaded, fold_batch_norms(loaded)):
        assert torch.equal(network.eval()(x).features, model.eval()(x).features)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("os.system", "not a subclass of ceco3d.models.Network"),
        ("antigravity.Network", "not a subclass of ceco3d.models.Network"),
        ("pip.__main__.main", "not a subclass of ceco3d.models.Network"),
        ("torch.hub.load", "not a subclass of ceco3d.models.Network"),
        ("torch.nn.Linear", "not a subclass of ceco3d.models.Network"),
        (f"{__name__}.NotANetwork", "not a subclass of ceco3d.models.Network"),
        (f"{__name__}.Missing", "not a subclass of ceco3d.models.Network"),
        (f"{__name__}.NoFeatures", "forward_features"),
        (f"{__name__}.NoClassifier", "does not set feature_channels and final"),
        ("no_such_package.Net", "no_such_package"),
        ("Net", "not the dotted path"),
        ("..os.system", "not the dotted path"),
        ("a b.c\n", "not the dotted path"),
        (["os", "system"], "not the dotted path"),
        (None, "not the dotted path"),
    ],
)
def test_a_checkpoint_names_subclasses_of_network_only(tmp_path, monkeypatch, target, message):
    def called(*args, **kwargs):
        raise AssertionError("called")

    monkeypatch.setattr(os, "system", called)
    monkeypatch.setattr(torch.hub, "load", called)
    path = write(tmp_path / "bad.pt", {"_target_": target}, {})
    with pytest.raises(UserError, match=message) as caught:
        load_trained(path)
    assert "\n" not in str(caught.value)
    assert "antigravity" not in sys.modules
    assert "pip.__main__" not in sys.modules


@pytest.mark.parametrize("settings", [{"name": "MinkUNet14A", "stem_kernel": 3, "bn_momentum": 0.1}, PLAIN])
def test_a_checkpoint_names_no_engine(tmp_path, settings):
    weights = build_network(settings, 3, 5).state_dict()
    load_trained(write(tmp_path / "good.pt", settings, weights))
    with pytest.raises(UserError, match="unknown settings of the model: engine"):
        load_trained(write(tmp_path / "bad.pt", settings | {"engine": "os.path"}, weights))


def test_arguments_and_sizes_that_do_not_fit_are_refused(tmp_path):
    weights = build_network(PLAIN, 3, 5).state_dict()
    for settings, sizes, message in [
        (PLAIN | {"depth": 3}, {}, "depth"),
        (PLAIN, {"out_channels": 10**9}, "size mismatch of final.kernel"),
    ]:
        with pytest.raises(UserError, match=message):
            load_trained(write(tmp_path / "bad.pt", settings, weights, **sizes))
