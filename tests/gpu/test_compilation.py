"""A second process takes the compiled kernels from Triton's cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.gpu import cases

pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]
STEP = """
import torch
from ceco3d.models import build_model
from ceco3d.sparse import SparseTensor
from tests.helpers.gpu import surface
torch.manual_seed(0)
network = build_model("MinkUNet14A", 9, 20, engine="triton").cuda()
with torch.autocast("cuda", torch.bfloat16):
    out = network(SparseTensor(torch.randn(30000, 9, device="cuda"), surface(30000))).features
out.float().sum().backward()
torch.cuda.synchronize()
"""


@cases("command", [], [["-c", STEP]], slow=True)
def test_a_second_process_compiles_nothing(command, tmp_path):
    """A training step; tests/models/test_warm.py shows the same without a GPU."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)

    def files():
        run = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-2000:]
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    first = files()
    assert len([path for path in first if path.suffix == ".cubin"]) > 20
    assert files() == first
