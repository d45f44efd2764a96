"""The Triton convolutions at real sizes: every value against float64, the same bits each time, the right kernels."""

import re

import pytest
import torch

from ceco3d.sparse import SparseTensor
from ceco3d.sparse.kernels import gather_gemm
from ceco3d.sparse.maps.kernel_map import build_kernel_map
from tests.helpers.gpu import DEVICE, SCENE, cases, launched, surface

pytest.importorskip("triton")
from ceco3d.sparse.kernels import triton_convolve, triton_map

KERNELS = {"2^3 down": (2, 2), "2^3 up": (2, 2), "3^3": (3, 1), "5^3": (5, 1)}
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# Of the largest value. Rounding of a result to its dtype comes on top of that of the sums.
ROWS = {"fp32": 1e-5, "tf32": 1e-3, "fp16": 1e-2, "bf16": 1e-2}
# Weight gradients are float32 sums over all voxels; tensor cores cut off bits where they add.
WEIGHTS = {"fp32": 1e-4, "tf32": 1e-3, "fp16": 1e-3, "bf16": 1e-3}

TOY = [(70, kernel, 32, precision) for kernel, precision in zip(KERNELS, DTYPES, strict=True)]
REAL = [
    *(
        (SCENE, kernel, channels, precision)
        for kernel in KERNELS
        for channels in (32, 64, 96, 128, 256)
        for precision in DTYPES
    ),
    *((8 * SCENE, kernel, channels, "bf16") for kernel in KERNELS for channels in (32, 96, 256)),
    *((8 * SCENE, "3^3", channels, precision) for channels in (32, 96) for precision in ("fp32", "tf32", "fp16")),
]


@pytest.fixture
def matmul_precision(request):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if request.getfixturevalue("precision") == "tf32" else "highest")
    yield
    torch.set_float32_matmul_precision(before)


def make(voxels, kernel, channels, dtype):
    """The map of torch's kernels and that of Triton's, then features, weight, bias and output gradient.

    The gradient is small enough that sums over all voxels stay near one.
    """
    size, stride = KERNELS[kernel]
    coordinates = surface(voxels)
    x = SparseTensor(torch.zeros(voxels, 1, device=DEVICE), coordinates)
    fine, coarse = x.manager.keys(1), x.manager.keys(x.manager.downsample(1, stride))
    maps = [build(fine, coarse, size, 1) for build in (build_kernel_map, triton_map.build_tile_maps)]
    pairs, tiles = (one.transposed() for one in maps) if kernel == "2^3 up" else maps
    generator = torch.Generator(DEVICE).manual_seed(0)
    shapes = (pairs.num_in, channels), (size**3, channels, channels), (channels,), (pairs.num_out, channels)
    values = [torch.randn(shape, generator=generator, device=DEVICE) for shape in shapes]
    values[1] *= (channels * pairs.num_pairs / pairs.num_out) ** -0.5
    values[3] *= pairs.num_out**-0.5
    return pairs, tiles, *(value.to(dtype) for value in values)


def error(found, wanted):
    """The largest error of any value, as a share of the largest value."""
    assert found.isfinite().all()
    return float((found.double() - wanted).abs().max() / wanted.abs().max())


@pytest.mark.usefixtures("matmul_precision")
@cases("voxels,kernel,channels,precision", TOY, REAL)
def test_every_value_is_near_float64(voxels, kernel, channels, precision, record_property):
    pairs, tiles, features, weight, bias, grad = make(voxels, kernel, channels, DTYPES[precision])
    wide = [value.double() for value in (features, weight, bias, grad)]
    out = triton_convolve.forward(features, weight, bias, tiles)
    grads = triton_convolve.backward(grad, features, weight, tiles, True, True)
    errors = {"forward": error(out, gather_gemm.forward(*wide[:3], pairs))}
    wanted = gather_gemm.backward(wide[3], wide[0], wide[1], pairs, True, True)
    errors |= {"input": error(grads[0], wanted[0]), "weight": error(grads[1], wanted[1])}
    for name, value in errors.items():
        record_property(name, f"{value:.1e}")
    assert max(errors["forward"], errors["input"]) <= ROWS[precision], errors
    assert errors["weight"] <= WEIGHTS[precision], errors


@pytest.mark.usefixtures("matmul_precision")
@cases(
    "voxels,kernel,channels,precision,runs",
    [(70, "3^3", 32, "bf16", 2)],
    [
        (SCENE, kernel, channels, precision, 20)
        for kernel in KERNELS
        for channels in (32, 64, 256)  # one block of channels in a step, and several
        for precision in ("bf16", "tf32")
    ],
)
def test_each_run_gives_the_same_bits(voxels, kernel, channels, precision, runs):
    _, tiles, features, weight, bias, grad = make(voxels, kernel, channels, DTYPES[precision])

    def run():
        out = triton_convolve.forward(features, weight, bias, tiles)
        return [out, *triton_convolve.backward(grad, features, weight, tiles, True, True)]

    first = run()
    for _ in range(runs - 1):
        assert all(torch.equal(a, b) for a, b in zip(run(), first, strict=True))


@cases("voxels", [70], [SCENE])
def test_the_kernels_that_run_are_ours(voxels):
    """A forward and a backward pass multiply in the Triton kernels and nowhere else."""
    _, tiles, features, weight, bias, grad = make(voxels, "3^3", 32, torch.bfloat16)

    def run():
        triton_convolve.forward(features, weight, bias, tiles)
        triton_convolve.backward(grad, features, weight, tiles, True, True)

    run()  # compiles
    names = launched(run)
    assert names["convolve"] == 2
    assert names["weight_gradient"] == 1
    assert not [name for name in names if re.search("gemm|cutlass|gather|scatter|index_", name)], names
