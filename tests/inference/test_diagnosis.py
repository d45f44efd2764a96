"""What a diagnosis measures, and the command."""

import json
import re

import pytest
import torch

from ceco3d.inference.diagnosis import log_frequency, oracle_labels
from ceco3d.training.run import train
from tests.helpers.commands import settings_of
from tests.helpers.thin import MODEL


def test_the_oracle_gives_each_voxel_its_most_frequent_label():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 5, (300,), generator=generator)
    voxel = torch.randint(0, 40, (300,), generator=generator)
    found = oracle_labels(labels, voxel, 41, 5)  # the last voxel has no points
    for number in range(40):
        own = labels[(voxel == number) & (labels >= 0)]
        given = found[voxel == number].unique()
        if len(own):
            assert len(given) == 1
            counts = torch.bincount(own, minlength=5)
            assert counts[given[0]] == counts.max()
        else:
            assert (given == -1).all()
    assert (oracle_labels(torch.full((3,), -1), torch.zeros(3, dtype=torch.int64), 2, 5) == -1).all()


def test_classes_without_training_points_are_not_adjusted():
    assert log_frequency(torch.tensor([1, 3, 0])).tolist() == pytest.approx([-1.386294, -0.287682, 0.0], rel=1e-5)


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(settings_of("train", *tiny, *MODEL, "voxel_size=0.25", "trainer.epochs=1", f"run_dir={folder}"))
    return folder


def test_diagnose_prints_a_verdict_and_writes_its_figures(run_command, tiny, run):
    checkpoint = f"checkpoint={run}/checkpoints/last.pt"
    outcome = run_command("diagnose", checkpoint, *tiny, "scenes=3", "taus=[0.5,1.0]")
    assert outcome.code == 0, outcome.err
    content = json.loads((run / "diagnose/diagnosis.json").read_text())
    assert content["verdict"] in outcome.out
    assert re.match(r"The tail lacks (voxels|balance|time|data) most: ", content["verdict"])
    assert set(content["sweep"]) == {"0.0", "0.5", "1.0"}
    assert {"all", "head", "common", "tail"} >= set(content["groups"]) > {"all"}
    for found in content["groups"].values():
        assert found["val"] + sum(found["parts"].values()) == pytest.approx(1)
        assert found["oracle"] > found["val"]
    text = (run / "diagnose/diagnosis.md").read_text()
    assert content["verdict"] in text
    assert "optimistic" in text


def test_without_adjustment_the_iou_is_that_of_evaluate(run_command, tiny, run, tmp_path):
    checkpoint = f"checkpoint={run}/checkpoints/last.pt"
    assert run_command("diagnose", checkpoint, *tiny, "taus=[]", f"out={tmp_path}/diagnose").code == 0
    assert run_command("evaluate", checkpoint, *tiny, "fragments=false", f"out={tmp_path}/evaluate").code == 0
    found = json.loads((tmp_path / "diagnose/diagnosis.json").read_text())["groups"]["all"]
    scores = json.loads((tmp_path / "evaluate/metrics.json").read_text())
    assert found["val"] == pytest.approx(scores["miou"]["present"], abs=5e-3)  # tiny trains on all classes of val
    assert found["adjusted"] == found["val"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "checkpoint is not set: pass checkpoint=..."),
        (["checkpoint=none.pt"], "none.pt: no such checkpoint"),
        (["checkpoint={run}/checkpoints/last.pt", "scenes=0"], "scenes=0: must be at least 1"),
        (["checkpoint={run}/checkpoints/last.pt", "taus=[a]"], "taus"),
        (["checkpoint={run}/checkpoints/last.pt", "split=train"], "split: no such key"),
        (["checkpoint={run}/checkpoints/last.pt", "dataset=scannet20"], "predicts the 200 classes of scannet200"),
    ],
)
def test_bad_arguments_are_one_line(run_command, run, arguments, message):
    outcome = run_command("diagnose", *(argument.format(run=run) for argument in arguments))
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
