"""Engines: the built-in ones, one defined outside ceco3d, and the errors about others."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from ceco3d import sparse
from ceco3d.models import build_model
from ceco3d.models.blocks import BasicBlock
from ceco3d.sparse import SparseTensor, engine, load_engine
from ceco3d.sparse.kernels import triton_launch
from tests.helpers.extensions import CountingEngine
from tests.helpers.sparse import sparse_input

ROOT = Path(__file__).parents[2]


counting = CountingEngine()


class Incomplete:
    """An engine without most layers."""

    Convolution = sparse.Convolution


def test_an_engine_of_ones_own_is_named_by_its_path():
    torch.manual_seed(0)
    native = build_model("MinkUNet14A", 3, 5, stem_kernel=3)
    torch.manual_seed(0)
    model = build_model("MinkUNet14A", 3, 5, stem_kernel=3, engine=f"{__name__}.counting")
    x, _ = sparse_input(0)
    x = SparseTensor(x.features.detach().float(), x.coordinates)
    model.build_maps(x)
    before = counting.calls
    out = model(x).features
    assert torch.equal(out, native(x).features)
    blocks = [block for block in model.modules() if isinstance(block, BasicBlock)]
    shortcuts = sum(block.downsample is not None for block in blocks)
    assert counting.calls - before == 1 + 4 + 2 * len(blocks) + shortcuts + 1  # stem, down, blocks, classifier


def test_auto_is_triton_where_there_is_a_gpu(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(engine, "missing", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_engine("auto") is sparse
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert load_engine("auto").__name__ == "ceco3d.sparse.triton"
    monkeypatch.setattr(engine, "missing", lambda: "the package triton is not installed (pip install triton)")
    engine._warn_once.cache_clear()
    with pytest.warns(UserWarning, match=r"engine=auto takes the slower engine=native: .*pip install triton"):
        assert load_engine("auto") is sparse
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # warned once
        assert load_engine("auto") is sparse


@pytest.mark.parametrize(
    ("name", "device", "dtype", "described"),
    [
        ("auto", "cpu", torch.float32, "native (on a CPU)"),
        ("triton", "cpu", torch.float32, "native (the Triton kernels run on a GPU, not on cpu"),
        ("native", "cuda", torch.float32, "native"),
        ("auto", "cuda", torch.bfloat16, "triton (on a GPU that runs its kernels)"),
        ("triton", "cuda", torch.bfloat16, "triton"),
        ("auto", "cuda", torch.float64, "native (the Triton kernels do not support float64)"),
        ("mypackage.engine", "cuda", torch.float32, "mypackage.engine"),
    ],
)
def test_an_engine_is_described_with_the_reason(monkeypatch, name, device, dtype, described):
    pytest.importorskip("triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(engine, "missing", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    triton_launch._reason.cache_clear()
    assert engine.describe_engine(name, torch.device(device), dtype).startswith(described)
    triton_launch._reason.cache_clear()


def test_an_engine_of_ones_own_may_be_a_module(tmp_path, monkeypatch):
    (tmp_path / "my_engine").mkdir()
    (tmp_path / "my_engine" / "__init__.py").touch()
    layers = "BatchNorm, Convolution, ReLU, SparseTensor, TransposedConvolution"
    (tmp_path / "my_engine" / "layers.py").write_text(f"from ceco3d.sparse import {layers}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_engine("my_engine.layers").Convolution is sparse.Convolution


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spconv", r"unknown engine 'spconv'; choose one of auto, native, triton, minkowski or a dotted path"),
        ("Native", r"did you mean native\? choose one of"),
        ("no_such_package.engine", "no_such_package"),
        ("ceco3d.sparse.nothing", "ceco3d.sparse has no nothing"),
        (f"{__name__}.Incomplete", "it has no SparseTensor, TransposedConvolution, BatchNorm, ReLU"),
    ],
)
def test_unusable_engines_are_named_in_one_line(name, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_engine(name)
    assert "\n" not in str(caught.value)


ALONE = """
import sys, torch
from ceco3d.sparse import Convolution, SparseTensor
features = torch.randn(3, 2, requires_grad=True)
x = SparseTensor(features, torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [0, 5, 5, 5]]))
layer = Convolution(2, 4, 3)
layer(x).features.sum().backward()
assert features.grad.shape == (3, 2) and layer.kernel.grad.shape == (27, 2, 4)
print(sorted({".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("ceco3d")}))
"""


def test_sparse_works_without_the_rest_of_ceco3d(tmp_path):
    shutil.copytree(ROOT / "ceco3d" / "sparse", tmp_path / "ceco3d" / "sparse")
    (tmp_path / "ceco3d" / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", ALONE]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "['ceco3d', 'ceco3d.sparse']"


def test_sparse_imports_nothing_else_of_ceco3d():
    for path in (ROOT / "ceco3d" / "sparse").rglob("*.py"):
        lines = [line.strip() for line in path.read_text().splitlines()]
        imports = [line for line in lines if line.startswith(("import ceco3d", "from ceco3d"))]
        assert all(line.split()[1].startswith("ceco3d.sparse") for line in imports), path
