"""Batch norm, residual and ReLU in one operation, against torch's batch norm in float64.

By the kernels in C++ and those in Triton, compiled on a GPU if there is one, else interpreted.
"""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from ceco3d.models import build_model
from ceco3d.sparse import BatchNorm, SparseTensor
from ceco3d.sparse.cpp.build import library
from ceco3d.sparse.kernels import normalize
from ceco3d.sparse.normalization import batch_norm
from tests.helpers.sparse import sparse_input

try:
    from ceco3d.sparse.kernels import triton_normalize
except ModuleNotFoundError:
    triton_normalize = None

compiled = pytest.mark.skipif(library() is None, reason="no C++ compiler")
every_kernel = pytest.mark.parametrize("kernels", [normalize, triton_normalize], ids=["cpp", "triton"])
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-3}


def skip_without(kernels):
    if kernels is None or not kernels.supports(torch.zeros(2, 1)):
        pytest.skip("these kernels do not run here")


def make_norm(channels, training=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    bn = nn.BatchNorm1d(channels, momentum=0.3)
    with torch.no_grad():
        bn.weight.copy_(torch.randn(channels, generator=generator))
        bn.bias.copy_(torch.randn(channels, generator=generator))
        bn.running_mean.copy_(torch.randn(channels, generator=generator))
        bn.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
    return bn.train(training)


def make_rows(rows, channels, dtype, residual, seed=0):
    """(x, residual or None, gradient of the output)."""
    generator = torch.Generator().manual_seed(seed)
    x, other, grad = (torch.randn(rows, channels, generator=generator).to(dtype) for _ in range(3))
    return x.requires_grad_(), other.requires_grad_() if residual else None, grad


def plain(bn, x, residual=None, relu=False):
    """As layers of torch compute it, one by one."""
    out = bn(x)
    out = out if residual is None else out + residual
    return out.relu() if relu else out


def in_float64(bn, x, residual, grad, relu):
    """(norm, output and gradients) of torch in float64."""
    bn = copy.deepcopy(bn).double()
    x, residual = (None if rows is None else rows.detach().double().requires_grad_() for rows in (x, residual))
    return bn, results(plain, bn, x, residual, grad.double(), relu)


def results(function, bn, x, residual, grad, relu):
    out = function(bn, x, residual, relu)
    values = {"x": x, "residual": residual, "weight": bn.weight, "bias": bn.bias}
    wanted = {name: value for name, value in values.items() if value is not None and value.requires_grad}
    return {"out": out.detach()} | dict(zip(wanted, torch.autograd.grad(out, list(wanted.values()), grad), strict=True))


def assert_near(got, wanted, tolerance):
    """In the root mean square, relative to the values: single ones at the edge of ReLU may differ."""
    got, wanted = got.double(), wanted.double()
    assert (got - wanted).norm() <= tolerance * (wanted.norm() + 1e-3 * wanted.numel() ** 0.5)


@pytest.fixture
def fused(monkeypatch):
    """Fail where plain torch would compute instead."""

    def called(*_):
        raise AssertionError("computed in plain torch")

    monkeypatch.setattr(nn.BatchNorm1d, "forward", called)


WAYS = [
    (training, residual, relu) for training in (False, True) for residual in (False, True) for relu in (False, True)
]
CASES = [
    *(
        (normalize, shape, dtype)
        for shape in [(2, 3), (63, 1), (63, 200), (5000, 32), (5000, 96)]
        for dtype in DTYPES[:2]
    ),
    *((triton_normalize, shape, DTYPES[0]) for shape in [(2, 3), (63, 200), (150, 96)] if triton_normalize),
    *((triton_normalize, (150, 32), dtype) for dtype in DTYPES[1:] if triton_normalize),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(
    ("kernels", "shape", "dtype"),
    CASES,
    ids=[f"{'triton' if k is triton_normalize else 'cpp'}-{s}-{d}" for k, s, d in CASES],
)
def test_output_and_gradients_equal_those_of_torch_in_float64(fused, monkeypatch, kernels, shape, dtype, way):
    skip_without(kernels)
    training, residual, relu = way
    bn = make_norm(shape[1], training)
    x, other, grad = make_rows(*shape, dtype, residual)
    monkeypatch.undo()
    expected, wanted = in_float64(bn, x, other, grad, relu)
    monkeypatch.setattr(nn.BatchNorm1d, "forward", None)
    got = results(partial(batch_norm, kernels=kernels), bn, x, other, grad, relu)
    for name in ("out", "x", *["residual"] * residual):
        assert got[name].dtype == dtype
        if shape[0] > 2 or name != "x":  # the gradient of two rows is a difference of nearly equal numbers
            assert_near(got[name], wanted[name], TOLERANCE[dtype])
    for name in ("weight", "bias"):
        assert got[name].dtype == torch.float32
        assert_near(got[name], wanted[name], 1e-5 if dtype == torch.float32 else 1e-3)
    assert_near(bn.running_mean, expected.running_mean, 1e-6)
    assert_near(bn.running_var, expected.running_var, 1e-6)
    assert bn.num_batches_tracked == expected.num_batches_tracked == int(training)


def test_more_parts_than_are_added_at_a_time(monkeypatch):
    skip_without(triton_normalize)
    monkeypatch.setattr(triton_normalize, "BLOCK_VALUES", 2)
    monkeypatch.setattr(triton_normalize, "STEPS", 1)
    monkeypatch.setattr(triton_normalize, "_launch", triton_normalize._launch.__wrapped__)
    x, other, grad = make_rows(65, 1, torch.float32, residual=True)
    bn = make_norm(1)
    expected, wanted = in_float64(bn, x, other, grad, relu=True)
    found = results(partial(batch_norm, kernels=triton_normalize), bn, x, other, grad, relu=True)
    for name, value in wanted.items():
        assert_near(found[name], value, 1e-5)
    assert_near(bn.running_var, expected.running_var, 1e-6)


@every_kernel
@pytest.mark.parametrize("relu", [False, True], ids=["linear", "relu"])
@pytest.mark.parametrize("rows", [63, 5000])
def test_a_large_mean_costs_no_digits(kernels, rows, relu):
    skip_without(kernels)
    x, _, grad = make_rows(rows, 32, torch.float32, residual=False)
    x = (x.detach() + 1e4 + 0.1).requires_grad_()
    bn = make_norm(32)
    expected, wanted = in_float64(bn, x, None, grad, relu)
    got = results(partial(batch_norm, kernels=kernels), bn, x, None, grad, relu)
    for name in wanted:
        assert_near(got[name], wanted[name], 1e-5)
    assert_near(bn.running_var, expected.running_var, 1e-5)


@every_kernel
def test_outliers_in_the_first_rows_cost_no_digits(kernels):
    skip_without(kernels)
    x = make_rows(5000, 8, torch.float32, residual=False)[0].detach()
    x[0], x[256] = 1e5, -1e4
    bn, wanted = make_norm(8), x.double()
    bn.momentum = 1.0
    batch_norm(bn, x, kernels=kernels)
    assert (bn.running_mean - wanted.mean(0)).abs().max() <= 1e-6 * wanted.std(0).min()
    assert torch.allclose(bn.running_var.double(), wanted.var(0), rtol=1e-5)


@every_kernel
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_a_constant_channel_becomes_the_bias(kernels, dtype):
    skip_without(kernels)
    x = torch.full((1000, 4), 12345.678).to(dtype)
    bn = make_norm(4)
    out = batch_norm(bn, x, kernels=kernels)
    assert_near(out, bn.bias.expand(1000, 4), TOLERANCE[dtype])  # Triton's interpreter truncates to bfloat16


@compiled
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_the_number_of_threads_changes_no_bit(dtype, training):
    x, other, grad = make_rows(5000, 96, dtype, residual=True)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            bn = make_norm(96, training)
            found.append(results(batch_norm, bn, x, other, grad, True) | dict(bn.named_buffers()))
    finally:
        torch.set_num_threads(before)
    for name, value in found[0].items():
        assert all(torch.equal(value, other[name]) for other in found[1:]), name


@every_kernel
def test_rows_in_any_memory_layout_give_the_same_bits(fused, kernels):
    skip_without(kernels)
    normed = partial(batch_norm, kernels=kernels)
    x, other, grad = make_rows(300, 32, torch.float32, residual=True)
    wanted = results(normed, make_norm(32), x, other, grad, True)
    strided = [rows.detach().t().contiguous().t().requires_grad_() for rows in (x, other)]
    assert not strided[0].is_contiguous()
    wider = torch.cat([grad, grad], 1)[:, 32:]  # as the gradient of a concatenation
    for same in (grad.t().contiguous().t(), wider):
        got = results(normed, make_norm(32), *strided, same, True)
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)


@compiled
@pytest.mark.parametrize("frozen", ["x", "residual", "weight", "bias"])
def test_only_what_needs_a_gradient_gets_one(fused, frozen):
    bn = make_norm(32)
    x, other, grad = make_rows(300, 32, torch.float32, residual=True)
    wanted = results(batch_norm, make_norm(32), x, other, grad, True)
    {"x": x, "residual": other, "weight": bn.weight, "bias": bn.bias}[frozen].requires_grad_(False)
    got = results(batch_norm, bn, x, other, grad, True)
    assert set(got) == set(wanted) - {frozen}
    assert all(torch.equal(got[name], wanted[name]) for name in got)


@every_kernel
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_spread_as_in_torch(kernels, training, value):
    skip_without(kernels)
    x, other, grad = make_rows(300, 4, torch.float32, residual=False)
    with torch.no_grad():
        x[7, 2] = value
    wanted = results(plain, make_norm(4, training), x, other, grad, True)
    got = results(partial(batch_norm, kernels=kernels), make_norm(4, training), x, other, grad, True)
    for name in ("out", "x", "weight", "bias"):
        assert torch.equal(got[name].isfinite(), wanted[name].isfinite()), name
    assert torch.equal(got["out"].isnan(), wanted["out"].isnan())


@compiled
def test_autocast_keeps_the_dtype_of_the_rows(fused):
    for dtype in DTYPES[:2]:
        with torch.autocast("cpu", torch.bfloat16):
            assert batch_norm(make_norm(4), make_rows(9, 4, dtype, False)[0]).dtype == dtype


class Counted(nn.BatchNorm1d):
    """A batch norm of another class, such as one that synchronizes processes."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


def test_batch_norms_of_other_classes_are_called():
    bn = Counted(4)
    batch_norm(bn, torch.randn(9, 4))
    with pytest.raises(ValueError, match="more than 1 value"):  # of torch; one that synchronizes would not raise
        batch_norm(bn, torch.randn(1, 4))
    assert bn.calls == 2


@compiled
def test_hooks_on_the_batch_norm_are_called():
    bn, seen = make_norm(4), []
    bn.register_forward_hook(lambda *_: seen.append(True))
    batch_norm(bn, torch.randn(9, 4))
    assert seen


FALLBACKS = {
    "float64": (lambda: nn.BatchNorm1d(4).double(), torch.float64, 9),
    "float16": (lambda: nn.BatchNorm1d(4), torch.float16, 9),
    "bfloat16 weights": (lambda: nn.BatchNorm1d(4).bfloat16(), torch.bfloat16, 9),
    "no weights": (lambda: nn.BatchNorm1d(4, affine=False), torch.float32, 9),
    "no running statistics": (lambda: nn.BatchNorm1d(4, track_running_stats=False), torch.float32, 9),
    "cumulative average": (lambda: nn.BatchNorm1d(4, momentum=None), torch.float32, 9),
    "one row": (lambda: nn.BatchNorm1d(4).eval(), torch.float32, 1),
    "no row": (lambda: nn.BatchNorm1d(4).eval(), torch.float32, 0),
}


@pytest.mark.parametrize("case", FALLBACKS)
def test_what_the_kernels_do_not_take_equals_torch(case):
    make, dtype, rows = FALLBACKS[case]
    x, other, _ = make_rows(rows, 4, dtype, residual=True)
    bn, expected = make(), make()
    assert torch.equal(batch_norm(bn, x, other, relu=True), plain(expected, x, other, relu=True))
    assert all(torch.equal(a, b) for a, b in zip(bn.buffers(), expected.buffers(), strict=True))


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_voxels_use_the_running_statistics_in_training(rows):
    bn, x = make_norm(4), torch.randn(rows, 4)
    assert torch.equal(batch_norm(bn, x, x, relu=True), plain(make_norm(4, training=False), x, x, relu=True))
    assert bn.num_batches_tracked == 0


def test_a_residual_on_other_voxels_is_refused():
    first, second = (sparse_input(seed)[0] for seed in (0, 1))
    with pytest.raises(ValueError, match="must share their coordinates"):
        BatchNorm(3)(first, residual=second)


@compiled
def test_a_network_computes_what_it_does_with_plain_batch_norms(monkeypatch):
    x, features = sparse_input(0, density=0.3)
    x = SparseTensor(features.detach().float(), x.coordinates)
    found = []
    for kernels in (True, False):
        if not kernels:
            monkeypatch.setattr(normalize, "supports", lambda x: False)
        torch.manual_seed(0)
        model = build_model("MinkUNet14A", in_channels=3, out_channels=5).train()
        logits = model(x).features
        logits.square().mean().backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        found.append({"logits": logits.detach()} | gradients | dict(model.named_buffers()))
    for name, wanted in found[1].items():
        assert (found[0][name] - wanted).abs().max() <= 1e-5 * wanted.abs().max(), name
