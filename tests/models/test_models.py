"""The MinkUNet family: names, shapes, parameter counts, weights."""

import pickle
import re

import pytest
import torch
from safetensors.torch import save_file

from ceco3d.models import build_model, load_weights
from ceco3d.models.fold import fold_batch_norms
from ceco3d.models.minkunet import VARIANTS, count_parameters
from ceco3d.sparse import SparseTensor
from ceco3d.utils.errors import UserError


def small_input(channels: int = 3) -> SparseTensor:
    generator = torch.Generator().manual_seed(0)
    coordinates = torch.unique(torch.randint(-9, 9, (150, 3), generator=generator), dim=0)
    coordinates = torch.cat([torch.arange(len(coordinates))[:, None] % 2, coordinates], dim=1)
    return SparseTensor(torch.randn(len(coordinates), channels, generator=generator), coordinates)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_runs_forward_and_backward(name):
    model = build_model(name, in_channels=3, out_channels=5, stem_kernel=3)
    x = small_input()
    y = model(x)
    assert y.features.shape == (len(x), 5)
    assert torch.equal(y.coordinates, x.coordinates)
    y.features.square().mean().backward()
    missing = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert not missing


# Counted from MinkowskiEngine's layer list (k = stem kernel, in = input channels, out = classes).
@pytest.mark.parametrize(
    ("name", "stem", "channels", "classes", "expected"),
    [
        ("MinkUNet34C", 5, 3, 200, 37_873_512),
        ("MinkUNet34C", 3, 3, 200, 37_864_104),
        ("MinkUNet34C", 5, 6, 200, 37_885_512),
        ("MinkUNet34C", 5, 9, 200, 37_897_512),
        ("MinkUNet34C", 5, 3, 20, 37_856_052),
        ("MinkUNet34D", 3, 3, 200, 79_429_800),
        ("MinkUNet34D", 3, 3, 20, 79_337_460),
        ("MinkUNet34A", 5, 3, 200, 36_619_112),
        ("MinkUNet34B", 5, 3, 200, 36_232_424),
        ("MinkUNet18A", 5, 3, 200, 15_510_632),
        ("MinkUNet14A", 5, 3, 200, 8_041_960),
        ("SpUNet34C", 5, 9, 200, 39_187_304),
        ("SpUNet34C", 5, 6, 200, 39_175_304),
        ("SpUNet34C", 5, 6, 20, 39_157_844),
    ],
)
def test_parameter_counts(name, stem, channels, classes, expected):
    assert count_parameters(build_model(name, channels, classes, stem)) == expected


def test_state_dict_is_minkowskiengines():
    state = build_model("MinkUNet34C", 3, 200, stem_kernel=5).state_dict()
    shapes = {
        "conv0p1s1.kernel": (125, 3, 32),
        "conv4p8s2.kernel": (8, 128, 128),
        "convtr4p16s2.kernel": (8, 256, 256),
        "convtr7p2s2.kernel": (8, 96, 96),
        "bn0.bn.weight": (32,),
        "bntr7.bn.running_var": (96,),
        "block1.0.conv1.kernel": (27, 32, 32),
        "block1.0.norm2.bn.num_batches_tracked": (),
        "block2.0.downsample.0.kernel": (32, 64),
        "block2.0.downsample.1.bn.bias": (64,),
        "block8.1.conv2.kernel": (27, 96, 96),
        "final.kernel": (96, 200),
        "final.bias": (1, 200),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    assert "block1.0.downsample.0.kernel" not in state
    assert not [name for name in state if name.endswith("bias") and "bn" not in name and name != "final.bias"]


def test_features_of_34d_have_both_signs_and_those_of_34c_do_not():
    x = small_input()
    assert build_model("MinkUNet34D", 3, 5, 3).forward_features(x).features.min() < 0
    assert build_model("MinkUNet34C", 3, 5, 3).forward_features(x).features.min() == 0


def test_momentum_reaches_the_norms_outside_the_blocks_only():
    model = build_model("MinkUNet14A", 3, 5, 3, bn_momentum=0.02)
    momenta = {name: m.momentum for name, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm1d)}
    assert momenta["bn0.bn"] == momenta["bntr7.bn"] == momenta["block2.0.downsample.1.bn"] == 0.02
    assert momenta["block2.0.norm1.bn"] == momenta["block2.0.norm2.bn"] == 0.1


def test_shuffled_rows_give_the_same_logits():
    model, x = build_model("MinkUNet14A", 3, 5, 3).eval(), small_input()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    y = model(SparseTensor(x.features[order], x.coordinates[order]))
    torch.testing.assert_close(y.features, model(x).features[order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_a_scene_of_few_voxels_trains(count):
    model = build_model("MinkUNet14A", 3, 5, 3).train()
    coordinates = torch.tensor([[0, 0, 0, 0], [0, 50, 0, 0]])[:count]
    loss = model(SparseTensor(torch.randn(count, 3), coordinates)).features.sum()
    loss.backward()
    assert loss.isfinite()


def test_unknown_names_list_the_choices():
    with pytest.raises(ValueError, match="MinkUNet34C"):
        build_model("MinkUNet99", 3, 5)
    with pytest.raises(ValueError, match=r"'minkunet34c'; did you mean MinkUNet34C"):
        build_model("minkunet34c", 3, 5)
    with pytest.raises(ValueError, match="native"):
        build_model("MinkUNet14A", 3, 5, engine="spconv")
    with pytest.raises(ValueError, match="did you mean triton"):
        build_model("MinkUNet14A", 3, 5, engine="tritn")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_round_trip(tmp_path, suffix):
    source, target = (build_model("MinkUNet14A", 3, 5, 3) for _ in range(2))
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": source.state_dict()}, path)
    else:
        save_file(source.state_dict(), path)
    load_weights(target, path)
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )


def test_skipped_weights_keep_their_values(tmp_path):
    source, target = build_model("MinkUNet14A", 3, 5, 3), build_model("MinkUNet14A", 3, 9, 3)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    before = target.final.kernel.clone()
    load_weights(target, tmp_path / "w.pth", leave_out=["final"])
    assert torch.equal(target.final.kernel, before)
    assert torch.equal(target.conv0p1s1.kernel, source.conv0p1s1.kernel)


class Payload:
    """A pickled object that loading a checkpoint must never run."""

    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no such checkpoint"),
        (lambda path: path.write_bytes(b""), "an empty file"),
        (lambda path: path.write_bytes(b"not a checkpoint"), r"a text, not a checkpoint \(not a"),
        (lambda path: path.write_bytes(b"junk\0"), "data of an unknown kind"),
        (lambda path: path.write_bytes(pickle.dumps(Payload(), protocol=2)), "a plain pickle .*print"),
        (lambda path: torch.save({"model": Payload()}, path), "no weights in this file, but objects of .*print"),
        (lambda path: torch.save([1, 2], path), "holds a list"),
        (lambda path: torch.save({"epoch": 3}, path), "no weights"),
        (lambda path: torch.save(build_model("MinkUNet18A", 3, 5, 3).state_dict(), path), "unexpected.*block1.1"),
        (lambda path: torch.save(build_model("MinkUNet14A", 6, 5, 3).state_dict(), path), "another shape.*conv0p1s1"),
    ],
)
def test_bad_weight_files_are_refused_in_one_line(tmp_path, capsys, write, message):
    path = tmp_path / "weights.pt"
    write(path)
    model = build_model("MinkUNet14A", 3, 5, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=message) as caught:
        load_weights(model, path)
    assert "\n" not in str(caught.value)
    assert "code ran" not in capsys.readouterr().out
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["MinkUNet14A", "MinkUNet34D", "MinkUNet50"])
def test_folded_batch_norms_compute_the_same(name):
    model = trained_like(build_model(name, 3, 5, 3)).eval()
    folded = fold_batch_norms(model)
    x = small_input()
    torch.testing.assert_close(folded(x).features, model(x).features, rtol=1e-4, atol=1e-4)
    assert not [key for key in folded.state_dict() if "bn" in key or "norm" in key]
    assert not folded.training
    assert "bn0.bn.weight" in model.state_dict()  # the original is unchanged


def trained_like(model):
    """Batch norms and kernels as after training: no unit scales, and kernels with the largest weights at the center."""
    generator = torch.Generator().manual_seed(0)
    for key, value in model.state_dict().items():
        if ".bn." in key and value.is_floating_point():
            value.uniform_(0.5, 1.5, generator=generator)
        elif key.endswith("kernel") and value.ndim == 3 and len(value) == 27:
            value[13] *= 2
    return model


def as_written_by_04(state):
    """The state_dict as MinkowskiEngine 0.4 numbers it, offset by offset from the center outward."""
    offsets = [(0, 0, 0), (-1, 0, 0), (1, 0, 0)]
    offsets += [(x, y, 0) for x in (0, -1, 1) for y in (-1, 1)]
    offsets += [(x, y, z) for x, y, _ in list(offsets) for z in (-1, 1)]
    order = [(x + 1) + 3 * (y + 1) + 9 * (z + 1) for x, y, z in offsets]
    assert sorted(order) == list(range(27))
    inside = re.compile(r"block\d\.\d\.conv\d\.kernel")
    return {k: v[order] if inside.fullmatch(k) and v.ndim == 3 and len(v) == 27 else v for k, v in state.items()}


@pytest.mark.parametrize("minkowski", ["auto", "0.4"])
def test_weights_of_minkowskiengine_04(tmp_path, minkowski):
    source = trained_like(build_model("MinkUNet18A", 3, 5, 3))
    torch.save(as_written_by_04(source.state_dict()), tmp_path / "old.pth")
    model = build_model("MinkUNet18A", 3, 5, 3)
    load_weights(model, tmp_path / "old.pth", minkowski=minkowski)
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in model.state_dict().items())


def test_auto_takes_weights_as_05_in_doubt(tmp_path):
    for source in (build_model("MinkUNet18A", 3, 5, 3), trained_like(build_model("MinkUNet18A", 3, 5, 3))):
        torch.save(source.state_dict(), tmp_path / "new.pth")
        model = build_model("MinkUNet18A", 3, 5, 3)
        load_weights(model, tmp_path / "new.pth")
        assert torch.equal(model.block3[0].conv1.kernel, source.block3[0].conv1.kernel)
    torch.save(as_written_by_04(source.state_dict()), tmp_path / "old.pth")
    load_weights(model, tmp_path / "old.pth", minkowski="0.5")
    assert not torch.equal(model.block3[0].conv1.kernel, source.block3[0].conv1.kernel)
    with pytest.raises(UserError, match=r"choose auto, 0.4 or 0.5"):
        load_weights(model, tmp_path / "old.pth", minkowski="0.3")
