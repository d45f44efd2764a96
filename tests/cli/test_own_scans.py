"""A person's walk from a folder of labeled scans to pictures and reports, in commands alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.labeled_scans import CLASSES_CSV, IDS, NAMES, made_up, write_ply, write_scans

TRAIN = ["model=minkunet14a", "model.stem_kernel=3", "voxel_size=0.2", "trainer.epochs=1", "trainer.validate_every=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six scans with a class file, in which to walk; later steps use what earlier ones left."""
    folder = tmp_path_factory.mktemp("walk")
    write_scans(folder / "raw", count=6)
    return folder


@pytest.fixture
def run(run_command, folder, monkeypatch):
    """Run a command in the folder; it must succeed."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")

    def run(name: str, *arguments: str) -> str:
        outcome = run_command(name, *arguments)
        assert outcome.code == 0, outcome.err
        return outcome.out

    return run


DATA = ["dataset=folder", "dataset.name=office", "dataset.raw=raw", "dataset.root=done"]
BEST = "checkpoint=run/checkpoints/best.pt"


def names_in(text: str) -> set[str]:
    return {name for name in NAMES if name in text}


@pytest.mark.slow
def test_from_scans_to_a_trained_network(run, folder):
    assert names_in(run("preprocess", *DATA, "check=true", "workers=1")) == set(NAMES)
    run("train", *DATA, *TRAIN, "workers=1", "run_dir=run")
    scores = json.loads(Path("run/metrics.json").read_text())
    assert list(scores["per_class"]) == list(NAMES)
    assert set(scores["head"]) == set(scores["tail"])
    assert names_in(Path("run/report.html").read_text()) == set(NAMES)
    run("evaluate", BEST, *DATA, "workers=1")
    table = Path("run/evaluate-val/scores.md").read_text()
    assert "thirds of the classes by points in train" in table
    assert list(json.loads(Path("run/evaluate-val/metrics.json").read_text())["per_class"]) == list(NAMES)
    assert names_in(Path("run/evaluate-val/report.html").read_text()) == set(NAMES)


def test_prediction_and_pictures_need_no_data_set(run, folder):
    (folder / "new").mkdir()
    scan = made_up(30)
    write_ply(folder / "new/hall.ply", scan, quality=np.float32(0))
    out = run("predict", BEST, "input=new", "out=labeled")
    summary = json.loads(Path("labeled/hall.summary.json").read_text())
    shown = {entry["name"] for entry in summary["classes"]}
    assert shown <= set(NAMES)
    assert names_in(out) >= shown
    labels = np.array(Path("labeled/hall.labels.txt").read_text().split(), int)
    assert len(labels) == len(scan.label)
    assert set(labels.tolist()) <= set(IDS)
    run("visualize", "input=labeled/hall.ply", "out=pictures")
    assert shown <= names_in(Path("pictures/hall.html").read_text())
    scene = next(Path("done/val").glob("room*"))
    run("visualize", f"scene={scene}", "runs=[run]", "out=pictures")
    assert len(names_in(Path(f"pictures/{scene.name}.html").read_text())) >= 6
    run("report", "run=run")
    assert names_in(Path("run/report.html").read_text()) == set(NAMES)


def test_the_labeled_scan_is_scored_against_its_truth(run, folder):
    write_ply(folder / "truth.ply", made_up(30))
    out = run("evaluate", "pred=labeled/hall.ply", "truth=truth.ply", "classes=raw/classes.csv")
    assert names_in(out) == set(NAMES)


def test_other_classes_than_those_of_the_checkpoint_are_refused(run_command, run, folder):
    other = CLASSES_CSV.replace("40,lamp", "41,lantern\n40,lamp")
    (folder / "other.csv").write_text(other)
    outcome = run_command("evaluate", BEST, *DATA, "dataset.root=other", "dataset.classes=other.csv", "workers=1")
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert (
        "predicts the 7 classes of office, but dataset=office has 8 others (first difference: 41 lantern)" in errors[0]
    )
    assert "Traceback" not in outcome.err
