"""``predict`` without a checkpoint, its page, and the other commands with the shipped weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ceco3d.data.scenes.processed import list_scenes
from ceco3d.models.pretrained import SHIPPED
from ceco3d.visualization import scan_page
from tests.helpers.weights import write_weights


@pytest.fixture
def scan(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.hstack([rng.random((400, 3)) * [2, 2, 0], rng.integers(0, 256, (400, 3))])
    np.savetxt(tmp_path / "scan.xyz", rows, "%.4f")
    return tmp_path / "scan.xyz"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    write_weights(path)
    return path


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_predict_needs_no_checkpoint_and_says_what_it_takes(run_command, scan, tmp_path):
    outcome = run_command("predict", f"input={scan}", f"out={tmp_path / 'out'}", "fragments=false")
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("weights: ")]
    assert line.startswith("weights: pretrained, MinkUNet14A, voxels of ")
    assert ", trained on " in line
    assert line.endswith("; their limits: docs/pretrained.md")
    ends = ("html", "labels.txt", "ply", "png", "summary.json", "xyz")
    assert names(tmp_path / "out") == [f"scan.{end}" for end in ends]
    assert "Prediction" in (tmp_path / "out/scan.html").read_text(encoding="utf-8")
    assert (tmp_path / "out/scan.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "out/scan.summary.json").read_text())["checkpoint"] == str(SHIPPED)


def test_a_file_with_the_name_of_the_weights_is_a_path(run_command, scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").write_text("<html>")
    outcome = run_command("predict", "checkpoint=./pretrained", f"input={scan}", "out=out")
    assert outcome.code == 2
    assert "pretrained: an HTML page, not a checkpoint" in outcome.err


def test_without_the_shipped_file_one_line_asks_for_a_checkpoint(run_command, scan, tmp_path, monkeypatch):
    monkeypatch.setattr("ceco3d.models.pretrained.SHIPPED", tmp_path / "none")
    outcome = run_command("predict", f"input={scan}", f"out={tmp_path / 'out'}")
    assert outcome.code == 2
    assert "name a checkpoint instead" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_page_can_be_left_out_and_replaces_no_other_file(run_command, weights, scan, tmp_path):
    given = [f"checkpoint={weights}", f"input={scan}", f"out={tmp_path / 'out'}", "fragments=false"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/scan.png").write_text("mine")
    outcome = run_command("predict", *given)
    assert outcome.code == 2
    assert "scan.png was not written by ceco3d.predict" in outcome.err
    assert run_command("predict", *given, "page=false").code == 0
    assert names(tmp_path / "out") == [f"scan.{end}" for end in ("labels.txt", "ply", "png", "summary.json", "xyz")]
    assert (tmp_path / "out/scan.png").read_text() == "mine"


def test_a_large_scan_is_thinned_and_without_matplotlib_there_is_no_picture(
    run_command, weights, scan, tmp_path, monkeypatch
):
    drawn = []
    monkeypatch.setattr(scan_page, "PICTURE_POINTS", 100)
    monkeypatch.setattr("ceco3d.visualization.picture.scene_picture", lambda scene: drawn.append(len(scene)) or b"png")
    given = [f"checkpoint={weights}", f"input={scan}", "fragments=false"]
    assert run_command("predict", *given, f"out={tmp_path / 'thin'}").code == 0
    assert drawn == [100]
    monkeypatch.setitem(sys.modules, "ceco3d.visualization.picture", None)
    outcome = run_command("predict", *given, f"out={tmp_path / 'page'}")
    assert outcome.code == 0, outcome.err
    assert "no picture beside it" in outcome.out
    assert names(tmp_path / "page") == [f"scan.{end}" for end in ("html", "labels.txt", "ply", "summary.json", "xyz")]


def test_visualize_evaluate_and_export_take_the_shipped_weights(run_command, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fast = [*tiny, "fragments=false", "voxel_size=0.4"]
    for name, more in (("evaluate", []), ("export", ["split=val", "tta=none"])):
        outcome = run_command(name, "checkpoint=pretrained", *fast, *more)
        assert outcome.code == 0, outcome.err
        assert "pretrained on rooms200 val, voxels of 0.4 m" in outcome.out
    found = json.loads((tmp_path / "outputs/pretrained/evaluate-val/metrics.json").read_text())
    assert 0 <= found["calibration_error"] <= 1
    assert (tmp_path / "outputs/pretrained/export-val/submission.zip").is_file()
    root = Path(next(word for word in tiny if word.startswith("dataset.root=")).partition("=")[2])
    scene = list_scenes(root, "val")[0].name
    outcome = run_command("visualize", f"scene={scene}", "runs=[pretrained]", *tiny, "voxel_size=0.4", "out=pictures")
    assert outcome.code == 0, outcome.err
    assert names(tmp_path / "pictures") == [f"{scene}.html", f"{scene}.png"]


def test_evaluate_prints_the_temperature(run_command, tiny, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["checkpoint=pretrained", *tiny, "voxel_size=0.4", "calibrate=true"]
    outcome = run_command("evaluate", *given)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1].startswith("temperature ")
    assert names(tmp_path) == []
