"""Cross-entropy in Triton against torch's in float64: compiled on a GPU if there is one, else interpreted."""

import pytest
import torch

from ceco3d.losses import PointLoss
from ceco3d.sparse.entropy import cross_entropy as plain

tiled = pytest.importorskip("ceco3d.sparse.triton")
from ceco3d.sparse.kernels import triton_cross_entropy  # noqa: E402
from tests.helpers.kernel_inputs import DEVICE  # noqa: E402

TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float16: 1e-3}


def make_values(rows, classes, dtype, seed=0):
    """(logits, labels with some ignored, class weights, offset, gradient of the losses)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(rows, classes, generator=generator)
    labels = torch.randint(-1, classes, (rows,), generator=generator)
    weight, offset = torch.rand(classes, generator=generator) + 0.5, torch.randn(classes, generator=generator)
    grad = torch.randn(rows, generator=generator)
    return [value.to(DEVICE) for value in (logits.to(dtype), labels, weight, offset, grad)]


def losses_and_gradient(function, logits, labels, weight, offset, smoothing, grad):
    logits = logits.detach().requires_grad_()
    losses = function(logits, labels, weight, offset, smoothing)
    return losses.detach(), *torch.autograd.grad(losses, logits, grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (50, 20), (33, 200)])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_losses_and_gradients_equal_float64(dtype, rows, classes, shifted, smoothing):
    logits, labels, weight, offset, grad = make_values(rows, classes, dtype)
    values = logits, labels, weight, offset if shifted else None
    assert triton_cross_entropy.supports(logits)
    losses, gradient = losses_and_gradient(triton_cross_entropy.cross_entropy, *values, smoothing, grad)
    wide = [value if value is None or value is labels else value.double() for value in values]
    wanted = losses_and_gradient(plain, *wide, smoothing, grad.double())
    assert (losses.dtype, gradient.dtype) == (torch.float32, dtype)
    for got, value, tolerance in zip((losses, gradient), wanted, (1e-5, TOLERANCE[dtype]), strict=True):
        assert (got.double() - value).abs().max() <= tolerance * max(value.abs().max(), 1)
    assert (losses[labels < 0] == 0).all()
    assert (gradient[labels < 0] == 0).all()


@pytest.mark.parametrize("label", [-2, 5])
def test_a_label_that_does_not_exist_gives_nan(label):
    logits, labels, weight, _, _ = make_values(4, 5, torch.float32)
    labels[2] = label
    losses = triton_cross_entropy.cross_entropy(logits, labels, weight, None, 0.0)
    assert losses.isnan().tolist() == [False, False, True, False]


def test_nan_in_a_row_stays_there():
    logits, labels, weight, _, grad = make_values(4, 5, torch.float32)
    labels.fill_(1)
    logits[1, 3] = float("nan")
    losses, gradient = losses_and_gradient(triton_cross_entropy.cross_entropy, logits, labels, weight, None, 0.1, grad)
    assert losses.isnan().tolist() == [False, True, False, False]
    assert gradient.isnan().any(1).tolist() == [False, True, False, False]


@pytest.mark.parametrize("option", ["label_smoothing", "tau", "gamma", "beta"])
def test_the_point_loss_of_the_engine_equals_that_of_torch(option):
    logits, labels, *_ = make_values(60, 20, torch.float32)
    points = torch.arange(20) ** 3
    found = []
    for engine in (None, tiled):
        loss = PointLoss(20, class_points=points, engine=engine, **{option: 0.5}).to(DEVICE)
        rows = logits.detach().requires_grad_()
        value = loss(rows, labels)
        found.append((value.detach(), *torch.autograd.grad(value, rows)))
    for got, wanted in zip(*reversed(found), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-7)


def test_what_the_kernels_do_not_take_equals_torch():
    for logits in (torch.randn(3, 4, dtype=torch.float64), torch.randn(0, 4), torch.randn(2, 5000)):
        labels, weight = torch.zeros(len(logits), dtype=torch.int64), torch.ones(logits.shape[1])
        assert not triton_cross_entropy.supports(logits)
        got = tiled.cross_entropy(logits, labels, weight, None, 0.0)
        assert torch.equal(got, plain(logits, labels, weight, None, 0.0))
