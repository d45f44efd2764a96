"""The peers of the benchmark against ceco3d.sparse: on a GPU where there is one, else interpreted or in their C++."""

import pytest
import torch

from ceco3d import sparse
from ceco3d.benchmarks.engines import working
from ceco3d.benchmarks.spconv_layers import spconv_layers
from ceco3d.benchmarks.systems import PEERS, System, float32_products
from ceco3d.models import build_model
from ceco3d.models.minkunet import VARIANTS, MinkUNet
from ceco3d.utils.errors import UserError
from tests.helpers.benchmarks import DEVICE, make_input, make_work

CHANNELS = 9


@pytest.fixture(params=PEERS.values())
def layers(request, monkeypatch):
    """The namespace of layers on a peer that is installed; without a GPU it is made to compute on the CPU."""
    library = pytest.importorskip(f"{request.param}.pytorch")
    if DEVICE.type == "cpu" and request.param == "spconv_triton":
        _interpret(monkeypatch)
    elif DEVICE.type == "cpu":
        native = {"algo": library.ConvAlgo.Native}  # the only one that spconv has on a CPU
        for name in ("SubMConv3d", "SparseConv3d", "SparseInverseConv3d"):
            layer = getattr(library, name)
            monkeypatch.setattr(library, name, lambda *args, layer=layer, **options: layer(*args, **options | native))
    return spconv_layers(request.param)


def _interpret(monkeypatch):
    """Keep spconv-triton from asking for a GPU: to check tensors, to count its processors, to tune its tiles on it."""
    from spconv_triton.pytorch._impl import gemm, pair_kernels

    monkeypatch.setattr(torch.Tensor, "is_cuda", True, raising=False)
    monkeypatch.setattr(gemm, "_multiprocessor_count", lambda device: 1)
    for kernel in (*vars(gemm).values(), *vars(pair_kernels).values()):
        if hasattr(kernel, "configs"):
            monkeypatch.setattr(kernel, "configs", kernel.configs[:1])


def assert_near(found, wanted, share=1e-5):
    assert (found - wanted).abs().max() <= share * wanted.abs().max()


def unet(layers):
    """Every kind of convolution of the MinkUNets, each after the other."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        layers.Convolution(CHANNELS, 8, 5),
        layers.Convolution(8, 16, 2, stride=2),
        layers.Convolution(16, 12, 3),
        layers.TransposedConvolution(12, 8, 2, stride=2),
        layers.Convolution(8, 6, 1, bias=True),
    ).to(DEVICE)


def test_layers_equal_ours_with_gradients(layers):
    ours, peers = unet(sparse), unet(layers)
    peers.load_state_dict(ours.state_dict())
    outputs, leaves = [], []
    for namespace, network in ((sparse, ours), (layers, peers)):
        features, coordinates = make_input()
        leaves.append(features.requires_grad_())
        outputs.append(network(namespace.SparseTensor(features, coordinates)).features)
        outputs[-1].square().sum().backward()
    assert_near(outputs[1], outputs[0])
    assert_near(leaves[1].grad, leaves[0].grad)
    peers.load_state_dict({name: parameter.grad for name, parameter in ours.named_parameters()})  # in their layout
    for wanted in peers.parameters():
        assert_near(wanted.grad, wanted)


@pytest.mark.slow
def test_logits_equal_ours(layers):
    features, coordinates = make_input()
    ours = build_model("MinkUNet14A", CHANNELS, 20).to(DEVICE).eval()
    peer = MinkUNet(VARIANTS["MinkUNet14A"], CHANNELS, 20, engine=layers).to(DEVICE).eval()
    peer.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        found = peer(layers.SparseTensor(features, coordinates)).features
        assert_near(found, ours(sparse.SparseTensor(features, coordinates)).features)


@pytest.mark.parametrize("size", [3, 1])
def test_autocast_decides_what_peers_compute_in(layers, size):
    if layers.library == "spconv" and DEVICE.type == "cpu":
        pytest.skip("spconv has no float16 on a CPU")
    features, coordinates = make_input()
    layer = layers.Convolution(CHANNELS, 8, size).to(DEVICE).eval()
    with torch.autocast(DEVICE.type, torch.float16):
        half = layer(layers.SparseTensor(features, coordinates)).features
    assert half.dtype == torch.float16
    assert_near(half.float(), layer(layers.SparseTensor(features, coordinates)).features, 1e-2)


def test_peers_get_the_same_weights_and_are_cast_once_for_inference():
    pytest.importorskip("spconv_triton.pytorch")
    work, system = make_work(), System("spconv-triton", "bf16")
    training, inference = work.network(system), work.network(system, inference=True)
    assert training.conv0p1s1.conv.weight.dtype == torch.float32
    assert inference.conv0p1s1.conv.weight.dtype == torch.bfloat16
    assert inference.bn0.bn.weight.dtype == torch.float32
    ours = work.network(System("native", "fp32"))
    assert torch.equal(training.final.conv.weight.flatten(), ours.final.kernel.flatten())


def test_tf32_is_switched_for_the_measured_call_only():
    constants = pytest.importorskip("spconv_triton.constants")
    for precision, allowed in (("tf32", True), ("fp32", False)):
        with System("spconv-triton", precision).products():
            assert constants.SPCONV_ALLOW_TF32 is allowed
            assert torch.get_float32_matmul_precision() == ("high" if allowed else "highest")
        assert constants.SPCONV_ALLOW_TF32 is False
        assert torch.get_float32_matmul_precision() == "highest"
    with pytest.raises(RuntimeError), float32_products("tf32"):
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
def test_what_can_be_measured(name, device, reason):
    if name.startswith("spconv"):
        pytest.importorskip("spconv_triton.pytorch")
    found = System.named(name).unusable(torch.device(device))
    assert (reason is None and found is None) or reason in found


def test_names_of_systems():
    assert System.named("spconv-triton-fp16") == System("spconv-triton", "fp16")
    assert System.named("spconv-fp16").peer
    for name in ("native", "spconv-triton", "torchsparse-fp16", "native-fp8"):
        with pytest.raises(UserError, match="ENGINE-PRECISION"):
            System.named(name)


def test_a_library_that_does_not_load_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "spconv.pytorch", None)
    monkeypatch.setitem(__import__("sys").modules, "spconv", None)
    spconv_layers.cache_clear()
    assert "spconv does not load" in System("spconv", "fp32").unusable(torch.device("cuda"))


@pytest.mark.skipif(DEVICE.type == "cuda", reason="works on a GPU")
def test_peers_that_fail_are_left_out(capsys):
    pytest.importorskip("spconv_triton.pytorch")
    systems = [System("native", "fp32"), System("spconv-triton", "fp32")]
    assert working(make_work(), systems) == systems[:1]
    assert "leaving out spconv-triton-fp32: AssertionError" in capsys.readouterr().out
