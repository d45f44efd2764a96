"""The pre-commit hooks are a subset of the checks of .ci/run."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".pre-commit-config.yaml"
pytestmark = pytest.mark.skipif(not CONFIG.exists(), reason="an installed package has no hooks")


def test_hooks_are_checks_of_the_ci():
    (local,) = yaml.safe_load(CONFIG.read_text())["repos"]
    assert local["repo"] == "local"  # no network
    checks = (ROOT / ".ci/run").read_text().splitlines()
    for hook in local["hooks"]:
        files = " ." if hook.get("pass_filenames", True) else ""
        assert f"{hook['entry']}{files}" in checks


@pytest.mark.skipif(find_spec("pre_commit") is None, reason="needs the dev extra")
def test_the_hooks_are_valid():
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", CONFIG], check=True, cwd=ROOT)
