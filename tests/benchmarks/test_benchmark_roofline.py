"""What the benchmark counts: operations, bytes, and the time in which a GPU is busy."""

import json
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity

from ceco3d.benchmarks import gpu_utilization as busy
from ceco3d.benchmarks.convolutions import DIRECTIONS, Counted, convolutions
from ceco3d.benchmarks.gpu_utilization import busy_share, time_busy
from ceco3d.utils.errors import UserError
from tests.helpers.benchmarks import make_work


def test_operations_and_traffic_of_a_layer():
    layer = Counted(stride=1, voxels=10, num_in=10, num_out=4, pairs=10, volume=8, in_channels=3, out_channels=5)
    assert layer.operations == 2 * 10 * 3 * 5
    rows, weights, indices = 10 * 3 + 4 * 5, 8 * 3 * 5, 10 * 4
    assert layer.traffic("forward", torch.bfloat16) == 2 * rows + 2 * weights + indices
    assert layer.traffic("input grad", torch.float32) == 4 * rows + 4 * weights + indices
    assert layer.traffic("weight grad", torch.bfloat16) == 2 * rows + 4 * weights + indices


def test_convolutions_are_counted_on_the_maps():
    work = make_work()
    found = convolutions(work)
    voxels = {tuple(row) for row in work.coordinates.tolist()}
    near = [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]
    pairs = sum((b, x + dx, y + dy, z + dz) in voxels for b, x, y, z in voxels for dx, dy, dz in near)
    coarse = {(b, x // 2, y // 2, z // 2) for b, x, y, z in voxels}
    n, m = len(voxels), len(coarse)
    assert found["conv0p1s1"] == Counted(1, n, n, n, pairs, 27, 9, 32)
    assert found["conv1p1s2"] == Counted(1, n, n, m, n, 8, 32, 32)
    assert found["convtr7p2s2"] == Counted(1, n, m, n, n, 8, 96, 96)
    assert found["block2.0.downsample.0"].volume == 1
    assert found["final"] == Counted(1, n, n, n, n, 1, 96, 7)
    assert {layer.stride for layer in found.values()} == {1, 2, 4, 8, 16}


@pytest.mark.slow
def test_roofline_of_a_network(run_command, tiny, tmp_path):
    arguments = ["model=minkunet14a", "voxels=[1000]", "repeats=1", "what=roofline", "systems=[native-fp32]"]
    outcome = run_command("benchmark", *tiny, *arguments, f"out={tmp_path}")
    assert outcome.code == 0
    assert "| 1: 1,000 | forward |" in (tmp_path / "roofline.md").read_text()
    (result,) = json.loads((tmp_path / "roofline.json").read_text())["results"]
    lines = result["systems"]["native-fp32"]
    assert [(line["stride"], line["direction"]) for line in lines] == [
        (stride, direction) for stride in (1, 2, 4, 8, 16, None) for direction in DIRECTIONS
    ]
    totals = {line["direction"]: line for line in lines if line["stride"] is None}
    assert totals["input grad"]["operations"] < totals["forward"]["operations"] == totals["weight grad"]["operations"]
    for key in ("operations", "bytes", "floor", "seconds"):
        for direction, total in totals.items():
            of_levels = [line[key] for line in lines if line["direction"] == direction and line["stride"]]
            assert min(of_levels) > 0
            assert sum(of_levels) == pytest.approx(total[key])
    for line in lines:
        least = max(line["operations"] / result["gemm_rate"]["fp32"], line["bytes"] / result["bandwidth"])
        assert line["floor"] >= least * (1 - 1e-9)


def test_busy_share_of_overlapping_kernels():
    assert busy_share([(10.0, 20.0), (15.0, 18.0), (30.0, 50.0), (45.0, 60.0)]) == (50.0, 0.8)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50)), min_size=1, max_size=20))
def test_busy_share_counts_every_moment_once(kernels):
    intervals = [(float(start), float(start + length)) for start, length in kernels]
    moments = {moment for start, length in kernels for moment in range(start, start + length)}
    span, share = busy_share(intervals)
    assert span == max(moments) + 1 - min(moments)
    assert share * span == pytest.approx(len(moments))


@pytest.mark.skipif(torch.cuda.is_available(), reason="of machines without a GPU")
@pytest.mark.parametrize(("updates", "message"), [(3, "took 3 updates, 5 are needed"), (9, "no kernel ran")])
def test_busy_needs_updates_and_kernels(monkeypatch, updates, message):
    monkeypatch.setattr(busy, "ProfilerActivity", SimpleNamespace(CUDA=ProfilerActivity.CPU))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    with pytest.raises(UserError, match=message):
        time_busy(lambda: [optimizer.step() for _ in range(updates)], skip=2, steps=3)
    optimizer.step()  # no longer watched


@pytest.mark.skipif(torch.cuda.is_available(), reason="of machines without a GPU")
def test_command_busy_needs_a_gpu(run_command, tmp_path):
    outcome = run_command("benchmark", "what=busy", f"out={tmp_path}/out")
    assert outcome.code == 2
    assert "GPU" in outcome.err
    assert not (tmp_path / "out").exists()
