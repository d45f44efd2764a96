"""The Triton kernels compile for real GPUs without having one: resources, tensor cores, pipelining."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

ROOT = Path(__file__).parents[2]
# Maximum shared memory per block in bytes (CUDA C++ programming guide, compute capabilities).
SHARED = {80: 163 << 10, 90: 227 << 10, 100: 227 << 10}
TENSOR_CORES = {80: "dot", 90: "warp_group_dot", 100: "tc_gen5_mma"}


def results(script, *arguments):
    """The JSON lines that a script prints."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", f"tests.helpers.{script}", *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "precision"),
    [(80, "bf16"), (90, "bf16"), (90, "tf32"), (90, "fp32"), (100, "bf16")],
)
def test_kernels_fit_the_gpu(capability, precision):
    kernels = results("compile_triton", capability, precision)
    assert len(kernels) > 20
    for kernel in kernels:
        assert kernel["spilled"] == 0, kernel
        assert kernel["shared"] <= SHARED[capability], kernel
        _, cin, cout, _ = kernel.get("shape", (0, 0, 0, 0))
        if "shape" in kernel:
            assert kernel["ahead"] >= 1, kernel
        large = min(cin, cout) >= 64
        if large and precision != "fp32":
            assert kernel["product"] == TENSOR_CORES[capability], kernel


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="replaces the driver of the GPU")
def test_later_steps_compile_few_new_kernels():
    first, *others = results("launch_triton", 90)
    assert set(first) == {
        *("search_columns", "fill_tiles", "list_blocks"),
        *("convolve", "weight_gradient", "add_parts"),
        *("statistics", "normalize", "gradient_sums", "gradient"),
    }
    assert first["convolve"] > 15
    assert first["weight_gradient"] > 15
    # Other numbers of voxels recompile a kernel only when SPLIT_K doubles or halves.
    assert all(sum(step.values()) <= 1.4 * sum(first.values()) for step in others), (first, others)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="replaces the driver of the GPU")
def test_a_training_step_takes_few_launches():
    """MinkUNet34C on 960,000 voxels, without its kernel maps: 62 batch norms, 55 convolutions."""
    found, _ = results("count_launches")
    forward, backward = found["forward"], found["backward"]
    assert forward["all"] + backward["all"] <= 750, found
    assert forward["statistics"] == forward["normalize"] == backward["gradient_sums"] == 62
    assert forward["torch._foreach_copy_"] == 1  # the weights
    assert not {"torch.native_batch_norm", "torch.relu_", "torch._log_softmax"} & set(forward)
    assert not {"torch.native_batch_norm_backward", "torch.threshold_backward"} & set(backward)
