"""Layers that act on features alone: against torch on the features, and against MinkowskiEngine."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ceco3d.minkowski as ME
from ceco3d.minkowski import functional, nonlinearity
from tests.helpers.minkowski_engine import minkowski_engine, needs_minkowski

ARGUMENTS = {
    "threshold": (0.1, 20.0),
    "prelu": (torch.tensor([0.3]),),
    "softmin": (1,),
    "softmax": (1,),
    "log_softmax": (1,),
    "batch_norm": (torch.zeros(4), torch.ones(4)),
    "linear": (torch.ones(2, 4),),
}
RANDOM = ("rrelu", "dropout", "alpha_dropout", "gumbel_softmax")
LOSSES = {
    "binary_cross_entropy": lambda x: (torch.sigmoid(x), torch.sigmoid(x).round()),
    "cross_entropy": lambda x: (x, torch.arange(len(x)) % 4),
    "nll_loss": lambda x: (F.log_softmax(x, 1), torch.arange(len(x)) % 4),
    "kl_div": lambda x: (F.log_softmax(x, 1), F.softmax(-x, 1)),
    "multi_margin_loss": lambda x: (x, torch.arange(len(x)) % 4),
    "multilabel_margin_loss": lambda x: (x, torch.zeros(len(x), 4).long()),
}
MODULES = {
    name: value
    for name, value in vars(nonlinearity).items()
    if inspect.isclass(value) and issubclass(value, nonlinearity.MinkowskiNonlinearityBase) and hasattr(value, "MODULE")
}
MODULE_ARGUMENTS = {
    "MinkowskiThreshold": (0.1, 20.0),
    "MinkowskiAdaptiveLogSoftmaxWithLoss": (4, 8, [2]),
    **{f"Minkowski{name}": (1,) for name in ("Softmin", "Softmax", "LogSoftmax")},
}


def voxels() -> torch.Tensor:
    """Two batch items, rows in no order."""
    grid = torch.cartesian_prod(*[torch.arange(2)] * 4).int()
    return grid[torch.randperm(16, generator=torch.Generator().manual_seed(3))[:11]]


def values(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(11, 4, dtype=dtype, generator=torch.Generator().manual_seed(4)).requires_grad_()


def sparse(dtype: torch.dtype = torch.float64):
    return ME.SparseTensor(values(dtype), coordinates=voxels())


def field():
    return ME.TensorField(torch.randn(11, 4).double(), coordinates=voxels().float() + 0.25)


def functions(kind):
    return sorted(
        name for name, value in vars(functional).items() if value.__class__.__name__ == "function" and kind(value)
    )


MAPS = functions(lambda value: (value.__doc__ or "").startswith("The same coordinates with ``torch"))
LOSS_NAMES = functions(lambda value: (value.__doc__ or "").startswith("The loss"))


def test_no_function_is_left_out():
    assert len(MAPS) == 32
    assert len(LOSS_NAMES) == 14


@pytest.mark.parametrize("make", [sparse, field])
@pytest.mark.parametrize("name", MAPS)
def test_functions_act_on_the_features_row_by_row(name, make):
    x, arguments = make(), ARGUMENTS.get(name, ())
    arguments = tuple(value.double() if isinstance(value, torch.Tensor) else value for value in arguments)
    y = getattr(functional, name)(x, *arguments)
    assert type(y) is type(x)
    assert torch.equal(y.C, x.C)
    if name in RANDOM:
        assert len(y.F) == len(x.F)
    else:
        torch.testing.assert_close(y.F, getattr(F, name)(x.F, *arguments))


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # kl_div
@pytest.mark.parametrize("name", LOSS_NAMES)
def test_losses_take_the_features_and_a_target_in_their_order(name):
    given, target = LOSSES.get(name, lambda x: (x, torch.sign(x)))(values().detach())
    x = ME.SparseTensor(given, coordinates=voxels())
    torch.testing.assert_close(getattr(functional, name)(x, target), getattr(F, name)(given, target))


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"MinkowskiAdaptiveLogSoftmaxWithLoss"}))
def test_activations_are_those_of_torch(name):
    layer = MODULES[name](*MODULE_ARGUMENTS.get(name, ())).double().eval()
    x = sparse()
    y = layer(x)
    assert torch.equal(y.C, x.C)
    assert y.coordinate_map_key == x.coordinate_map_key
    torch.testing.assert_close(y.F, layer.module(x.F))
    y.F.sum().backward()
    assert x.F.grad is not None


@needs_minkowski
def test_the_names_of_the_layers_are_minkowskiengines():
    theirs = minkowski_engine()
    assert set(MODULES) <= set(dir(theirs))
    for name in MODULES:
        arguments = MODULE_ARGUMENTS.get(name, ())
        ours, other = getattr(ME, name)(*arguments), getattr(theirs, name)(*arguments)
        assert repr(ours) == repr(other)
        assert list(ours.state_dict()) == list(other.state_dict())


@pytest.mark.parametrize("layer", [ME.MinkowskiReLU(), ME.MinkowskiLinear(4, 4), ME.MinkowskiBatchNorm(4)])
def test_a_plain_tensor_is_refused(layer):
    with pytest.raises(TypeError, match="expected a SparseTensor or a TensorField, got Tensor"):
        layer(torch.zeros(3, 4))


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_dropout_zeroes_rows_in_training_only(p):
    layer, x = ME.MinkowskiDropout(p), sparse()
    dropped = (layer(x).F == 0).float().mean()
    assert 0.2 < dropped < 0.8 if p == 0.5 else dropped == p
    assert torch.equal(layer.eval()(x).F, x.F)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("make", [sparse, field])
def test_linear_is_torchs(bias, make):
    layer, x = ME.MinkowskiLinear(4, 6, bias=bias).double(), make()
    torch.testing.assert_close(layer(x).F, layer.linear(x.F))
    assert repr(layer) == f"MinkowskiLinear(in_features=4, out_features=6, bias={bias})"


def test_sinusoids_by_hand():
    layer, x = ME.MinkowskiSinusoidal(4, 3).double(), sparse()
    torch.testing.assert_close(layer(x).F, torch.sin(x.F @ layer.kernel + layer.bias) * layer.coef)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}, {"momentum": None}])
@pytest.mark.parametrize("make", [sparse, field])
def test_batch_norm_is_torchs(training, options, make):
    ours, torchs = ME.MinkowskiBatchNorm(4, **options).double(), nn.BatchNorm1d(4, **options).double()
    for _ in range(2):
        x = make()
        y, expected = ours.train(training)(x), torchs.train(training)(x.F)
        torch.testing.assert_close(y.F, expected)
        torch.testing.assert_close(dict(ours.bn.state_dict()), dict(torchs.state_dict()))


def test_converted_norms_share_their_parameters():
    network = nn.Sequential(ME.MinkowskiBatchNorm(4), nn.Sequential(ME.MinkowskiReLU(), ME.MinkowskiBatchNorm(3)))
    first, inner = network[0], network[1][1]
    converted = ME.MinkowskiSyncBatchNorm.convert_sync_batchnorm(network.eval())
    assert converted is network
    for old, new in ((first, network[0]), (inner, network[1][1])):
        assert isinstance(new, ME.MinkowskiSyncBatchNorm)
        assert isinstance(new.bn, nn.SyncBatchNorm)
        assert new.bn.weight is old.bn.weight
        assert new.bn.running_mean is old.bn.running_mean
        assert not new.training
    assert ME.MinkowskiSyncBatchNorm.convert_sync_batchnorm(network)[0] is network[0]
    x = sparse(torch.float32)
    torch.testing.assert_close(network[0](x).F, first.eval()(x).F)


@pytest.mark.parametrize(("layer", "eps"), [(ME.MinkowskiInstanceNorm, 1e-8), (ME.MinkowskiStableInstanceNorm, 1e-6)])
def test_instance_norm_by_hand(layer, eps):
    norm, x = layer(4).double(), sparse()
    with torch.no_grad():
        norm.weight.uniform_(1, 2)
        norm.bias.uniform_(-1, 1)
    expected = torch.empty_like(x.F)
    for item in (0, 1):
        rows = x.C[:, 0] == item
        part = x.F[rows]
        normal = (part - part.mean(0)) / (part.var(0, unbiased=False) + eps).sqrt()
        expected[rows] = normal * norm.weight + norm.bias
    torch.testing.assert_close(norm(x).F, expected)
    norm.reset_parameters()
    assert (norm.weight == 1).all()
    assert (norm.bias == 0).all()


@needs_minkowski
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_instance_norm_and_its_gradient_equal_minkowskiengine():
    found = []
    for engine in (ME, minkowski_engine()):
        given = values()
        y = engine.MinkowskiInstanceNorm(4).double()(engine.SparseTensor(given, coordinates=voxels()))
        (y.F * torch.arange(44).reshape(11, 4).sin()).sum().backward()
        found.append((y.F.detach(), given.grad))
    torch.testing.assert_close(*found)


def test_instance_norm_wants_a_sparse_tensor():
    with pytest.raises(TypeError, match="expected a SparseTensor, got TensorField"):
        ME.MinkowskiInstanceNorm(4)(field())


def test_instance_norm_of_half_precision_computes_in_float32():
    x = sparse(torch.float32)
    half = ME.SparseTensor(x.F.detach().bfloat16(), coordinates=x.C)
    norm = ME.MinkowskiInstanceNorm(4)
    expected = norm(ME.SparseTensor(half.F.float(), coordinates=x.C)).F.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(norm(half).F, expected)


def test_products_with_sparse_matrices_are_dense_ones():
    rows, cols = torch.tensor([2, 0, 2, 0, 3]), torch.tensor([1, 1, 1, 2, 0])
    vals, mat = torch.rand(5).double(), torch.rand(3, 2).double().requires_grad_()
    dense = torch.zeros(5, 3).double().index_put((rows, cols), vals, accumulate=True)
    torch.testing.assert_close(ME.spmm(rows, cols, vals, (5, 3), mat), dense @ mat)
    apply = ME.MinkowskiSPMMFunction.apply
    assert torch.autograd.gradcheck(lambda m: apply(rows.int(), cols.int(), vals, torch.Size((5, 3)), m), mat)


def test_means_with_sparse_matrices_by_hand():
    rows, cols = torch.tensor([2, 0, 2, 0, 3]), torch.tensor([1, 1, 0, 2, 0])
    mat = torch.rand(3, 2).double().requires_grad_()
    found = ME.MinkowskiSPMMAverageFunction.apply(rows, cols, torch.Size((5, 3)), mat)
    expected = [mat[[1, 2]].mean(0), mat[0] * 0, mat[[0, 1]].mean(0), mat[0], mat[0] * 0]
    torch.testing.assert_close(found, torch.stack(expected))
    apply = ME.MinkowskiSPMMAverageFunction.apply
    assert torch.autograd.gradcheck(lambda m: apply(rows, cols, torch.Size((5, 3)), m), mat)


@pytest.mark.parametrize("bad", [{"rows": torch.zeros(2)}, {"vals": torch.zeros(3)}, {"vals": torch.zeros(1).double()}])
def test_products_name_what_does_not_fit(bad):
    given = {"rows": torch.zeros(3), "cols": torch.zeros(3), "vals": torch.zeros(3).double(), **bad}
    with pytest.raises(AssertionError, match=r"Invalid length|dtype"):
        ME.spmm(**given, size=(1, 1), mat=torch.zeros(1, 1).double())


def test_a_network_without_forward_is_abstract():
    class Net(ME.MinkowskiNetwork):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Net(3)
