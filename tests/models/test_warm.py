"""Kernels compiled ahead are those that a training needs, and are compiled once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ceco3d.sparse.kernels.triton_launch import missing

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_no_later_process_compiles_what_was_compiled_ahead(tmp_path):
    def compile_ahead():
        environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
        environment |= {"TRITON_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-m", "tests.helpers.warm_kernels", "90"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    found = compile_ahead()
    (variants, new), (needed, compiled_late) = found["ahead"], found["step"]
    assert variants == new >= needed > 4  # two processes shared them without repeating one
    assert compiled_late == 0
    assert compile_ahead() == {"ahead": [variants, 0], "step": [needed, 0]}
