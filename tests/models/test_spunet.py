"""Weights of Pointcept's SpUNet compute here what they compute on spconv's layers, and go back bit for bit."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from ceco3d.models import VARIANTS, MinkUNet, Variant, build_model, load_trained, load_weights
from ceco3d.models.blocks import BasicBlock
from ceco3d.models.spunet import to_spunet
from ceco3d.sparse import SparseTensor
from ceco3d.training.checkpoint import Position, inference_state
from ceco3d.utils.errors import UserError
from tests.helpers.benchmarks import compute_on_cpu, make_input
from tests.helpers.spunet import DENSE, SpUNet, randomize, spconv_input

SCRIPT = Path(__file__).parents[2] / "scripts" / "pointcept_weights.py"
CHANNELS, COUNTS = (16, 24, 32, 40, 32, 24, 16, 16), (2, 1, 1, 1, 1, 1, 2, 1)
SMALL = Variant(BasicBlock, COUNTS, CHANNELS, widens=True, eps=1e-3)


# Small convolutions wait for each other in more threads, and spconv's sums race on a CPU.
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=["dense", "spconv"])
def layers(request, monkeypatch):
    """spconv's layers on the CPU where it is installed, and dense convolutions."""
    if request.param == "dense":
        return DENSE
    library = pytest.importorskip("spconv.pytorch")
    compute_on_cpu(monkeypatch, "spconv", library)
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
    """In training only in float64: statistics of two voxels make float32 too coarse."""
    if training and layers is not DENSE:
        pytest.skip("spconv has no float64")
    share = 1e-9 if layers is DENSE else 1e-5
    reference, ours = theirs(layers), small()
    load_weights(ours, write(tmp_path / "model_best.pth", reference))
    features, coordinates = (value.cpu() for value in make_input())
    coordinates[:, 1:] -= coordinates[:, 1:].amin(0)
    if layers is DENSE:
        features, reference, ours = features.double(), reference.double(), ours.double()
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


def test_the_names_are_those_of_the_published_network():
    """Every name and shape of SpUNet-v1m1 with 9 inputs and 200 classes, built stage by stage."""
    with torch.device("meta"):
        reference = SpUNet(DENSE, 9, 200, VARIANTS["SpUNet34C"].planes, VARIANTS["SpUNet34C"].layers)
        ours = to_spunet(build_model("SpUNet34C", 9, 200).state_dict())
    assert sum(parameter.numel() for parameter in reference.parameters()) == 39_187_304  # counted in Pointcept
    assert {n: v.shape for n, v in ours.items()} == {n: v.shape for n, v in reference.state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
def test_weights_are_found_under_any_prefix_and_written_back_bit_for_bit(tmp_path, prefix):
    reference, ours = theirs(), small()
    load_weights(ours, write(tmp_path / "a.pth", reference, prefix))
    back = to_spunet(ours.state_dict())
    assert back.keys() == reference.state_dict().keys()
    assert all(torch.equal(back[name], value) for name, value in reference.state_dict().items())


@pytest.mark.parametrize("left_out", [["block5.0", "final"], ["dec.3.block0", "final"]])
def test_what_is_left_out_has_either_name(tmp_path, left_out):
    ours, wanted = small(), small()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    path = write(tmp_path / "a.pth", theirs())
    load_weights(wanted, path)
    load_weights(ours, path, leave_out=left_out)
    for name, value in ours.state_dict().items():
        source = before if name.startswith(("block5.0.", "final.")) else wanted.state_dict()
        assert torch.equal(value, source[name]), name


def test_a_head_of_other_classes_starts_fresh(tmp_path, caplog):
    ours = small(classes=7)
    load_weights(ours, write(tmp_path / "a.pth", theirs()))
    assert "no classifier that fits; final keeps its initial values" in caplog.text


@pytest.mark.parametrize(("inputs", "variant"), [(6, SMALL), (9, Variant(BasicBlock, COUNTS, CHANNELS))])
def test_other_networks_are_refused_with_the_names_of_the_file(tmp_path, inputs, variant):
    path = write(tmp_path / "a.pth", theirs())
    with pytest.raises(UserError, match=r"of another shape \((conv_input|down)\..*model=spunet34c") as caught:
        load_weights(small(inputs, variant=variant), path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"no setup in it.*scripts/pointcept_weights.py"):
        load_trained(path)


@pytest.fixture
def script(monkeypatch, capsys):
    """Run the script, for networks of the size of these tests; returns exit code, stdout and stderr."""
    spec = importlib.util.spec_from_file_location("pointcept_weights", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(VARIANTS, "SpUNet34C", SMALL)

    def run(*arguments):
        capsys.readouterr()
        code = 0
        try:
            module.main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("inputs", "options", "features"),
    [
        (9, ["--colors", "255"], ["coord", "rgb", "normal"]),
        (9, ["--colors", "127.5"], ["coord", "color", "normal"]),
        (6, ["--colors", "127.5", "--features", "color,normal"], ["color", "normal"]),
        (3, ["--features", "normal", "--voxel-size", "0.05"], ["normal"]),
    ],
)
def test_a_checkpoint_goes_to_ceco3d_and_back_bit_for_bit(tmp_path, script, inputs, options, features):
    reference = theirs(inputs=inputs, classes=200)
    source, ours, back = write(tmp_path / "model_best.pth", reference), tmp_path / "ours.pt", tmp_path / "back.pth"
    assert script("from", source, ours, *options)[0] == 0
    setup = load_trained(ours)[1]
    assert (setup["features"], setup["label_space"]) == (features, "scannet200")
    assert setup["voxel_size"] == (0.05 if "--voxel-size" in options else 0.02)
    code, out, _ = script("to", ours, back)
    assert code == 0
    assert f"in_channels={inputs} num_classes=200" in out
    assert ("colors scaled as --colors" in out) == ("--colors" in options)
    found = torch.load(back, weights_only=True)
    assert found["epoch"] == 0  # Pointcept's tester prints it
    state = {name.removeprefix("backbone."): value for name, value in found["state_dict"].items()}
    assert all(torch.equal(state.pop(name), value) for name, value in reference.state_dict().items())
    assert not state


def test_colors_are_scaled_as_before_version_1_6(tmp_path, script):
    """color / 127.5 - 1 is twice the feature color, color / 255 - 0.5."""
    reference = theirs(inputs=6, classes=200).eval()
    source, out = write(tmp_path / "model_best.pth", reference), tmp_path / "ours.pt"
    assert script("from", source, out, "--features", "coord,color", "--colors", "127.5")[0] == 0
    features, coordinates = (value.cpu() for value in make_input(6))
    coordinates[:, 1:] -= coordinates[:, 1:].amin(0)
    colors = torch.randint(256, (len(features), 3), generator=torch.Generator().manual_seed(0))
    given = torch.cat([features[:, :3], colors / 127.5 - 1], 1)
    ours = torch.cat([features[:, :3], colors / 255 - 0.5], 1)
    with torch.inference_mode():
        wanted = reference(spconv_input(DENSE, given, coordinates))
        assert_near(load_trained(out)[0].eval()(SparseTensor(ours, coordinates)).features, wanted, 1e-5)


@pytest.mark.parametrize(
    ("inputs", "classes", "options", "message"),
    [
        (9, 200, [], r"how were its colors scaled\? pass --colors 255"),
        (6, 200, ["--colors", "255"], r"what are its 6 inputs\? pass --features"),
        (6, 200, ["--colors", "255", "--features", "color"], "6 inputs, not --features color"),
        (6, 200, ["--colors", "255", "--features", "color,height"], "6 inputs, not --features color,height"),
        (9, 20, ["--colors", "255"], "predicts 20 classes, scannet200 has 200; pass --classes"),
        (9, 200, ["--colors", "255", "--classes", "scannet"], "unknown label space 'scannet'"),
        (9, 200, ["--colors", "255", "--voxel-size", "-1"], "--voxel-size -1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, script, inputs, classes, options, message):
    source = write(tmp_path / "model_best.pth", theirs(inputs=inputs, classes=classes))
    code, _, error = script("from", source, tmp_path / "out.pt", *options)
    assert code == 2
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert not (tmp_path / "out.pt").exists()


def own_checkpoint(path, features=("rgb", "normal"), name="SpUNet34C", stem=5):
    inputs = sum(1 if feature == "height" else 3 for feature in features)
    arguments = {"name": name, "stem_kernel": stem, "bn_momentum": 0.01}
    model = build_model(**arguments, in_channels=inputs, out_channels=20)
    stored = arguments | {"in_channels": inputs, "out_channels": 20}
    setup = {"model": stored, "label_space": "scannet20", "features": list(features), "voxel_size": 0.02}
    torch.save(inference_state(setup, Position(), model), path)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "MinkUNet14A"}, "MinkUNet14A with stem_kernel=5; Pointcept's SpUNet is model=spunet34c"),
        ({"stem": 3}, "SpUNet34C with stem_kernel=3"),
        ({"features": ("rgb", "height")}, "features=[rgb,height]; Pointcept has coord, color, normal"),
        ({"features": ("rgb", "color")}, "features=[rgb,color]; Pointcept has coord, color, normal, once each"),
    ],
)
def test_networks_that_pointcept_does_not_have_are_refused(tmp_path, script, options, message):
    code, _, error = script("to", own_checkpoint(tmp_path / "a.pt", **options), tmp_path / "out.pth")
    assert code == 2
    assert message in error


def test_files_of_neither_kind_and_the_input_itself_are_refused(tmp_path, script):
    torch.save({"state_dict": small().state_dict()}, tmp_path / "a.pth")
    assert "not the weights of Pointcept's SpUNet-v1m1" in script("from", tmp_path / "a.pth", tmp_path / "b.pt")[2]
    headless = theirs()
    del headless.final
    path = write(tmp_path / "c.pth", headless)
    assert "has no classifier (final.weight)" in script("from", path, tmp_path / "b.pt", "--colors", "255")[2]
    assert "would overwrite its input" in script("from", path, path)[2]
