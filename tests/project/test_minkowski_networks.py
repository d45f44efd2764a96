"""scripts/minkowski_networks.py: what its comparison of two engines sees, and that rows may have any order."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "minkowski_networks.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="an installed package has no scripts")


@pytest.fixture(scope="module")
def script():
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location("minkowski_networks", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = path
    del sys.modules["sources"]


def result(order=None, **changes):
    """What a worker saves of a small network, with rows in another order."""
    random = torch.Generator().manual_seed(0)
    places = torch.cartesian_prod(torch.arange(2), torch.arange(-3, 3), torch.arange(-2, 2), torch.arange(1))
    features = torch.randn(len(places), 4, generator=random)
    order = torch.arange(len(places)) if order is None else order
    gradients = {"a": torch.ones(3), "b": torch.full((2,), 1e-9)}
    return {
        "outputs": [(places[order], features[order])],
        "gradients": gradients,
        "statistics": {"m": torch.ones(2)},
    } | changes


def test_rows_may_have_any_order(script):
    errors = script.compare(result(torch.randperm(48, generator=torch.Generator().manual_seed(1))), result())
    assert errors == {"outputs": 0.0, "gradients": 0.0, "statistics": 0.0}


def test_a_gradient_that_is_rounding_counts_by_the_greatest_of_all(script):
    other = {"a": torch.ones(3), "b": torch.full((2,), -1e-9)}
    assert script.compare(result(gradients=other), result())["gradients"] == pytest.approx(2e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("outputs", {"outputs": []}),
        ("outputs", {"outputs": [(result()["outputs"][0][0] + 1, result()["outputs"][0][1])]}),
        ("outputs", {"outputs": [(result()["outputs"][0][0], torch.full((48, 4), float("nan")))]}),
        ("gradients", {"gradients": {"a": torch.ones(3)}}),
        ("gradients", {"gradients": {"a": torch.ones(3, 1), "b": torch.ones(2)}}),
        ("statistics", {"statistics": {}}),
    ],
)
def test_what_does_not_fit_is_an_infinite_error(script, kind, changes):
    assert script.compare(result(**changes), result())[kind] == float("inf")


def test_a_different_value_is_found(script):
    output = result()["outputs"][0][1].clone()
    output[7, 2] += 0.5 * output.abs().max()
    errors = script.compare(result(outputs=[(result()["outputs"][0][0], output)]), result())
    assert errors["outputs"] == pytest.approx(0.5)


def test_a_folder_without_the_repository_ends_in_one_line(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, "FCGF", f"--sources={tmp_path}"], capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        done.stderr == f"error: {tmp_path / 'FCGF'}: no git repository; clone https://github.com/chrischoy/FCGF there\n"
    )


def test_an_unknown_network_ends_in_one_line():
    done = subprocess.run([sys.executable, SCRIPT, "PointNet"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("minkowski_networks.py: error: ")
    assert "PointNet" in done.stderr
