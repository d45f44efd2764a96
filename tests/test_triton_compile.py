"""The Triton kernels compile for real GPUs, without one: resources, tensor cores, pipelining."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

SCRIPT = Path(__file__).parent / "compile_triton.py"
# Most shared memory of a block (CUDA C++ programming guide, compute capabilities).
SHARED = {80: 163 << 10, 86: 99 << 10, 90: 227 << 10, 100: 227 << 10}
TENSOR_CORES = {80: "dot", 86: "dot", 90: "warp_group_dot", 100: "tc_gen5_mma"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "precision"),
    [(80, "bf16"), (86, "bf16"), (90, "bf16"), (90, "fp16"), (90, "tf32"), (90, "fp32"), (100, "bf16")],
)
def test_kernels_fit(capability, precision):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, SCRIPT, str(capability), precision]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    kernels = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(kernels) > 20
    for kernel in kernels:
        assert kernel["spilled"] == 0, kernel
        assert kernel["shared"] <= SHARED[capability], kernel
        if kernel["kernel"] in ("convolve", "weight_gradient"):
            assert kernel["asynchronous"], kernel
        large = min(kernel.get("cin", 0), kernel.get("cout", 0)) >= 64
        if large and precision != "fp32":
            assert kernel["product"] == TENSOR_CORES[capability], kernel
