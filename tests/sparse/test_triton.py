"""The Triton kernels against plain torch in float64: compiled on a GPU if there is one, else interpreted."""

import warnings

import pytest
import torch

from ceco3d.sparse import SparseTensor, load_engine
from ceco3d.sparse.kernels import gather_gemm
from ceco3d.sparse.kernels.triton_launch import unsupported
from tests.helpers.pretend_gpu import pretend_gpu
from tests.helpers.sparse import sparse_input
from tests.helpers.thin import ThinUNet

tiled = pytest.importorskip("ceco3d.sparse.triton")
from ceco3d.sparse.kernels import triton_convolve, triton_map  # noqa: E402
from ceco3d.sparse.kernels.triton_config import ConvolveConfig, GradientConfig  # noqa: E402
from tests.helpers.kernel_inputs import DEVICE, KERNELS, make_maps, make_values  # noqa: E402

# Relative to the largest value, for every single cell.
ROUNDING = {"fp32": 1e-5, "tf32": 1e-3, "fp16": 1e-2, "bf16": 1e-2}
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture(params=ROUNDING)
def precision(request):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if request.param == "tf32" else "highest")
    yield request.param
    torch.set_float32_matmul_precision(before)


def assert_near(got, wanted, tolerance):
    assert got.isfinite().all()
    assert (got.double() - wanted).abs().max() <= tolerance * wanted.abs().max()


@pytest.mark.parametrize(("kernel", "cin", "cout"), [("3", 32, 96), ("3", 9, 5), ("down", 32, 32), ("up", 64, 48)])
def test_forward_and_gradients_equal_float64(precision, kernel, cin, cout):
    check_forward_and_gradients(precision, kernel, cin, cout)


# Many offsets or blocks of channels. tf32 rounds the same products, and fp16 moves the same bytes as bf16.
@pytest.mark.parametrize("precision", ["fp32", "bf16"], indirect=True)
@pytest.mark.parametrize(("kernel", "cin", "cout"), [("5", 3, 32), ("3 strided", 33, 136), ("4", 1, 1)])
def test_large_kernels_and_several_blocks_of_channels_equal_float64(precision, kernel, cin, cout):
    check_forward_and_gradients(precision, kernel, cin, cout)


def check_forward_and_gradients(precision, kernel, cin, cout):
    pairs, maps = make_maps(kernel)
    features, weight, bias, grad = make_values(pairs, KERNELS[kernel][0] ** 3, cin, cout, DTYPES[precision])
    wide = [value.double() for value in (features, weight, bias, grad)]

    out = triton_convolve.forward(features, weight.float(), bias.float(), maps)
    assert out.dtype == features.dtype
    assert_near(out, gather_gemm.forward(*wide[:3], pairs), ROUNDING[precision])

    got = triton_convolve.backward(grad, features, weight.float(), maps, True, True)
    wanted = gather_gemm.backward(wide[3], wide[0], wide[1], pairs, True, True)
    assert_near(got[0], wanted[0], ROUNDING[precision])
    assert got[1].dtype == torch.float32
    # The products of 16-bit numbers are exact in float32.
    assert_near(got[1], wanted[1], 1e-3 if precision == "tf32" else 1e-5)
    assert triton_convolve.backward(grad, features, weight.float(), maps, False, False) == (None, None)


@pytest.mark.parametrize("split_k", [1, 4])
@pytest.mark.parametrize("chunks", [1, 2, 3])  # of 16 channels; the last one is not full
def test_split_sums_are_right_and_bitwise_repeatable(split_k, chunks):
    pairs, maps = make_maps("3", density=0.02)
    features, weight, bias, grad = make_values(pairs, 27, 40, 24, torch.float32)
    convolution = ConvolveConfig(32, 16, chunks, split_k, num_warps=4, num_stages=3)
    gradient = GradientConfig(1, 16, 32, 32, split_k, num_warps=4, num_stages=3)

    def run():
        return (
            triton_convolve.convolve(features, weight, bias, maps.forward, convolution),
            triton_convolve.input_gradient(grad, weight, maps.backward, maps.mirrored, convolution),
            triton_convolve.weight_gradient(features, grad, maps.forward, gradient),
        )

    first, second = run(), run()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert_near(first[0], gather_gemm.forward(features.double(), weight.double(), bias.double(), pairs), 1e-5)
    wanted = gather_gemm.backward(grad.double(), features.double(), weight.double(), pairs, True, True)
    assert_near(first[1], wanted[0], 1e-5)
    assert_near(first[2], wanted[1], 1e-5)


@pytest.mark.parametrize(("kernel", "cin", "cout"), [("3", 9, 40), ("up", 16, 16)])
def test_weight_gradients_of_several_offsets_at_a_time(precision, kernel, cin, cout):
    pairs, maps = make_maps(kernel, density=0.04)
    features, weight, _, grad = make_values(pairs, KERNELS[kernel][0] ** 3, cin, cout, DTYPES[precision])
    config = GradientConfig(4, 16, 32, maps.forward.tile, SPLIT_K=2, num_warps=4, num_stages=3)
    got = triton_convolve.weight_gradient(features, grad, maps.forward, config)
    wanted = gather_gemm.backward(grad.double(), features.double(), weight.double(), pairs, False, True)[1]
    assert_near(got, wanted, 1e-3 if precision == "tf32" else 1e-5)
    assert torch.equal(triton_convolve.weight_gradient(features, grad, maps.forward, config), got)


@pytest.mark.parametrize("split_k", [1, 4])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_residual_and_a_relu_at_the_end(precision, split_k, with_bias):
    pairs, maps = make_maps("down", density=0.03)
    features, weight, bias, grad = make_values(pairs, 8, 64, 24, DTYPES[precision])
    bias, residual = bias if with_bias else None, grad
    config = ConvolveConfig(16, 32, 1, split_k, num_warps=4, num_stages=3)
    sums = gather_gemm.forward(features.double(), weight.double(), bias.double() if with_bias else None, pairs)
    added = triton_convolve.convolve(features, weight, bias, maps.forward, config, residual)
    assert added.dtype == features.dtype
    assert_near(added, sums + residual.double(), ROUNDING[precision])
    both = triton_convolve.convolve(features, weight, bias, maps.forward, config, residual, relu=True)
    assert torch.equal(both, added.relu())
    alone = triton_convolve.convolve(features, weight, bias, maps.forward, config, relu=True)
    assert_near(alone, sums.relu(), ROUNDING[precision])
    turned = residual.t().contiguous().t()  # other strides
    assert torch.equal(triton_convolve.convolve(features, weight, bias, maps.forward, config, turned), added)


@pytest.mark.parametrize("count", [0, 1, 2, 64, 65])
def test_empty_and_tiny_levels(count):
    generator = torch.Generator().manual_seed(0)
    coordinates = torch.nn.functional.pad(torch.arange(count).reshape(-1, 1), (3, 0)).int().to(DEVICE)
    features = torch.randn(count, 4, generator=generator).to(DEVICE).requires_grad_()
    for make, size, stride in ((tiled.Convolution, 3, 1), (tiled.Convolution, 5, 1), (tiled.Convolution, 2, 2)):
        torch.manual_seed(0)
        layer = make(4, 6, size, stride, bias=True).to(DEVICE)
        out = layer(SparseTensor(features, coordinates)).rows
        assert out.shape == ((count + 1) // 2 if stride == 2 else count, 6)
        out.sum().backward()
        assert features.grad.isfinite().all()
        if count == 0:
            assert (layer.kernel.grad == 0).all()


def test_float16_weight_gradients_may_exceed_65504():
    """Scaled weight gradients reach millions."""
    pairs, maps = make_maps("3")
    features, weight, _, grad = make_values(pairs, 27, 16, 16, torch.float16)
    features, grad = features * 100 + 50, grad * 100 + 50
    _, got = triton_convolve.backward(grad, features, weight.float(), maps, False, True)
    _, wanted = gather_gemm.backward(grad.double(), features.double(), weight.double(), pairs, False, True)
    assert wanted.abs().max() > 65504
    assert_near(got, wanted, 1e-5)


@pytest.mark.parametrize("bits", [0x7FFFFFFF, 0x7FC00000, -1])  # NVIDIA GPUs produce the first
def test_nan_stays_nan(precision, bits):
    _, maps = make_maps("3")
    rows = maps.forward.num_in
    features = torch.full((rows, 16), bits, dtype=torch.int32, device=DEVICE).view(torch.float32).to(DTYPES[precision])
    weight = torch.ones(27, 16, 4, device=DEVICE)
    assert triton_convolve.forward(features, weight, None, maps, relu=True).isnan().all()
    ones = torch.ones(maps.forward.num_out, 4, device=DEVICE).to(DTYPES[precision])
    assert triton_convolve.weight_gradient(features, ones, maps.forward)[13].isnan().all()


def test_rows_beyond_2_to_the_31_values_are_addressed():
    """Rows more than 2**31 values into the features."""
    channels = 512
    rows = (1 << 31) // channels + 64
    features = torch.zeros(
        rows, channels, dtype=torch.float16, device=DEVICE
    )  # only the pages that are read take memory
    features[-64:] = torch.randn(64, channels, generator=torch.Generator().manual_seed(0)).half().to(DEVICE)
    columns = torch.arange(rows - 64, rows, dtype=torch.int32, device=DEVICE)[:, None] << 1 | 1
    tiles = triton_map.arrange(columns, torch.arange(64, device=DEVICE), rows, 1)
    weight = torch.eye(channels, 16, device=DEVICE)[None]
    assert torch.equal(triton_convolve.convolve(features, weight, None, tiles), features[-64:, :16])


def test_values_at_unaligned_addresses():
    pairs, maps = make_maps("3")
    features, weight, bias, grad = make_values(pairs, 27, 8, 8, torch.float16)

    def shifted(values):
        return torch.cat([values.flatten()[:1], values.flatten()])[1:].view(values.shape)

    aligned = triton_convolve.forward(features, weight, bias, maps)
    assert torch.equal(triton_convolve.forward(*map(shifted, (features, weight, bias)), maps), aligned)
    got = triton_convolve.backward(shifted(grad), shifted(features), weight, maps, True, True)
    wanted = triton_convolve.backward(grad, features, weight, maps, True, True)
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


@pytest.mark.slow
def test_network_equals_native():
    x, _ = sparse_input(1, density=0.015)
    coordinates = x.coordinates.to(DEVICE)
    features = torch.randn(len(coordinates), 3, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    torch.manual_seed(0)
    native, ours = (ThinUNet(3, 20, engine=load_engine(name)).to(DEVICE) for name in ("native", "triton"))
    ours.load_state_dict(native.state_dict())
    inputs = SparseTensor(features, coordinates)
    ours.build_maps(inputs)
    made = dict(inputs.manager._maps)
    outs = native(SparseTensor(features, coordinates)).features, ours(inputs).features
    assert inputs.manager._maps == made  # the forward pass built no map
    assert_near(outs[1].detach(), outs[0].detach(), 1e-4)
    for out in outs:
        out.square().mean().backward()
    for (name, got), wanted in zip(ours.named_parameters(), native.parameters(), strict=True):
        assert (got.grad - wanted.grad).abs().max() <= 1e-3 * wanted.grad.abs().max(), name


def test_a_gpu_that_cannot_run_the_kernels_falls_back_to_native_with_one_warning(monkeypatch):
    x, _ = sparse_input(0)
    features, coordinates = x.features.detach().float(), x.coordinates
    torch.manual_seed(0)
    layer = tiled.Convolution(3, 4, 3)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert "run on a GPU" in unsupported(torch.device("cpu"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # on a CPU, that is how engine=auto computes
        expected = layer(SparseTensor(features, coordinates)).features
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "float64" in unsupported(torch.device("cpu"), torch.float64)
    tiled._warn_once.cache_clear()
    with pretend_gpu():
        x, layer = SparseTensor(features.to("cuda:0"), coordinates.to("cuda:0")), layer.to("cuda:0")
        with pytest.warns(UserWarning, match="falls back to engine=native: TRITON_INTERPRET=1"):
            out = layer(x).features
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # warned once
            assert torch.equal(layer(x).features, out)
        torch.testing.assert_close(out.cpu(), expected, rtol=1e-5, atol=1e-6)
