"""What a checkpoint stores of a network: enough to load it, or an error before the training starts."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ceco3d.models import load_trained
from ceco3d.training import build
from ceco3d.training.checkpoint import save
from ceco3d.utils.components import Component
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.extensions import TwoLayers


def with_network(target, **arguments):
    return replace(settings_of("train", "dataset.root=/none"), model=Component("model", target, arguments, "mine"))


def test_what_training_stores_of_a_network_is_what_loading_reads(tmp_path):
    settings = with_network(TwoLayers)
    model = build.make_network(settings)
    setup = build.network_setup(settings, model.final.out_channels, settings.dataset.space())
    assert setup["model"]["_target_"] == "tests.helpers.extensions.TwoLayers"
    save(tmp_path / "last.pt", {"setup": setup, "model": model.state_dict()})
    loaded, _ = load_trained(tmp_path / "last.pt")
    assert type(loaded) is TwoLayers
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


def factory(in_channels, out_channels):
    return TwoLayers(in_channels=in_channels, out_channels=out_channels)


class Outer:
    class Nested(TwoLayers):
        pass


def test_a_network_that_a_checkpoint_cannot_name_is_an_error_at_the_start():
    class Local(TwoLayers):
        pass

    for target in (Local, Outer.Nested, factory):
        with pytest.raises(UserError, match="top level of a module") as caught:
            build.make_network(with_network(target))
        assert target.__qualname__ in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [Path("weights"), torch.ones(1), [Path("weights")], {"a": {1: 2}}, object()])
def test_arguments_that_a_checkpoint_cannot_store_are_an_error_at_the_start(value):
    with pytest.raises(UserError, match=r"model\.extra: checkpoints store plain values only"):
        build.make_network(with_network(TwoLayers, extra=value))


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "text", [1, 2], (1, 2), {"a": [1]}])
def test_plain_arguments_are_stored_as_they_are(value):
    assert build.network_arguments(Component("model", TwoLayers, {"extra": value}))["extra"] == value
