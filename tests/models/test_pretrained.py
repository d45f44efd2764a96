"""Weights with their setup in one safetensors file, and the file that comes with the package."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ceco3d.data.labels import LabelBlock, label_space
from ceco3d.models import build_model, load_trained, load_weights
from ceco3d.models.pretrained import SHIPPED, describe_setup, weights_name, weights_path
from ceco3d.utils.errors import UserError
from tests.helpers.label_spaces import named
from tests.helpers.source import ROOT
from tests.helpers.weights import MODEL, SETUP, write_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def ship():
    spec = importlib.util.spec_from_file_location("ship_weights", ROOT / "scripts/ship_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="module")
def source(folder):
    return write_weights(folder / "w.safetensors", temperature=1.5, trained_on="forty rooms")


def test_weights_come_back_in_float32_rounded_to_bfloat16_where_they_are_many(folder, source):
    model, setup = load_trained(folder / "w.safetensors")
    assert setup == SETUP | {"temperature": 1.5, "trained_on": "forty rooms"}
    for name, value in source.state_dict().items():
        found = model.state_dict()[name]
        assert found.dtype == value.dtype
        expected = value.bfloat16().float() if value.ndim > 2 else value
        assert torch.equal(found, expected), name
    assert describe_setup(setup) == "MinkUNet14A, voxels of 0.1 m, features color, trained on forty rooms"


def test_a_training_takes_over_the_classifier_by_the_names_of_the_classes(folder, source):
    space = label_space("scannet20")
    model = build_model(**MODEL | {"out_channels": 3})
    few = named("pump", space.names[4], "valve")
    load_weights(model, folder / "w.safetensors", classes=[LabelBlock("", few, 0)])
    assert torch.equal(model.final.kernel[:, 1], source.final.kernel[:, 4])
    assert not torch.equal(model.final.kernel[:, 0], source.final.kernel[:, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0}, "temperature is not a number"),
        ({"temperature": float("nan")}, "temperature is not a number"),
        ({"temperature": "2"}, "temperature is not a number"),
        ({"voxel_size": float("inf")}, "voxel_size is not a length"),
        ({"features": [3]}, "features are not names"),
        ({"label_space": "nothing"}, "cannot rebuild|nothing"),
        ({"model": MODEL | {"engine": "os.system"}}, "unknown settings of the model: engine"),
        ({"model": MODEL | {"out_channels": 10**30}}, "cannot rebuild"),
        ({"model": MODEL | {"out_channels": 21}}, "size mismatch of final"),
        ({"model": {"_target_": "os.system", "in_channels": 3, "out_channels": 20}}, "not a subclass"),
        ({"model": None}, "cannot rebuild"),
    ],
)
def test_a_setup_is_not_trusted(tmp_path, changes, message):
    write_weights(tmp_path / "w.safetensors", **changes)
    with pytest.raises(UserError, match=message) as caught:
        load_trained(tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stored", ["", "{", "[" * 5000, "null", "[]", "3", '{"model": 3}'])
def test_metadata_that_are_no_setup_are_one_line(tmp_path, stored):
    save_file({"a": torch.zeros(3)}, tmp_path / "w.safetensors", {"ceco3d": stored})
    with pytest.raises(UserError, match=r"w\.safetensors: ") as caught:
        load_trained(tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_weights_without_a_setup_go_into_init_only(tmp_path):
    save_file(build_model(**MODEL).state_dict(), tmp_path / "w.safetensors", {"format": "pt"})
    load_weights(build_model(**MODEL), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="weights alone go into init="):
        load_trained(tmp_path / "w.safetensors")


def test_the_word_stands_for_the_shipped_file_and_a_path_for_itself():
    assert weights_path("pretrained") == SHIPPED
    assert weights_path("./pretrained") == weights_path(Path("pretrained")) == Path("pretrained")
    assert [weights_name(SHIPPED), weights_name("best.pt")] == ["pretrained", "best.pt"]


def test_a_package_without_the_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("ceco3d.models.pretrained.SHIPPED", tmp_path / "none")
    with pytest.raises(UserError, match=r"has no .*none; name a checkpoint"):
        weights_path("pretrained")


def test_the_shipped_file_has_the_promised_format():
    assert SHIPPED.stat().st_size <= 32e6
    model, setup = load_trained(SHIPPED)
    assert setup["model"]["name"] == "MinkUNet14A"
    assert setup["label_space"] == "scannet200"
    assert model.final.kernel.shape[1] == 200
    assert setup["trained_on"]
    with safe_open(SHIPPED, "pt") as file:
        kinds = {name: file.get_tensor(name).dtype for name in list(file.keys())}
    assert kinds["conv0p1s1.kernel"] == kinds["block4.0.conv1.kernel"] == torch.bfloat16


def test_a_checkpoint_becomes_such_a_file(tmp_path, folder, source, ship, capsys):
    torch.save({"setup": SETUP, "model": source.state_dict()}, tmp_path / "best.pt")
    ship([str(tmp_path / "best.pt"), str(tmp_path / "w.safetensors"), "temperature=1.5", "trained_on=forty rooms"])
    assert "trained on forty rooms" in capsys.readouterr().out
    assert (tmp_path / "w.safetensors").read_bytes() == (folder / "w.safetensors").read_bytes()
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert json.loads(file.metadata()["ceco3d"])["temperature"] == 1.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["w.pt"], "usage"),
        (["w.pt", "a.safetensors", "temprature=2"], "temprature: no such key"),
        (["w.pt", "a.safetensors"], "w.pt: no such checkpoint"),
        (["w.pt", "a.pt"], "must end in .safetensors"),
        (["W", "a.safetensors", "temperature=hot"], "temperature=hot: must be a number"),
    ],
)
def test_wrong_arguments_of_the_script_are_one_line(arguments, message, folder, source, ship, capsys):
    with pytest.raises(SystemExit) as ended:
        ship([str(folder / "w.safetensors") if word == "W" else word for word in arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
