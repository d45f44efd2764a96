"""The training in Python that docs/architecture.md prints."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from ceco3d.runs import read_curves
from tests.helpers.source import ROOT, fenced, section

MAX_LINES = 30


def code() -> str:
    content = section((ROOT / "docs/architecture.md").read_text(), "A training in Python")
    assert content is not None
    return fenced(content, "python")[0]


def test_a_training_in_python_is_short_and_needs_no_hydra():
    names = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(code()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert not names & {"hydra", "omegaconf"}
    assert len([line for line in code().splitlines() if line.strip()]) <= MAX_LINES


@pytest.mark.slow
def test_a_training_in_python_runs_as_printed(tmp_path):
    (tmp_path / "training.py").write_text(code())
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    run = [
        sys.executable,
        "-c",
        "import runpy, sys; runpy.run_path('training.py', run_name='__main__'); print(*sys.modules)",
    ]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not {"hydra", "omegaconf"} & set(done.stdout.splitlines()[-1].split())
    (log,) = tmp_path.rglob("metrics.csv")
    assert "loss" in read_curves(log.parent)
    assert list(tmp_path.rglob("last.pt"))
