"""Operations, bytes and floors of the roofline benchmark."""

import json
from functools import partial

import pytest
import torch

from ceco3d.benchmarks import roofline
from ceco3d.benchmarks.convolutions import DIRECTIONS, ConvolutionSize, measure_convolutions
from ceco3d.benchmarks.timing import copy_rate
from tests.helpers.benchmarks import make_workload


def test_operations_and_traffic_of_a_layer():
    layer = ConvolutionSize(
        stride=1, voxels=10, num_in=10, num_out=4, pairs=10, volume=8, in_channels=3, out_channels=5
    )
    assert layer.operations == 2 * 10 * 3 * 5
    rows, weights, indices = 10 * 3 + 4 * 5, 8 * 3 * 5, 10 * 4
    assert layer.traffic("forward", torch.bfloat16) == 2 * rows + 2 * weights + indices
    assert layer.traffic("input grad", torch.float32) == 4 * rows + 4 * weights + indices
    assert layer.traffic("weight grad", torch.bfloat16) == 2 * rows + 4 * weights + indices


def test_convolution_sizes_follow_from_the_voxels():
    workload = make_workload()
    found = measure_convolutions(workload)
    voxels = {tuple(row) for row in workload.coordinates.tolist()}
    near = [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]
    pairs = sum((b, x + dx, y + dy, z + dz) in voxels for b, x, y, z in voxels for dx, dy, dz in near)
    coarse = {(b, x // 2, y // 2, z // 2) for b, x, y, z in voxels}
    n, m = len(voxels), len(coarse)
    assert found["conv0p1s1"] == ConvolutionSize(1, n, n, n, pairs, 27, 9, 32)
    assert found["conv1p1s2"] == ConvolutionSize(1, n, n, m, n, 8, 32, 32)
    assert found["convtr7p2s2"] == ConvolutionSize(1, n, m, n, n, 8, 96, 96)
    assert found["block2.0.downsample.0"].volume == 1
    assert found["final"] == ConvolutionSize(1, n, n, n, n, 1, 96, 7)
    assert {layer.stride for layer in found.values()} == {1, 2, 4, 8, 16}


def test_roofline_of_a_network(run_command, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(roofline, "copy_rate", partial(copy_rate, size=1 << 24))
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
