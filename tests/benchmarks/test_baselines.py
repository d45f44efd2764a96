"""The baselines of the benchmark agree with ceco3d.sparse: on a GPU if there is one, else interpreted or in C++."""

import pytest
import torch

from ceco3d import sparse
from ceco3d.benchmarks.engines import working
from ceco3d.benchmarks.spconv_layers import spconv_layers
from ceco3d.benchmarks.systems import BASELINES, System, float32_matmul_precision
from ceco3d.models.minkunet import VARIANTS, MinkUNet
from ceco3d.utils.errors import UserError
from tests.helpers.benchmarks import DEVICE, compute_on_cpu, make_input, make_workload
from tests.helpers.thin import THIN

CHANNELS = 9


@pytest.fixture(params=BASELINES)
def layers(request, monkeypatch):
    """The layers on an installed baseline, made to compute on the CPU if there is no GPU."""
    name = request.param.replace("-", "_")
    library = pytest.importorskip("ocnn" if name == "ocnn" else f"{name}.pytorch")
    if DEVICE.type == "cpu":
        compute_on_cpu(monkeypatch, name, library)
    if name == "spconv":
        request.getfixturevalue("one_thread")  # on a CPU its sums race with more
    return System(request.param, "fp32").layers()


def stem_of(layers):
    """The side of the first kernel: ocnn has none above 3."""
    return 3 if layers.library == "ocnn" else 5


def assert_near(found, wanted, share=1e-5):
    assert (found - wanted).abs().max() <= share * wanted.abs().max()


def unet(layers, stem):
    """Every kind of convolution of the MinkUNets in sequence."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        layers.Convolution(CHANNELS, 8, stem),
        layers.Convolution(8, 16, 2, stride=2),
        layers.Convolution(16, 12, 3),
        layers.TransposedConvolution(12, 8, 2, stride=2),
        layers.Convolution(8, 6, 1, bias=True),
    ).to(DEVICE)


def test_layers_equal_ours_with_gradients(layers):
    stem = stem_of(layers)
    ours, baseline = unet(sparse, stem), unet(layers, stem)
    baseline.load_state_dict(ours.state_dict())
    outputs, leaves = [], []
    for namespace, network in ((sparse, ours), (layers, baseline)):
        features, coordinates = make_input()
        leaves.append(features.requires_grad_())
        outputs.append(network(namespace.SparseTensor(features, coordinates)).features)
        outputs[-1].square().sum().backward()
    assert_near(outputs[1], outputs[0])
    assert_near(leaves[1].grad, leaves[0].grad)
    baseline.load_state_dict({name: parameter.grad for name, parameter in ours.named_parameters()})  # its layout
    for wanted in baseline.parameters():
        assert_near(wanted.grad, wanted)


def test_logits_equal_ours(layers):
    variant = VARIANTS["MinkUNet14A"] if DEVICE.type == "cuda" else THIN
    features, coordinates = make_input()
    ours = MinkUNet(variant, CHANNELS, 20, stem_of(layers)).to(DEVICE).eval()
    baseline = MinkUNet(variant, CHANNELS, 20, stem_of(layers), engine=layers).to(DEVICE).eval()
    baseline.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        found = baseline(layers.SparseTensor(features, coordinates)).features
        assert_near(found, ours(sparse.SparseTensor(features, coordinates)).features)


def test_ocnn_refuses_kernels_that_it_lacks():
    pytest.importorskip("ocnn")
    with pytest.raises(ValueError, match=r"no 5\^3 kernels: model.stem_kernel=3"):
        System("ocnn", "fp16").layers().Convolution(3, 8, 5)


@pytest.mark.parametrize("size", [3, 1])
def test_baselines_compute_in_the_autocast_dtype(layers, size):
    if layers.library == "spconv" and DEVICE.type == "cpu":
        pytest.skip("spconv has no float16 on a CPU")
    features, coordinates = make_input()
    layer = layers.Convolution(CHANNELS, 8, size).to(DEVICE).eval()
    with torch.autocast(DEVICE.type, torch.float16):
        half = layer(layers.SparseTensor(features, coordinates)).features
    assert half.dtype == torch.float16
    assert_near(half.float(), layer(layers.SparseTensor(features, coordinates)).features, 1e-2)


def test_baselines_get_the_same_weights_and_are_cast_once_for_inference():
    pytest.importorskip("spconv_triton.pytorch")
    workload, system = make_workload(), System("spconv-triton", "bf16")
    training, inference = workload.network(system), workload.network(system, inference=True)
    assert training.conv0p1s1.conv.weight.dtype == torch.float32
    assert inference.conv0p1s1.conv.weight.dtype == torch.bfloat16
    assert inference.bn0.bn.weight.dtype == torch.float32
    ours = workload.network(System("native", "fp32"))
    assert torch.equal(training.final.conv.weight.flatten(), ours.final.kernel.flatten())


def test_tf32_is_on_during_measured_calls_only():
    constants = pytest.importorskip("spconv_triton.constants")
    for precision, allowed in (("tf32", True), ("fp32", False)):
        with System("spconv-triton", precision).matmul_precision():
            assert constants.SPCONV_ALLOW_TF32 is allowed
            assert torch.get_float32_matmul_precision() == ("high" if allowed else "highest")
        assert constants.SPCONV_ALLOW_TF32 is False
        assert torch.get_float32_matmul_precision() == "highest"
    with pytest.raises(RuntimeError), float32_matmul_precision("tf32"):
        raise RuntimeError
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(
    ("name", "device", "reason"),
    [
        ("native-fp32", "cpu", None),
        ("native-tf32", "cpu", "only GPUs"),
        ("native-tf32", "cuda", None),
        ("spconv-triton-fp32", "cpu", "needs a GPU"),
        ("spconv-triton-bf16", "cuda", None),
    ],
)
def test_unusable_systems_give_the_reason(name, device, reason):
    if name.startswith("spconv"):
        pytest.importorskip("spconv_triton.pytorch")
    found = System.named(name).unusable(torch.device(device))
    assert (reason is None and found is None) or reason in found


def test_names_of_systems():
    assert System.named("spconv-triton-fp16") == System("spconv-triton", "fp16")
    assert System.named("spconv-fp16").is_baseline
    assert System.named("ocnn-bf16").is_baseline
    for name in ("native", "spconv-triton", "torchsparse-fp16", "native-fp8"):
        with pytest.raises(UserError, match="ENGINE-PRECISION"):
            System.named(name)


def test_a_library_that_does_not_load_is_reported_in_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "spconv.pytorch", None)
    monkeypatch.setitem(__import__("sys").modules, "spconv", None)
    spconv_layers.cache_clear()
    assert "spconv does not load" in System("spconv", "fp32").unusable(torch.device("cuda"))


@pytest.mark.skipif(DEVICE.type == "cuda", reason="works on a GPU")
def test_baselines_that_fail_are_skipped(caplog):
    pytest.importorskip("spconv_triton.pytorch")
    systems = [System("native", "fp32"), System("spconv-triton", "fp32")]
    with caplog.at_level("INFO"):
        assert working(make_workload(), systems) == systems[:1]
    assert "skipping spconv-triton-fp32: AssertionError" in caplog.text
