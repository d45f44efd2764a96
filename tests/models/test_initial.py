"""Initial weights by name, against what the published trainings do with each layer."""

import math

import pytest
import torch

from ceco3d.models import build_model


def build(name="MinkUNet34C", **options):
    torch.manual_seed(0)
    return build_model(name, 9, 200, **options)


def std(value):
    return value.std().item()


def kernels(model):
    return {name: value for name, value in model.named_parameters() if name.endswith(".kernel")}


def test_kaiming_normal_has_the_deviation_of_minkowskiengines_fan_out():
    model, uniform = build(init="kaiming_normal"), build()
    for name, value in kernels(model).items():
        if name.startswith("convtr"):  # MinkowskiConvolutionTranspose is no MinkowskiConvolution
            assert std(value) == pytest.approx(std(uniform.get_parameter(name)), rel=0.05)
            continue
        fan = value.shape[0] * value.shape[2] if value.ndim == 3 else value.shape[0]
        assert std(value) == pytest.approx(math.sqrt(2 / fan), rel=0.06), name
        assert value.abs().max() > 2.5 * std(value), "not uniform"
    stem = "conv0p1s1.kernel"
    ratio = std(model.get_parameter(stem)) / std(uniform.get_parameter(stem))
    assert ratio == pytest.approx(math.sqrt(6 * 9 / 32), rel=0.05)
    block = "block1.0.conv1.kernel"  # 32 -> 32
    assert std(model.get_parameter(block)) / std(uniform.get_parameter(block)) == pytest.approx(2.449, rel=0.03)


def test_truncated_normal_is_that_of_spunet():
    model = build("SpUNet34C", bn_momentum=0.01, init="truncated_normal")
    for name, value in kernels(model).items():
        if name.startswith("conv") and name.endswith("s2.kernel"):  # strided and inverse convolutions keep spconv's
            bound = 1 / math.sqrt(value.shape[0] * value.shape[1])
            assert value.abs().max() <= bound
            assert std(value) == pytest.approx(bound / math.sqrt(3), rel=0.05), name
        else:
            assert std(value) == pytest.approx(0.02, rel=0.06), name
    assert (model.final.bias == 0).all()


def test_norms_of_spunet():
    model = build("SpUNet34C", bn_momentum=0.01)
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm1d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    plain = [layer for layer in build(bn_momentum=0.02).modules() if isinstance(layer, torch.nn.BatchNorm1d)]
    assert {(norm.eps, norm.momentum) for norm in plain} == {(1e-5, 0.02), (1e-5, 0.1)}


def test_strided_convolutions_of_spunet_widen():
    model = build("SpUNet34C")
    assert [model.get_parameter(f"conv{k}p{2 ** (k - 1)}s2.kernel").shape[1:] for k in range(1, 5)] == [
        (32, 32), (32, 64), (64, 128), (128, 256),
    ]  # fmt: skip
    assert model.block2[0].downsample is None


def test_an_unknown_start_is_an_error():
    with pytest.raises(ValueError, match="unknown init 'xavier'; choose one of uniform, kaiming_normal"):
        build(init="xavier")
