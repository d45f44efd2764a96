"""Joint training from the command line to scores, labels, pictures and reports of each data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ceco3d.cli.overrides import with_parts
from ceco3d.data.labels import label_space
from tests.helpers.training import SMALL


@pytest.fixture(scope="module")
def joint(tiny) -> list[str]:
    places = [word.removeprefix("dataset.") for word in tiny]
    keys = [f"dataset.parts.rooms200.{word}" for word in places]
    keys += [f"dataset.parts.scannet20.{word}" for word in places if not word.startswith("size=")]
    return ["dataset=joint", "dataset.parts=[rooms200,scannet20]", "dataset.shares=[2,1]", *keys]


@pytest.fixture(scope="module")
def trained(joint, tmp_path_factory) -> Path:
    from ceco3d.reports.final_report import report_run
    from ceco3d.training.run import train
    from ceco3d.utils.device import choose_device
    from tests.helpers.commands import settings_of

    run_dir = tmp_path_factory.mktemp("joint")
    train(settings_of("train", *joint, *SMALL, "trainer.epochs=1", "trainer.batch_size=6", f"run_dir={run_dir}"))
    report_run(run_dir, choose_device("cpu"))
    return run_dir


def test_train_prints_the_scores_of_each_part(run_command, joint, trained):
    outcome = run_command("train", *joint, *SMALL, "trainer.epochs=1", f"run_dir={trained}", "resume=auto")
    assert outcome.code == 0, outcome.err
    assert "already finished" in outcome.out
    said = " ".join(outcome.out.split())
    assert "rooms200 validation" in said
    assert "scannet20 validation" in said
    assert json.loads((trained / "rooms200/classes.json").read_text()) == "scannet200"
    assert json.loads((trained / "scannet20/classes.json").read_text()) == "scannet20"


@pytest.mark.parametrize("name", ["rooms200", "scannet20"])
def test_evaluate_scores_each_data_set_as_the_run_did(run_command, tiny, trained, tmp_path, name):
    places = tiny if name == "rooms200" else [word for word in tiny if "size" not in word]
    checkpoint = f"checkpoint={trained}/checkpoints/best.pt"
    outcome = run_command("evaluate", checkpoint, f"dataset={name}", *places, f"out={tmp_path}", "fragments=false")
    assert outcome.code == 0, outcome.err
    found, before = (json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path, trained / name))
    assert found["accuracy"] == pytest.approx(before["accuracy"], abs=0.002)
    assert found["per_class"].keys() == before["per_class"].keys()


def test_predict_labels_with_the_classes_of_the_head(run_command, tiny, trained, tmp_path):
    (scene, *_) = sorted(Path(tiny[2].removeprefix("dataset.root=")).glob("val/scene*"))
    arguments = [f"checkpoint={trained}/checkpoints/best.pt", f"input={scene}", f"out={tmp_path}"]
    outcome = run_command("predict", *arguments)
    assert outcome.code == 2
    assert "choose one with head=, out of rooms200 (200 classes of scannet200), scannet20 (20 " in outcome.err
    outcome = run_command("predict", *arguments, "head=scannet20")
    assert outcome.code == 0, outcome.err
    labels = np.loadtxt(tmp_path / f"{scene.name}.labels.txt", dtype=int)
    assert set(labels.tolist()) <= set(label_space("scannet20").ids)


def test_reports_and_tables_of_a_joint_run(run_command, trained, tmp_path):
    page = (trained / "report.html").read_text()
    assert "this run, scannet20" in page
    assert "Best" in page
    assert "No pictures" not in page
    outcome = run_command("report", "table", f"runs=[{trained}]", f"out={tmp_path}")
    assert outcome.code == 0, outcome.err


def test_visualize_draws_what_a_head_predicts(run_command, tiny, trained, tmp_path):
    (scene, *_) = sorted(Path(tiny[2].removeprefix("dataset.root=")).glob("val/scene*"))
    arguments = [f"scene={scene}", f"runs=[{trained}]", f"out={tmp_path}", "points=1000"]
    assert run_command("visualize", *arguments, "head=scannet20").code == 0
    assert (tmp_path / f"{scene.name}.png").is_file()
    outcome = run_command("visualize", *arguments)
    assert outcome.code == 2
    assert "choose one with head=" in outcome.err


@pytest.mark.parametrize("command", ["evaluate", "preprocess", "pretrain"])
def test_other_commands_name_the_parts(run_command, joint, tmp_path, command):
    own = {"evaluate": ["checkpoint=x"], "pretrain": [f"run_dir={tmp_path}"]}.get(command, [])
    outcome = run_command(command, *joint, *own)
    assert outcome.code == 2
    assert "only ceco3d.train takes several data sets; choose one of its parts, such as dataset=rooms200" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "dataset.parts is not set"),
        (["dataset.parts=[rooms200]"], "dataset: 1 parts; name two data sets or more"),
        (["dataset.parts=[rooms200,scanet20]"], "scanet20: no such choice; did you mean dataset=scannet20?"),
        (["dataset.parts=[rooms200,scannet20]", "dataset.shares=[1]"], "dataset: 1 shares for 2 parts"),
        (["dataset.parts=[rooms200,scannet20]", "dataset.shares=[1,-1]"], "must be above 0"),
        (["dataset.parts=[rooms200,folder]", "dataset.parts.folder.rwa=x"], "Folder has no such setting"),
    ],
)
def test_wrong_parts_are_one_line(run_command, tmp_path, arguments, message):
    outcome = run_command("train", "dataset=joint", *arguments, f"run_dir={tmp_path}/run")
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_parts_become_choices_and_the_first_gives_the_voxel_size():
    assert with_parts(["dataset=joint", "dataset.parts=[rooms200, folder]", "seed=1"]) == [
        "dataset=joint",
        "+dataset@dataset.parts.rooms200=rooms200",
        "+dataset@dataset.parts.folder=folder",
        "dataset.voxel_size=${dataset.parts.rooms200.voxel_size}",
        "seed=1",
    ]
    given = ["dataset.parts=[a,b]", "dataset.voxel_size=0.1"]
    assert with_parts(given)[-1] == "dataset.voxel_size=0.1"
    assert len(with_parts(given)) == 3
