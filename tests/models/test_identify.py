"""What the doctor says of a file of weights: who wrote it, the network, whether it fits."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import save_file

from ceco3d.models import build_model
from ceco3d.models.identify import identify
from ceco3d.models.minkowski04 import offset_order
from ceco3d.models.spunet import to_spunet
from ceco3d.utils.errors import UserError
from tests.helpers.weights import SETUP, write_weights


def told(path) -> str:
    lines = list(identify(path))
    assert all(line and "\n" not in line for line in lines)
    return "\n".join(lines)


def weights(name: str = "MinkUNet14A", channels: int = 3, side: int = 3):
    torch.manual_seed(0)
    return build_model(name, channels, 20, side).state_dict()


def test_a_checkpoint_of_ceco3d_says_everything(tmp_path):
    model = write_weights(tmp_path / "w.safetensors", temperature=1.5, trained_on="forty rooms")
    text = told(tmp_path / "w.safetensors")
    for part in ("written by ceco3d: MinkUNet14A, voxels of 0.1 m, features color, trained on forty rooms", "1.5"):
        assert part in text
    assert "classes: 20 of scannet20" in text
    assert "fits: checkpoint= of every command" in text
    torch.save({"setup": SETUP | {"label_space": None}, "model": model.state_dict()}, tmp_path / "csc.pt")
    assert "none, pretrained only" in told(tmp_path / "csc.pt")
    assert "fits: init= of train" in told(tmp_path / "csc.pt")


def named(prefix: str, state):
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(
    ("wrap", "writer"),
    [
        (
            lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}, "pytorch-lightning_version": "1"},
            "LGround does",
        ),
        (lambda s: {"state_dict": named("module.backbone.", s), "epoch": 3}, "Pointcept"),
        (lambda s: {"state_dict": s, "iteration": 60000, "arch": "Res16UNet34C"}, "SpatioTemporalSegmentation or CSC"),
        (lambda s: s, "does not say its name"),
    ],
)
def test_wrappers_of_other_projects_are_recognized(tmp_path, wrap, writer):
    torch.save(wrap(weights(side=5)), tmp_path / "w.pth")
    text = told(tmp_path / "w.pth")
    assert f"{writer}, for MinkowskiEngine 0.5" in text
    assert "network: MinkUNet14A, stem of 5^3, 3 input channels, 20 classes" in text
    assert "model=minkunet14a model.stem_kernel=5" in text


@pytest.mark.parametrize("name", ["MinkUNet14D", "MinkUNet34C", "MinkUNet34D", "MinkUNet50", "SpUNet34C"])
def test_the_network_is_the_one_whose_weights_all_fit(tmp_path, name):
    with torch.device("meta"):
        shapes = build_model(name, 9, 200, 3, engine="native").state_dict()
    save_file({key: torch.zeros(value.shape) for key, value in shapes.items()}, tmp_path / "w.safetensors")
    text = told(tmp_path / "w.safetensors")
    assert f"network: {name}, stem of 3^3, 9 input channels, 200 classes" in text
    assert f"model={name.lower()} " in text


@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_a_spunet_of_pointcept_fits(tmp_path, prefix):
    with torch.device("meta"):
        shapes = to_spunet(build_model("SpUNet34C", 6, 200, 5, engine="native").state_dict())
    state = {prefix + name: torch.zeros(value.shape) for name, value in shapes.items()}
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    text = told(tmp_path / "w.pth")
    assert "written by Pointcept (SpUNet, spconv)" in text
    assert "network: SpUNet34C, stem of 5^3, 6 input channels, 200 classes" in text
    assert "fits: train init=" in text
    assert "model=spunet34c" in text
    del state[f"{prefix}enc.3.block0.conv1.weight"]
    torch.save({"state_dict": state}, tmp_path / "cut.pth")
    assert "does not fit: a SpUNet, but not SpUNet-v1m1" in told(tmp_path / "cut.pth")


def test_minkowski_04_is_told_by_the_order_of_its_offsets(tmp_path):
    state, back = weights(), torch.tensor(offset_order()).argsort()
    for name, value in state.items():
        if name.startswith("block") and value.ndim == 3 and len(value) == 27:
            value[13] *= 5  # the center is the largest, as after a training
            state[name] = value[back]
    torch.save(state, tmp_path / "w.pth")
    assert "MinkowskiEngine 0.4" in told(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"backbone.conv_input.0.weight": torch.zeros(32, 5, 5, 5, 3)}, r"Pointcept \(SpUNet, spconv\)\ndoes not fit"),
        ({"backbone.embedding.stem.conv.weight": torch.zeros(3)}, "Point Transformer V3"),
        ({"encoder.weight": torch.zeros(3)}, "another project\ndoes not fit: no MinkUNet; its weights are named enc"),
        ({"conv0p1s1.kernel": torch.zeros(27, 3, 32)}, "does not fit: a MinkUNet, but none of"),
        ({"conv0p1s1.kernel": torch.zeros(27)}, "does not fit"),
        ({"conv0p1s1.kernel": torch.zeros(27, 0, 32)}, "does not fit"),
        ({"epoch": 3}, "no weights in it"),
        ({}, "no weights in it, but nothing"),
    ],
)
def test_what_does_not_fit_says_so(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pth")
    text = told(tmp_path / "w.pth")
    assert re.search(message, text), text


def test_files_that_are_no_checkpoint_are_one_line(tmp_path):
    (tmp_path / "w.pth").write_text("<html>")
    with pytest.raises(UserError, match="an HTML page, not a checkpoint"):
        told(tmp_path / "w.pth")


def test_the_doctor_prints_it(run_command, tmp_path):
    write_weights(tmp_path / "w.safetensors")
    outcome = run_command("doctor", f"checkpoint={tmp_path / 'w.safetensors'}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "written by ceco3d: MinkUNet14A" in outcome.out
    assert "packages" not in outcome.out
    missing = run_command("doctor", f"checkpoint={tmp_path / 'none.pt'}")
    assert missing.code == 2
    assert "no such checkpoint" in missing.err
