"""The report of a run: one page with all its results, at the end of training and again later."""

import json
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from ceco3d.reports.run_report_calibration import calibration_section
from ceco3d.reports.run_report_pictures import data_roots
from ceco3d.runs.folder import Bin
from tests.helpers.training import SMALL

pytest.importorskip("matplotlib")

SECTIONS = (
    "Command and environment",
    "Scores",
    "Training",
    "Neural collapse",
    "Best and worst validation scenes",
    "Confusion of the classes with the lowest IoU",
    "Calibration of the confidence",
    "Classes",
)
SHORT = (*SMALL, "trainer.epochs=1", "trainer.validate_every=1")
VIEWS = 8  # of a scene: original, truth, prediction and errors, from two cameras


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A folder ``project`` with the data and the run of a training that was started in it, all by relative paths."""
    project = tmp_path_factory.mktemp("home") / "project"
    data = dict(override.split("=") for override in tiny)
    shutil.copytree(data["dataset.root"], project / "data")
    paths = ["dataset.size=tiny", "dataset.raw=null", "dataset.root=data", "run_dir=outputs/run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr("ceco3d.visualization.picture.SIZE", (60, 80))
        patch.setattr("sys.orig_argv", ["python", "-m", "ceco3d.train", "name=<one>"])
        patch.setattr("sys.argv", ["train", *SHORT, *paths, "name='<one>'"])
        import_module("ceco3d.train").main()
    return project


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    """A copy of ``trained``; the current folder is another one."""
    monkeypatch.setattr("ceco3d.visualization.picture.SIZE", (60, 80))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return shutil.copytree(trained, tmp_path / "project")


def pictures(page):
    return page.count('src="data:image/png')


def test_training_ends_with_a_whole_page(project, tiny, run_command, tmp_path):
    run = project / "outputs/run"
    page = (run / "report.html").read_text()
    assert [title for title in SECTIONS if f"<h2>{title}</h2>" not in page] == []
    assert "python -m ceco3d.train &#x27;name=&lt;one&gt;&#x27;" in page
    assert "://" not in page
    assert "<one>" not in page
    assert pictures(page) == 2 * VIEWS
    assert len(re.findall(r'<tr><th scope="row">[^<]*</th><td>', page.partition('class="classes"')[2])) == 200
    assert "ScanNet200 test set, scored by the benchmark&#x27;s server (union)" in page
    assert '<th scope="row">CeCo</th><td>34.0</td>' in page
    assert 'class="banner"' not in page
    scenes = json.loads((run / "scenes.json").read_text())
    counts = np.load(run / "confusion.npz")["counts"]
    assert counts.shape == (200, 201)
    assert all(0 <= miou <= 1 for miou in scenes.values())

    out = tmp_path / "scored"
    assert run_command("evaluate", *tiny, f"checkpoint={run / 'checkpoints/best.pt'}", f"out={out}").code == 0
    page = (out / "report.html").read_text()
    assert [title for title in SECTIONS if f"<h2>{title}</h2>" in page] == [SECTIONS[i] for i in (0, 1, 5, 6, 7)]


def test_a_report_from_another_folder_finds_the_data_of_the_run(project, trained, run_command):
    """Data and run have moved together; the folder that the run remembers has no data any more."""
    run = project / "outputs/run"
    (run / "report.html").unlink()
    (trained / "data").rename(trained / "gone")
    try:
        assert run_command("report", f"run={run}").code == 0
    finally:
        (trained / "gone").rename(trained / "data")
    page = (run / "report.html").read_text()
    assert pictures(page) == 2 * VIEWS
    assert "Kept from" not in page


@pytest.mark.parametrize("lost", ["data", "checkpoints", "matplotlib"])
def test_pictures_that_cannot_be_drawn_again_are_kept(project, trained, run_command, monkeypatch, lost):
    run = project / "outputs/run"
    before = (run / "report.html").read_text()
    if lost == "data":
        record = json.loads((run / "environment.json").read_text())
        (run / "environment.json").write_text(json.dumps(record | {"folder": "/nowhere"}))
        shutil.rmtree(project / "data")
    elif lost == "checkpoints":
        shutil.rmtree(run / "checkpoints")
    else:
        monkeypatch.setattr("ceco3d.reports.run_report_pictures.find_spec", lambda name: None)
    for _ in range(2):  # what is kept once is kept again
        assert run_command("report", f"run={run}").code == 0
    page = (run / "report.html").read_text()
    assert re.findall(r'src="data[^"]*"', page) == re.findall(r'src="data[^"]*"', before)
    reason = {"data": "the data set is not there any more", "checkpoints": "no checkpoint", "matplotlib": "pip install"}
    assert page.count("Kept from the report of ") == 1
    assert reason[lost] in page

    (run / "report.html").unlink()
    assert run_command("report", f"run={run}").code == 0
    page = (run / "report.html").read_text()
    assert pictures(page) == 0
    assert reason[lost] in page.partition("No pictures: ")[2].partition("</p>")[0]


def test_an_unfinished_run_shows_scenes_without_calling_them_best(project, run_command):
    run = project / "outputs/run"
    for name in ("metrics.json", "scenes.json", "report.html"):
        (run / name).unlink()
    assert run_command("report", f"run={run}").code == 0
    page = (run / "report.html").read_text()
    assert pictures(page) == 2 * VIEWS
    assert "<h2>Validation scenes</h2>" in page
    assert "Best and worst" not in page


def test_a_report_that_fails_does_not_fail_the_training(tiny, tmp_path, run_command, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no\nroom")

    monkeypatch.setattr("ceco3d.reports.run_report.write_page", fail)
    ended = run_command("train", *tiny, *SHORT, f"run_dir={tmp_path}")
    assert ended.code == 0
    assert "no report: no room" in caplog.messages
    assert (tmp_path / "metrics.json").exists()
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("how", ["signal", "non-finite loss"])
def test_an_interrupted_training_is_reported(tiny, tmp_path, run_command, monkeypatch, how):
    arguments = [*tiny, *SHORT, "trainer.epochs=3", f"run_dir={tmp_path}"]
    if how == "signal":
        monkeypatch.setattr("ceco3d.training.loop.Trainer._save", lambda *_: sys.exit(143))
        code, reason = 143, "stopped by SIGTERM"
    else:
        arguments += ["optimizer.lr=1e30", "trainer.max_skipped=2"]
        code, reason = 2, "2 steps in a row without a finite loss"
    assert run_command("train", *arguments).code == code
    page = (tmp_path / "report.html").read_text()
    banner = page.partition('class="banner"')[2].partition("</div>")[0]
    assert "Interrupted at epoch 1 of 3, step " in banner
    assert reason in banner
    assert "<h2>Training</h2>" in page
    monkeypatch.undo()
    assert run_command("report", f"run={tmp_path}", "device=cpu").code == 0
    assert reason in (tmp_path / "report.html").read_text()  # the page that is replaced knew why


def test_a_training_that_does_not_start_leaves_the_report_alone(project, tiny, run_command):
    run = project / "outputs/run"
    before = (run / "report.html").read_bytes()
    ended = run_command("train", *tiny, *SHORT, f"run_dir={run}")
    assert (ended.code, "already holds a run" in ended.err) == (2, True)
    assert (run / "report.html").read_bytes() == before


def test_a_relative_root_starts_where_the_run_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"dataset": {"root": "data/rooms"}, "run_dir": "outputs/a"}
    run = tmp_path / "project/outputs/a"
    assert data_roots(run, config, "/home/me") == [Path("/home/me/data/rooms"), tmp_path / "project/data/rooms"]
    assert data_roots(run, config, "") == [tmp_path / "project/data/rooms"]
    assert data_roots(run, config | {"run_dir": "/outputs/a"}, "") == [tmp_path / "data/rooms"]
    assert data_roots(run, {"dataset": {"root": "/data"}}, "/home/me") == [Path("/data")]
    assert data_roots(run, {}, "/home/me") == []


def test_the_calibration_is_drawn_to_scale():
    bins = [Bin(0, 0.0, 0.0), Bin(1, 0.4, 1.0), Bin(199, 0.9, 0.75)]
    section = calibration_section(bins)
    assert "Calibration error 15.2 %" in section  # (1 x 0.6 + 199 x 0.15) / 200
    heights = re.findall(r'class="(\w+)" x="[\d.]+" y="([\d.]+)" width="32.53" height="([\d.]+)"', section)
    assert heights == [("few", "0.00", "100.00"), ("many", "25.00", "75.00")]
    assert calibration_section(bins[:1]) == calibration_section([]) == ""
