"""scripts/gpu_proof.py: its commands are valid, it runs end to end on the CPU, and no part holds up the others."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from ceco3d.benchmarks.systems import System
from tests.helpers.commands import KINDS, settings_of
from tests.helpers.source import ROOT

SCRIPT = ROOT / "scripts" / "gpu_proof.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="an installed package has no scripts")


@pytest.fixture(scope="module")
def proof():
    spec = importlib.util.spec_from_file_location("gpu_proof", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("dry", [False, True])
def test_every_command_has_valid_settings(proof, tmp_path, dry):
    parts = proof.all_parts(tmp_path, dry)
    assert len({part.name for part in parts}) == len(parts)
    for part in parts:
        module, name = part.command[1].partition("ceco3d.")[::2]
        if name not in KINDS:
            assert module in ("", "pytest"), part
            continue
        settings = settings_of(name, *part.command[2:])
        if name == "benchmark":
            assert all(System.named(system) for system in settings.systems)
            if settings.what == "utilization":
                settings_of("train", *settings.utilization.train)


def test_tests_that_are_named_exist(proof, tmp_path):
    for part in proof.all_parts(tmp_path, False):
        for word in part.command:
            assert not word.startswith("tests/") or (ROOT / word).exists()


def test_a_part_that_hangs_is_ended_and_the_next_one_runs(proof, tmp_path, monkeypatch, capsys):
    hangs = proof.Part("hangs", ["-c", "import time; time.sleep(600)"], 2)
    endless = proof.Part("endless", hangs.command, 2, endless=True)
    fails = proof.Part("fails", ["-c", "print('why'); raise SystemExit(3)"], 60)
    works = proof.Part("works", ["-c", "import ceco3d; print(ceco3d.__file__)"], 60)
    monkeypatch.setattr(proof, "all_parts", lambda out, dry: [hangs, endless, fails, works])
    assert proof.main(["--out", str(tmp_path)]) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [summary[name]["status"] for name in summary] == ["over 2 s", "ok", "failed", "ok"]
    assert (tmp_path / "fails.log").read_text() == "why\n"
    assert Path((tmp_path / "works.log").read_text().strip()).is_relative_to(ROOT)
    assert "works" in capsys.readouterr().out


def test_parts_without_time_are_named(proof, tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "all_parts", lambda out, dry: [proof.Part("late", ["-c", ""], 60)])
    assert proof.main(["--out", str(tmp_path), "--minutes", "0.1"]) == 1
    assert json.loads((tmp_path / "summary.json").read_text()) == {"late": {"status": "left out: no time"}}


@pytest.mark.slow
def test_a_dry_run_passes(proof, tmp_path):
    """The main parts, with small inputs on the CPU; tests/benchmarks runs the other benchmarks."""
    parts = "rooms,engines-5,tests,train"
    assert proof.main(["--out", str(tmp_path), "--dry", "--minutes", "30", "--only", parts]) == 0, {
        path.name: path.read_text()[-500:] for path in tmp_path.glob("*.log")
    }
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["train"]["voxels_per_second"] > 0
    assert json.loads((tmp_path / "engines-5/engines.json").read_text())["results"]
    assert (tmp_path / "tests.xml").exists()
