"""A person's walk from a folder of labeled scans to pictures and reports, in commands alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ceco3d.data.labels import read_classes, stored_space
from ceco3d.training.run import train
from tests.helpers.commands import settings_of
from tests.helpers.labeled_scans import IDS, NAMES, made_up, write_ply, write_scans

DATA = ["dataset=folder", "dataset.name=office", "dataset.raw=raw", "dataset.root=done"]
BEST = "checkpoint=run/checkpoints/best.pt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six scans with a class file, ``raw``, and a short training on them, ``run``."""
    folder = tmp_path_factory.mktemp("walk")
    write_scans(folder / "raw", count=6)
    network = ["model=minkunet14a", "model.stem_kernel=3", "voxel_size=0.2", "trainer.epochs=1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(settings_of("train", *DATA, *network, "trainer.validate_every=1", "workers=1", "run_dir=run"))
    return folder


@pytest.fixture
def run(run_command, folder, monkeypatch) -> Callable[..., str]:
    """Run a command in the folder; it must succeed."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")

    def run(name: str, *arguments: str) -> str:
        outcome = run_command(name, *arguments)
        assert outcome.code == 0, outcome.err
        return outcome.out

    return run


def names_in(text: str) -> set[str]:
    return {name for name in NAMES if name in text}


def test_check_training_and_evaluation_name_the_classes(run):
    assert names_in(run("preprocess", *DATA, "check=true")) == set(NAMES)
    said = run("evaluate", BEST, *DATA)
    assert "thirds of the classes by points in train" in " ".join(said.split())
    assert names_in(said) == set(NAMES)
    assert "thirds of the classes by points in train" in Path("run/evaluate-val/scores.md").read_text()
    for result in ("run", "run/evaluate-val"):
        assert list(json.loads(Path(result, "metrics.json").read_text())["per_class"]) == list(NAMES)
    assert names_in(Path("run/evaluate-val/report.html").read_text()) == set(NAMES)


def test_prediction_pictures_and_scores_of_files_need_no_data_set(run, folder):
    (folder / "new").mkdir()
    scan = made_up(30)
    write_ply(folder / "new/hall.ply", scan, quality=np.float32(0))
    out = run("predict", BEST, "input=new", "out=labeled")
    shown = {entry["name"] for entry in json.loads(Path("labeled/hall.summary.json").read_text())["classes"]}
    assert shown
    assert shown <= set(NAMES)
    assert shown <= names_in(out)
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
    write_ply(folder / "truth.ply", scan)
    assert names_in(run("evaluate", "pred=labeled/hall.ply", "truth=truth.ply", "classes=raw/classes.csv")) == set(
        NAMES
    )


def test_a_command_in_its_own_process_says_what_it_wrote(folder):
    code = [sys.executable, "-m", "ceco3d.report", "run=run"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(code, capture_output=True, text=True, cwd=folder, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "written to run/report.html\n", "")


def test_other_classes_than_those_of_the_checkpoint_are_refused(run_command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    shutil.copytree("done", "other")
    space = read_classes(Path("raw/classes.csv"))
    other = replace(space, ids=(*space.ids[:-1], 201), names=(*space.names[:-1], "tree"))
    Path("other/classes.json").write_text(json.dumps(stored_space(other)))
    outcome = run_command("evaluate", BEST, "dataset=folder", "dataset.name=park", "dataset.root=other")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "best.pt: predicts the 7 classes of office, but dataset=park has 7 others (first difference" in outcome.err


def test_pictures_of_chosen_classes_do_not_read_them_as_a_class_file(run):
    scene = next(Path("done/val").glob("room*"))
    run("visualize", *DATA, f"scene={scene.name}", "classes=[wall,lamp]", "out=truth")
    assert len(names_in(Path(f"truth/{scene.name}.html").read_text())) >= 6
