"""The operators of the engine: torch.compile and torch.export take whole networks without a break."""

import gc
import shutil

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from ceco3d import sparse
from ceco3d.models.fold import fold_batch_norms
from ceco3d.models.minkunet import MinkUNet
from ceco3d.sparse import SparseTensor, cat, normalization, operators
from ceco3d.sparse.maps.kernel_map import CoordinateManager
from tests.helpers.gpu import DEVICE, surface
from tests.helpers.thin import THIN

CHANNELS = 4
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


class Small(nn.Module):
    """Every kind of layer of the MinkUNets, from features and coordinates to logits."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = sparse.Convolution(CHANNELS, 8, 3), sparse.BatchNorm(8)
        self.down, self.inner = sparse.Convolution(8, 8, 2, stride=2), sparse.Convolution(8, 8, 3)
        self.up, self.final = sparse.TransposedConvolution(8, 8, 2, stride=2), sparse.Convolution(16, 5, 1, bias=True)

    def build_maps(self, x):
        self.inner.build_map(x, self.down.build_map(x, self.stem.build_map(x, 1)))

    def forward(self, x):
        x = self.norm(self.stem(x), relu=True)
        y = self.down(x)
        return self.final(cat([self.up(self.norm(self.inner(y), y)), x]))


class FromCoordinates(nn.Module):
    """A network as it is deployed: tensors in, tensors out."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, features, coordinates):
        return self.network(SparseTensor(features, coordinates)).features


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def make_input(voxels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(voxels, CHANNELS, generator=generator).to(DEVICE), surface(voxels, seed)


def prepared(network, voxels, seed=0):
    x = SparseTensor(*make_input(voxels, seed))
    network.build_maps(x)
    return x


def assert_near(found, wanted, share=1e-5):
    assert (found - wanted).abs().max() <= share * wanted.abs().max()


def test_compiled_networks_equal_eager_ones_and_take_any_number_of_voxels():
    network = Small().to(DEVICE).eval()
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(network, backend=counter, fullgraph=True)
    for seed, voxels in enumerate((90, 130, 170, 210)):
        with torch.no_grad():
            wanted = network(SparseTensor(*make_input(voxels, seed))).features
            assert torch.equal(compiled(prepared(network, voxels, seed)).features, wanted)
    assert counter.frame_count <= 2  # for one size, then for all


@pytest.mark.parametrize("backend", ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_networks_train(backend, monkeypatch):
    if backend == "inductor" and (DEVICE.type == "cpu" and shutil.which("g++") is None):
        pytest.skip("needs a C++ compiler")
    network = Small().to(DEVICE).train()
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    monkeypatch.setattr(normalization, "_fuses", lambda *call: False)  # a graph has torch's own batch norm
    for voxels in (90, 130):
        network(SparseTensor(*make_input(voxels))).features.square().mean().backward()
        wanted = [parameter.grad for parameter in network.parameters()]
        network.zero_grad(set_to_none=True)
        loss = compiled(prepared(network, voxels)).features.square().mean()
        gc.collect()  # the sparse tensor is gone, what the backward pass needs is not
        loss.backward()
        for parameter, gradient in zip(network.parameters(), wanted, strict=True):
            assert_near(parameter.grad, gradient)
        network.zero_grad(set_to_none=True)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_networks_respect_autocast(precision):
    network = Small().to(DEVICE).eval()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    with torch.no_grad(), torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bf16"):
        wanted, found = network(prepared(network, 90)).features, compiled(prepared(network, 90)).features
    assert found.dtype == wanted.dtype
    assert_near(found, wanted, 1e-5 if precision == "fp32" else 1e-2)  # a graph has torch's own batch norm


@pytest.mark.slow
@pytest.mark.parametrize("folded", [False, True])
def test_an_exported_network_is_saved_loaded_and_run(folded, tmp_path):
    """From coordinates to logits, for any number of voxels; folded batch norms add residuals in the convolutions."""
    torch.manual_seed(0)
    network = MinkUNet(THIN, CHANNELS, 5, stem_kernel=3).to(DEVICE).eval()
    whole = FromCoordinates(fold_batch_norms(network) if folded else network)
    size = torch.export.Dim("voxels", min=2, max=1 << 24)
    exported = torch.export.export(
        whole, make_input(150), dynamic_shapes={"features": {0: size}, "coordinates": {0: size}}
    )
    torch.export.save(exported, tmp_path / "network.pt2")
    loaded = torch.export.load(tmp_path / "network.pt2").module()
    for voxels in (150, 400):
        given = make_input(voxels, seed=voxels)
        with torch.no_grad():
            assert_near(loaded(*given), whole(*given))


def test_a_graph_checks_its_input_when_it_runs():
    network = FromCoordinates(Small().to(DEVICE).eval())
    size = torch.export.Dim("voxels", min=2, max=1 << 24)
    given = make_input(90)
    program = torch.export.export(
        network, given, dynamic_shapes={"features": {0: size}, "coordinates": {0: size}}
    ).module()
    features, coordinates = given
    with pytest.raises(ValueError, match="must be unique"):
        program(features, torch.zeros_like(coordinates))
    with pytest.raises(ValueError, match="NaN or infinity"):
        program(features / 0, coordinates)


def test_compiled_layers_ask_for_the_maps():
    network = Small().to(DEVICE).eval()
    with pytest.raises(Exception, match="call build_maps"):
        torch.compile(network, backend="eager", fullgraph=True)(SparseTensor(*make_input(90)))


def test_operators_keep_what_they_promise():
    """Schema, shapes of fake tensors and gradients, as torch checks them."""
    x = prepared(Small().to(DEVICE), 60)
    handle = operators.hold(x.manager.handle)
    features, weight = x.rows.clone().requires_grad_(), torch.randn(27, CHANNELS, 6, device=DEVICE, requires_grad=True)
    bias = torch.randn(6, device=DEVICE, requires_grad=True)
    arguments = (features, weight, bias, None, handle, len(x), 1, 1, 3, False, False, "native")
    torch.library.opcheck(
        operators.convolve, arguments, test_utils=("test_schema", "test_faketensor", "test_autograd_registration")
    )
    layer = sparse.Convolution(CHANNELS, 6, 3, bias=True).to(DEVICE)
    layer.load_state_dict({"kernel": weight, "bias": bias[None]})
    wanted = layer(x.with_rows(x.rows.clone().requires_grad_()))
    out = operators.convolve(*arguments)
    assert torch.equal(out, wanted.rows)
    gradients = torch.autograd.grad(out.square().sum(), (weight, bias))
    expected = torch.autograd.grad(wanted.rows.square().sum(), (layer.kernel, layer.bias))
    assert all(torch.equal(a, b.reshape(a.shape)) for a, b in zip(gradients, expected, strict=True))


def test_handles_hold_voxels_only_inside_a_graph():
    manager = CoordinateManager(torch.arange(5))
    plain, holding = manager.handle, operators.hold(manager.handle)
    del manager
    gc.collect()
    assert operators.hold(plain).item() == plain.item()
    del holding
    gc.collect()
    with pytest.raises(RuntimeError, match="voxels of this graph are gone"):
        operators.hold(plain)


def test_a_graph_names_engines_only_not_modules():
    x = prepared(Small().to(DEVICE), 60)
    weight = torch.ones(27, CHANNELS, 6, device=DEVICE)
    with pytest.raises(ValueError, match=r"unknown engine 'os.path' in a graph"):
        operators.convolve(x.rows, weight, None, None, x.manager.handle, len(x), 1, 1, 3, False, False, "os.path")
