"""The report of a run: one page with all its results."""

import json
import sys

import numpy as np
import pytest
import torch

from ceco3d.reports.final_report import report_run
from ceco3d.runs.folder import read_curves

pytest.importorskip("matplotlib")

SECTIONS = (
    "Command and environment",
    "Scores",
    "Training",
    "Neural collapse",
    "Best and worst validation scenes",
    "Confusion of the classes with the lowest IoU",
    "Classes",
)
SMALL = ("model=minkunet14a", "model.stem_kernel=3", "voxel_size=0.25", "trainer.batch_size=4", "trainer.log_every=1")
SHORT = (*SMALL, "trainer.epochs=1", "trainer.validate_every=1")


@pytest.fixture
def small_pictures(monkeypatch):
    monkeypatch.setattr("ceco3d.visualization.picture.SIZE", (60, 80))


def test_training_ends_with_a_whole_page(tiny, tmp_path, run_command, small_pictures, monkeypatch):
    command = ["python", "-m", "ceco3d.train", "name=<one>"]
    monkeypatch.setattr("sys.orig_argv", command)
    assert run_command("train", *tiny, *SHORT, f"run_dir={tmp_path}").code == 0
    page = (tmp_path / "report.html").read_text()
    assert [title for title in SECTIONS if f"<h2>{title}</h2>" not in page] == []
    assert "python -m ceco3d.train &#x27;name=&lt;one&gt;&#x27;" in page
    assert "://" not in page
    assert page.count("data:image/png") == 5  # two curves, confusion, two scenes
    assert page.count('<div class="class">') == 200
    assert "Published results on the ScanNet200 test set" in page
    assert "<th>CeCo</th><td>34.0</td>" in page
    scenes = json.loads((tmp_path / "scenes.json").read_text())
    counts = np.load(tmp_path / "confusion.npz")["counts"]
    assert counts.shape == (200, 201)
    assert all(0 <= miou <= 1 for miou in scenes.values())

    (tmp_path / "report.html").unlink()
    (tmp_path / "confusion.npz").unlink()
    assert run_command("report", f"run={tmp_path}").code == 0
    assert "Confusion" not in (tmp_path / "report.html").read_text()

    out = tmp_path / "scored"
    checkpoint = tmp_path / "checkpoints/best.pt"
    assert run_command("evaluate", *tiny, f"checkpoint={checkpoint}", f"out={out}").code == 0
    page = (out / "report.html").read_text()
    assert [title for title in SECTIONS if f"<h2>{title}</h2>" in page] == [SECTIONS[i] for i in (0, 1, 5, 6)]

    (tmp_path / "report.html").unlink()
    (tmp_path / "metrics.json").unlink()
    failed = run_command("report", f"run={tmp_path}")
    assert failed.code == 2
    assert failed.err.count("\n") == 1
    assert "metrics.json is missing" in failed.err
    assert not (tmp_path / "report.html").exists()


def test_a_report_that_fails_does_not_fail_the_training(tiny, tmp_path, run_command, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no\nroom")

    monkeypatch.setattr("ceco3d.reports.run_report.write_page", fail)
    ended = run_command("train", *tiny, *SHORT, f"run_dir={tmp_path}")
    assert ended.code == 0
    assert "no report: no room" in caplog.messages
    assert (tmp_path / "metrics.json").exists()
    assert not (tmp_path / "report.html").exists()


def test_without_matplotlib_one_line_says_what_to_install(tmp_path, run_command, monkeypatch, caplog):
    monkeypatch.delitem(sys.modules, "ceco3d.reports.run_report", raising=False)
    monkeypatch.delattr("ceco3d.reports.run_report", raising=False)
    monkeypatch.delitem(sys.modules, "ceco3d.reports.run_report_figures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    report_run(tmp_path, torch.device("cpu"))
    assert caplog.messages == ["no report: pip install 'ceco3d[plot]'"]
    failed = run_command("report", f"run={tmp_path}")
    assert failed.code == 2
    assert "pip install 'ceco3d[plot]'" in failed.err


def test_any_loss_term_of_the_log_appears_in_the_curves_by_its_name(tmp_path):
    from ceco3d.reports.run_report_figures import curves_figure

    others = ",".join(f"term{i}" for i in range(20))
    header = f"step,epoch,lr,loss,my_term,grad_norm,val_miou,{others}"
    (tmp_path / "metrics.csv").write_text(
        f"{header}\n1,1,0.1,3.5,1.25,9,,{'2,' * 19}2\n2,1,0.1,3.25,1.125,9,,{'1,' * 19}1\n"
    )
    axes = curves_figure(read_curves(tmp_path)).axes[0]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["loss", "my_term", *others.split(",")]
    assert axes.lines[1].get_xydata().tolist() == [[1, 1.25], [2, 1.125]]
