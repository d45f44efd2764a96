"""The compiled CPU kernels against plain torch in float64."""

import json
import platform
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.sparse import Convolution, SparseTensor
from ceco3d.sparse.cpp import build
from ceco3d.sparse.kernels import cpu, cpu_rates, gather_gemm, native, tiles, widened
from ceco3d.sparse.maps import match
from ceco3d.sparse.maps.kernel_map import build_kernel_map
from tests.helpers.cpp import UNOPTIMIZED
from tests.helpers.sparse import sparse_input

KINDS = {
    "float32": (cpu, torch.float32),
    "bf16": (cpu, torch.bfloat16),
    "amx": (tiles, torch.bfloat16),
    "emulated amx": (tiles, torch.bfloat16),
    "widened bf16": (widened, torch.bfloat16),
    "widened fp16": (widened, torch.float16),
}
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-3}
pytestmark = pytest.mark.skipif(build.library() is None, reason="no C++ compiler: the CPU kernels cannot be built")


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    """Kernels and their dtype; small blocks, so that there are several, the last one partly filled."""
    kernels, dtype = KINDS[request.param]
    monkeypatch.setattr(tiles, "EMULATE", request.param == "emulated amx")
    for module, names in ((cpu, ("BLOCK_ROWS", "MIN_BLOCK_ROWS")), (tiles, ("BLOCK_ROWS", "GRADIENT_ROWS"))):
        for name in names:
            monkeypatch.setattr(module, name, 64)
    if not kernels.supports(dtype):
        pytest.skip(f"this processor lacks what {request.param} needs")
    return kernels, dtype


def problem(kernel, channels, dtype, seed=0):
    """A kernel map by name, and (features, weight, bias, grad_out) whose values ``dtype`` holds exactly."""
    x, _ = sparse_input(seed, density=0.4)
    size, stride = {"3": (3, 1), "5": (5, 1), "down": (2, 2), "up": (2, 2), "1": (1, 1)}[kernel]
    kernel_map = x.manager.kernel_map(1, x.manager.downsample(1, stride), size)
    if kernel == "up":
        kernel_map = kernel_map.transposed()
    generator = torch.Generator().manual_seed(seed)
    cin, cout = channels
    shapes = [(kernel_map.num_in, cin), (size**3, cin, cout), (cout,), (kernel_map.num_out, cout)]
    values = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    return kernel_map, *values


@pytest.mark.parametrize("channels", [(3, 32), (9, 5), (40, 200), (64, 96), (130, 17), (1, 1)])
@pytest.mark.parametrize("kernel", ["1", "3", "5", "down", "up"])
def test_compiled_kernels_equal_plain_ones(kind, kernel, channels):
    kernels, dtype = kind
    kernel_map, features, weight, bias, grad = problem(kernel, channels, dtype)
    wide = [value.double() for value in (features, weight, bias, grad)]

    out = kernels.forward(features, weight.float(), bias.float(), kernel_map)
    assert out.dtype == dtype
    wanted = gather_gemm.forward(*wide[:3], kernel_map)
    assert_near(out, wanted, ROUNDING[dtype])

    finished = kernels.forward(features, weight.float(), bias.float(), kernel_map, residual=grad, relu=True)
    assert finished.dtype == dtype
    assert_near(finished, (wanted + wide[3]).relu(), ROUNDING[dtype])

    got = kernels.backward(grad, features, weight.float(), kernel_map, True, True)
    wanted = gather_gemm.backward(wide[3], wide[0], wide[1], kernel_map, True, True)
    assert got[0].dtype == dtype
    assert_near(got[0], wanted[0], ROUNDING[dtype])
    assert_near(got[1], wanted[1], 1e-5)  # the products are exact, the sums float32
    assert kernels.backward(grad, features, weight.float(), kernel_map, False, False) == (None, None)


def assert_near(got, wanted, tolerance):
    assert (got.double() - wanted).abs().max() <= tolerance * wanted.abs().max()


def test_the_number_of_threads_changes_no_bit(monkeypatch, kind):
    kernels, dtype = kind
    kernel_map, features, weight, _, grad = problem("3", (40, 70), dtype)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        out = kernels.forward(features, weight.float(), None, kernel_map)
        results.append([out, *kernels.backward(grad, features, weight.float(), kernel_map, True, True)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_rows_with_infinities_reach_their_neighbors_only(kind):
    kernels, dtype = kind
    kernel_map, features, weight, _, _ = problem("3", (40, 8), dtype)
    features[7, 3] = torch.inf
    out = kernels.forward(features, weight.float(), None, kernel_map)
    reached = torch.zeros(len(out), dtype=torch.bool)
    reached[kernel_map.out_rows[kernel_map.in_rows == 7].long()] = True
    assert out[~reached].isfinite().all()
    assert not out[reached].isfinite().all(1).any()


@pytest.mark.skipif(not cpu.supports(torch.bfloat16), reason="this processor lacks AVX512-BF16")
def test_an_odd_last_channel_does_not_read_the_next_row():
    kernel_map, features, weight, _, _ = problem("3", (3, 8), torch.bfloat16)
    features[:, 0] = torch.inf  # a row's fourth value would be the next row's first
    weight[:, 0] = 0
    assert cpu.forward(features[:, 1:], weight[:, 1:].float(), None, kernel_map).isfinite().all()


@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.integers(-40, 40)), st.sets(st.integers(-40, 40)), st.lists(st.integers(-9, 9), max_size=4, unique=True)
)
def test_compiled_and_searched_kernel_maps_agree(in_keys, out_keys, steps):
    in_keys, out_keys = (torch.tensor(sorted(keys), dtype=torch.int64) for keys in (in_keys, out_keys))
    in_rows, out_rows, counts = match.match(in_keys, out_keys, torch.tensor(steps, dtype=torch.int64), 1)
    found = list(zip(in_rows.split(counts), out_rows.split(counts), strict=True))
    for step, rows in zip(steps, found, strict=True):
        expected = match._search(in_keys, out_keys, step)
        assert all(torch.equal(a, b) for a, b in zip(rows, expected, strict=True))


@pytest.fixture
def no_library():
    """Forget the loaded kernels and their rates during the test."""
    for cached in (build.library, cpu_rates.rates):
        cached.cache_clear()
    yield
    for cached in (build.library, cpu_rates.rates):
        cached.cache_clear()


def test_the_fastest_kernels_are_chosen_and_their_rates_kept(monkeypatch, no_library, tmp_path):
    monkeypatch.setattr(build, "FLAGS", UNOPTIMIZED)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cpu_rates, "SIDE", 8)
    build.load()
    rates = cpu_rates.rates()
    assert next(iter(rates)) == "float32"
    assert list(rates)[-1] == "bf16 as float32"
    (path,) = (tmp_path / "ceco3d").glob("rates-*.json")
    for slow, fast in (("amx", "avx512_bf16"), ("avx512_bf16", "amx"), ("amx", "bf16 as float32")):
        if slow not in rates or fast not in rates:
            continue
        path.write_text(json.dumps(dict.fromkeys(rates, 1.0) | {fast: 2.0}))
        cpu_rates.rates.cache_clear()
        kernels = {name: module for name, module, _ in cpu_rates.CHOICES}
        assert cpu_rates.fastest(torch.bfloat16, narrow=False) is kernels[fast]
        assert cpu_rates.bf16_gain() == (1 if "as" in fast else 2)
    assert cpu_rates.fastest(torch.float32, narrow=False) is cpu
    assert cpu_rates.fastest(torch.float64, narrow=False) is None
    path.write_text("no JSON")
    cpu_rates.rates.cache_clear()
    assert list(cpu_rates.rates()) == list(rates)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("channels", [3, 40])
def test_a_layer_computes_with_the_kernels_chosen(dtype, channels):
    kernel_map, features, weight, bias, grad = problem("3", (channels, 32), dtype)
    wide = [value.double() for value in (features, weight, bias, grad)]
    got = native.forward(features, weight, bias, kernel_map)
    assert got.dtype == dtype
    tolerance = ROUNDING.get(dtype, 1e-12)
    assert_near(got, gather_gemm.forward(*wide[:3], kernel_map), tolerance)
    for a, b in zip(
        native.backward(grad, features, weight, kernel_map, True, True),
        gather_gemm.backward(wide[3], wide[0], wide[1], kernel_map, True, True),
        strict=True,
    ):
        assert_near(a, b, tolerance)


def test_without_a_compiler_plain_torch_computes_the_same(monkeypatch, no_library):
    x, _ = sparse_input(0)
    x = SparseTensor(x.features.detach().float(), x.coordinates)
    layer = Convolution(3, 4, 3)
    expected = layer(x).features
    build.library.cache_clear()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.warns(UserWarning, match=r"no C\+\+ compiler.*g\+\+.*slower"):
        out = layer(SparseTensor(x.features, x.coordinates)).features
    torch.testing.assert_close(out, expected)
    with warnings.catch_warnings():  # warned once
        warnings.simplefilter("error")
        assert build_kernel_map(*[x.manager.keys(1)] * 2, 3, 1).num_pairs > len(x)


def test_a_failing_compiler_is_named(monkeypatch, no_library):
    monkeypatch.setenv("CXX", "false")
    with pytest.warns(UserWarning, match="false"):
        assert build.library() is None


def test_kernels_compile_once_and_without_a_writable_cache(monkeypatch, no_library, tmp_path):
    monkeypatch.setattr(build, "FLAGS", UNOPTIMIZED)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.load()
    (first,) = (tmp_path / "ceco3d").iterdir()
    written = first.stat().st_mtime_ns
    build.load()
    assert first.stat().st_mtime_ns == written
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert build.load().ceco3d_panel() > 0


@pytest.fixture(scope="module")
def compiled_ahead(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FLAGS", UNOPTIMIZED)
        build.compile_ahead(folder := tmp_path_factory.mktemp("kernels"))
    return folder


@pytest.mark.parametrize("level", build.LEVELS)
def test_kernels_compiled_ahead_compute_the_same(monkeypatch, no_library, compiled_ahead, level):
    if list(build.LEVELS).index(level) > list(build.LEVELS).index(build.best_level()):
        pytest.skip(f"this processor lacks {level}")
    kernel_map, features, weight, bias, grad = problem("3", (40, 70), torch.float32)
    expected = [cpu.forward(features, weight, bias, kernel_map)]
    expected += cpu.backward(grad, features, weight, kernel_map, True, True)
    build.library.cache_clear()
    monkeypatch.setenv("CECO3D_KERNELS", str(compiled_ahead))
    monkeypatch.setattr(build, "best_level", lambda: level)
    monkeypatch.setenv("PATH", "")  # no compiler
    monkeypatch.delenv("CXX", raising=False)
    assert build.library().ceco3d_has_bf16() == (level == "avx512-bf16")
    got = [cpu.forward(features, weight, bias, kernel_map)]
    got += cpu.backward(grad, features, weight, kernel_map, True, True)
    for a, b in zip(got, expected, strict=True):
        assert_near(a, b.double(), 1e-5)
    if tiles.supports(torch.bfloat16):  # whatever the level
        assert_near(tiles.forward(features.bfloat16(), weight, bias, kernel_map), expected[0].double(), 2e-2)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have one level")
@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("sse2 avx", "baseline"),
        ("sse2 avx2 abm bmi1 bmi2 f16c fma movbe", "avx2"),
        ("avx512f avx512_bf16", "baseline"),
        ("avx2 abm bmi1 bmi2 f16c fma movbe avx512f avx512bw avx512cd avx512dq avx512vl", "avx512"),
        ("avx2 abm bmi1 bmi2 f16c fma movbe avx512f avx512bw avx512cd avx512dq avx512vl avx512_bf16", "avx512-bf16"),
    ],
)
def test_best_level_is_the_fastest_that_the_processor_runs(monkeypatch, flags, level):
    monkeypatch.setattr(build, "_processor", lambda: f"flags : {flags}".encode())
    assert build.best_level() == level
