"""Tuning the Triton kernels: only right block sizes are kept, and training then uses them."""

import json
import warnings
from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton")
from ceco3d.benchmarks import tune
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.workload import Workload
from ceco3d.models.minkunet import VARIANTS
from ceco3d.sparse.kernels import triton_convolve, triton_tuned
from ceco3d.sparse.kernels.triton_config import ConvolveConfig
from tests.helpers.kernel_inputs import DEVICE, make_maps, make_values
from tests.helpers.sparse import sparse_input
from tests.helpers.thin import THIN


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    triton_tuned._read.cache_clear()
    yield tmp_path
    triton_tuned._read.cache_clear()


@pytest.mark.parametrize("kernel", triton_tuned.CONFIGS)
def test_reference_and_default_agree(kernel):
    _, maps = make_maps("down")
    call = (kernel, maps.forward, 16, 24, torch.float32)
    values = tune.random_values(call)
    out = tune.run_kernel(kernel, values, maps.forward, triton_convolve.default_config(*call))
    wanted = tune.reference(kernel, values, maps.forward)
    assert (out - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_faster_but_wrong_sizes_are_not_kept(monkeypatch):
    """With 8 warps the kernel is fastest, and wrong in one value."""
    _, maps = make_maps("down", density=0.03)
    call = ("convolve", maps.forward, 16, 16, torch.float32)
    compute = triton_convolve.convolve

    def broken(*arguments):
        out = compute(*arguments)
        out[-1, -1] += float(arguments[-1].num_warps == 8)
        return out

    def seconds(run, device, calls):
        config = run.args[0]
        return 1.0 / config.num_warps + 0.01 * config.num_stages

    monkeypatch.setattr(triton_convolve, "convolve", broken)
    monkeypatch.setattr(tune, "clock", seconds)
    result = tune.tune_call(call, 1e-5, repeats=1)
    assert result["wrong"] == 1
    assert result["sizes"]["num_warps"] == 4  # 2 is right but slower
    assert result["sizes"]["num_stages"] == triton_convolve.default_config(*call).num_stages - 2
    assert result["after"] < result["before"]


def test_only_sizes_that_suit_the_call_are_tried():
    _, maps = make_maps("down")
    tile = maps.forward.tile
    convolution = ("convolve", maps.forward, 40, 16, torch.float32)
    default = triton_convolve.default_config(*convolution)
    assert default.BLOCK_K == 16
    assert [config.CHUNKS for config in tune.variations(default, "CHUNKS", convolution)] == [2, 3]
    for channels, offsets in ((9, [4, 8, 16]), (32, [4, 8]), (200, [])):
        gradient = ("weight_gradient", maps.forward, channels, 16, torch.float32)
        default = triton_convolve.default_config(*gradient)
        assert [config.OFFSETS for config in tune.variations(default, "OFFSETS", gradient)] == offsets
        largest = replace(default, BLOCK_K=tile)
        assert [config.BLOCK_K for config in tune.variations(largest, "BLOCK_K", gradient)] == [tile // 2]


def test_a_wrong_default_is_an_error(monkeypatch):
    _, maps = make_maps("down")
    compute = triton_convolve.convolve
    monkeypatch.setattr(triton_convolve, "convolve", lambda *arguments: compute(*arguments) * 1.01)
    with pytest.raises(RuntimeError, match="engine=native"):
        tune.tune_call(("convolve", maps.forward, 16, 16, torch.float32), 1e-5, repeats=1)


def test_training_uses_the_stored_sizes(cache, monkeypatch):
    pairs, maps = make_maps("down")
    features, weight, bias, _ = make_values(pairs, 8, 16, 16, torch.float32)
    key = triton_convolve.call_key(maps.forward, 16, 16, torch.float32)
    kept = ConvolveConfig(BLOCK_N=16, BLOCK_K=16, CHUNKS=1, SPLIT_K=2, num_warps=4, num_stages=3)
    assert triton_tuned.tuned_config("convolve", features.device, key) is None
    triton_tuned.store_tuned(features.device, {"convolve": {key: vars(kept)}, "weight_gradient": {}})
    triton_tuned.store_tuned(features.device, {"convolve": {"another shape": vars(kept)}, "weight_gradient": {}})
    triton_tuned._read.cache_clear()
    assert triton_convolve.choose("convolve", maps.forward, 16, 16, torch.float32) == kept
    exact = triton_convolve.convolve(features, weight, bias, maps.forward, kept)
    assert torch.equal(triton_convolve.forward(features, weight, bias, maps), exact)


def test_sizes_of_the_package_are_used_until_tuning_finds_others(cache, monkeypatch, tmp_path):
    device = torch.device(DEVICE)
    monkeypatch.setattr(triton_tuned, "SHIPPED", tmp_path)
    shipped, own = (
        {"BLOCK_N": n, "BLOCK_K": 16, "CHUNKS": 1, "SPLIT_K": 1, "num_warps": 4, "num_stages": 3} for n in (16, 32)
    )
    file = tmp_path / triton_tuned.tuned_path(device).name
    file.write_text(json.dumps({"convolve": {"one": shipped, "other": shipped}}))
    assert vars(triton_tuned.tuned_config("convolve", device, "one")) == shipped
    triton_tuned.store_tuned(device, {"convolve": {"one": own}})
    triton_tuned._read.cache_clear()
    assert vars(triton_tuned.tuned_config("convolve", device, "one")) == own
    assert vars(triton_tuned.tuned_config("convolve", device, "other")) == shipped


@pytest.mark.parametrize("content", ["{", "[]", '{"convolve": {"x": {"BLOCK_N": 1}}}', '{"convolve": 3}'])
def test_a_broken_file_gives_one_warning_and_is_ignored(cache, content):
    device = torch.device(DEVICE)
    path = triton_tuned.tuned_path(device)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.warns(UserWarning, match="what=tune"):
        assert triton_tuned.tuned_config("convolve", device, "x") is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert triton_tuned.tuned_config("convolve", device, "x") is None


@pytest.mark.slow
def test_every_kernel_of_a_training_step_is_tuned(monkeypatch):
    monkeypatch.setattr(tune, "tune_call", lambda call, tolerance, repeats: (call[2:4], tolerance, repeats))
    monkeypatch.setitem(VARIANTS, "thin", THIN)
    x, _ = sparse_input(0, density=0.01)
    coordinates = x.coordinates.to(DEVICE)
    features = torch.randn(len(coordinates), 3).to(DEVICE)
    labels = torch.zeros(len(coordinates), dtype=torch.int64, device=DEVICE)
    workload = Workload(coordinates, features, labels, {"name": "thin", "stem_kernel": 3}, 4, torch.device(DEVICE))
    results = tune.tune_kernels(workload, System("triton", "fp32"), 3)
    channels = {kernel: {found[0] for found in shapes.values()} for kernel, shapes in results.items()}
    assert {(3, 32), (24, 24), (56, 24), (32, 16)} <= channels["convolve"] == channels["weight_gradient"]
    assert channels["input_gradient"] == {(cout, cin) for cin, cout in channels["convolve"] - {(3, 32)}}
    assert {found[1:] for shapes in results.values() for found in shapes.values()} == {(1e-5, 3)}


def test_the_command(cache, run_command, tiny, tmp_path, monkeypatch):
    sizes = {"BLOCK_N": 16, "BLOCK_K": 16, "CHUNKS": 1, "SPLIT_K": 1, "num_warps": 4, "num_stages": 3}
    result = {"sizes": sizes, "before": 0.002, "after": 0.001, "tried": 9, "wrong": 1}
    monkeypatch.setattr(tune, "tune_kernels", lambda workload, system, repeats: {"convolve": {"shape": result}})
    arguments = [*tiny, "what=tune", "voxels=[1000]", "voxel_size=0.2", f"out={tmp_path}/out"]
    outcome = run_command("benchmark", *arguments, "systems=[triton-fp32]")
    assert outcome.code == 0, outcome.err
    kept = triton_tuned.tuned_path(torch.device(DEVICE))
    for file in (kept, tmp_path / "out" / kept.name):
        assert json.loads(file.read_text()) == {"convolve": {"shape": sizes}}
    assert "| convolve | shape | 2.000 | 1.000 | BLOCK_N 16" in (tmp_path / "out" / "tune.md").read_text()
    wrong = run_command("benchmark", *arguments, "systems=[native-fp32]")
    assert (wrong.code, "only triton has sizes" in wrong.err) == (2, True)
