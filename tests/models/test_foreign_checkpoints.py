"""Weights as other projects publish them: objects beside them, any prefix, other heads; and files that are none."""

from __future__ import annotations

import logging

import pytest
import torch
from safetensors.torch import save_file

from ceco3d.models import build_model, load_weights
from ceco3d.models.checkpoint_file import read_checkpoint
from ceco3d.utils.errors import UserError
from tests.helpers.foreign_checkpoints import NO_CHECKPOINTS, beside, objects


def network(classes: int = 5, seed: int = 0):
    torch.manual_seed(seed)
    return build_model("MinkUNet14A", 3, classes, 3)


@pytest.fixture(scope="module")
def source():
    return network(seed=1)


def loads(tmp_path, content, source, *, zipped=True, suffix=".pth", **keys) -> bool:
    """Whether a new network gets the weights of ``source`` from ``content``."""
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    model = network()
    load_weights(model, path, **keys)
    return all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", objects())
def test_what_lies_beside_the_weights_is_skipped_without_being_run(tmp_path, capsys, source, name, zipped):
    assert loads(tmp_path, {"state_dict": source.state_dict(), name: objects()[name]}, source, zipped=zipped)
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("zipped", [True, False])
def test_all_of_it_at_once_is_skipped_and_named(tmp_path, capsys, caplog, source, zipped):
    with caplog.at_level(logging.INFO):
        assert loads(tmp_path, beside(source.state_dict()), source, zipped=zipped)
    assert "left out what is neither tensor nor plain value (" in caplog.text
    assert "code ran" not in capsys.readouterr().out


def test_plain_values_are_kept(tmp_path):
    content = {"epoch": 3, "name": "a", "best": 0.5, "flags": [True, None], "nested": {"x": (1, 2)}}
    torch.save(content | {"time": objects()["time"]}, tmp_path / "a.pt")
    found, skipped = read_checkpoint(tmp_path / "a.pt")
    assert found == content
    assert skipped == ["datetime.datetime"]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "prefix",
    [
        *("", "model.", "module.", "encoder.", "net.", "backbone.", "_orig_mod.", "model.encoder."),
        *("module.backbone.", "module._orig_mod.", "model.model.backbone.", "student.", "a_name_of_nobody.x."),
    ],
)
def test_any_prefix_that_the_names_share_is_dropped(tmp_path, source, prefix, suffix):
    content = {prefix + name: value for name, value in source.state_dict().items()}
    assert loads(tmp_path, content, source, suffix=suffix)


@pytest.mark.parametrize("keys", [["model_state_dict"], ["network"], ["params"], ["ckpt", "model", "weights"]])
def test_weights_are_found_under_any_key(tmp_path, source, keys):
    content = source.state_dict()
    for key in reversed(keys):
        content = {key: content, "epoch": 7}
    assert loads(tmp_path, content, source)


def test_counts_of_batches_may_be_missing(tmp_path, source):
    content = {name: value for name, value in source.state_dict().items() if "num_batches" not in name}
    path = tmp_path / "a.pth"
    torch.save(content, path)
    model = network()
    load_weights(model, path)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in content.items())


def test_other_networks_and_heads_in_the_file_are_left_out_and_named(tmp_path, caplog, source):
    content = {f"backbone.{name}": value for name, value in source.state_dict().items()}
    content |= {"criterion.weight": torch.ones(5), "mask_head.0.weight": torch.ones(2, 2)}
    assert loads(tmp_path, {"state_dict": content}, source)
    assert "left out 2 weights that are not of this network (criterion.weight, mask_head.0.weight)" in caplog.text


def test_a_classifier_of_other_classes_is_left_out_and_named(tmp_path, caplog, source):
    torch.save(network(classes=20, seed=1).state_dict(), tmp_path / "a.pth")
    model, before = network(), network().state_dict()
    load_weights(model, tmp_path / "a.pth")
    assert "no classifier that fits; final keeps its initial values" in caplog.text
    for name, value in model.state_dict().items():
        assert torch.equal(value, (before if name.startswith("final.") else source.state_dict())[name]), name


@pytest.mark.parametrize("words", [("student.", "teacher."), ("model.", "model_ema."), ("encoder_q.", "encoder_k.")])
def test_the_network_is_taken_rather_than_its_averaged_copy(tmp_path, caplog, source, words):
    other = network(seed=2).state_dict()
    content = {words[0] + name: value for name, value in source.state_dict().items()}
    content |= {words[1] + name: value for name, value in other.items()}
    assert loads(tmp_path, content, source)
    assert f"holds the network more than once: taking {words[0][:-1]}, not {words[1][:-1]}" in caplog.text
    swapped = network(seed=2)
    assert loads(tmp_path, content, swapped, leave_out=[words[0]])


def test_two_networks_that_fit_equally_are_refused(tmp_path, source):
    content = {f"a.{name}": value for name, value in source.state_dict().items()}
    content |= {f"b.{name}": value for name, value in network(seed=2).state_dict().items()}
    with pytest.raises(UserError, match=r"holds the network more than once, under a, b; add all but one .*leave_out"):
        loads(tmp_path, content, source)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, source, number):
    content = {name: value.clone() for name, value in source.state_dict().items()}
    content["block1.0.conv1.kernel"][0, 0, 0] = number
    with pytest.raises(UserError, match=r"1 of \d+ weights have NaN or infinite values \(block1.0.conv1.kernel\)"):
        loads(tmp_path, content, source)


@pytest.mark.parametrize("name", NO_CHECKPOINTS)
def test_files_that_are_no_checkpoints_are_called_what_they_are(tmp_path, name):
    data, message = NO_CHECKPOINTS[name]
    path = tmp_path / "weights.pt"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        load_weights(network(), path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("share", [0.5, 0.999])
def test_a_download_that_was_cut_off_is_called_so(tmp_path, source, suffix, share):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(source.state_dict(), path)
    else:
        save_file(source.state_dict(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match="cut off before its end; download or copy it again"):
        load_weights(network(), path)
