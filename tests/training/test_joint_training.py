"""Joint training: scores for each data set, an interrupted run like an uninterrupted one, the heads of a checkpoint."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from ceco3d.data.labels import label_space, stored_space
from ceco3d.inference import evaluate_scenes, load_predictor
from ceco3d.models import load_trained
from ceco3d.preprocessing.datasets import processed_scenes
from ceco3d.preprocessing.joint import Joint
from ceco3d.training.loop import Trainer
from ceco3d.training.run import train
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.extensions import Planes
from tests.helpers.label_spaces import Levels
from tests.helpers.training import SMALL, TIMINGS, equal, rows, weights


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    root = tmp_path_factory.mktemp("parts")
    return {"planes": Planes("planes", root / "planes", 4), "levels": Levels("levels", root / "levels", 3)}


def config(parts, run_dir, *overrides):
    settings = settings_of("train", *SMALL, "trainer.epochs=2", "loss=ceco", f"run_dir={run_dir}", *overrides)
    return replace(settings, dataset=Joint("joint", parts, [0.5, 0.5]), features=["coord", "color", "normal"])


@pytest.fixture(scope="module")
def run(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(config(parts, folder, "trainer.validate_every=1"))
    return folder


def test_each_part_is_scored(run, parts):
    first, second = (json.loads((run / name / "metrics.json").read_text()) for name in parts)
    scores = json.loads((run / "metrics.json").read_text())
    means = scores.pop("parts")
    assert scores == first
    assert means == {"planes": first, "levels": second}
    assert list(second["per_class"]) == ["level 1", "level 3", "level 5"]
    log = rows(run)
    last = [row for row in log if row["phase"] == "val"][-1]
    assert float(last["val_miou"]) == first["miou"]["present"]
    assert float(last["val_miou_levels"]) == second["miou"]["present"]
    means = [float(row["val_miou_mean"]) for row in log if row["phase"] == "val"]
    assert weights(run / "checkpoints/best.pt")["position"]["best"] == max(means)
    for row in (row for row in log if row["phase"] == "train"):
        parts_of_loss = float(row["loss_planes"]) + float(row["loss_levels"])
        assert float(row["loss"]) == pytest.approx(parts_of_loss, rel=1e-5)
        assert float(row["ceco"]) > 0
    assert np.load(run / "levels/collapse.npz")["classifiers"].shape[0] == 3
    assert np.load(run / "collapse.npz")["classifiers"].shape[0] == 200


def test_the_heads_of_the_checkpoint_score_as_in_the_run(run, parts):
    path = run / "checkpoints/last.pt"
    for name, part in parts.items():
        for choice in ({"head": name}, {"space": part.space()}):
            predictor, space = load_predictor(path, "cpu", **choice)
            assert space.same_classes(part.space())
            folders = processed_scenes(part, ("val",), 1)["val"]
            scores = evaluate_scenes(predictor, folders, space).scores
            found = json.loads((run / name / "metrics.json").read_text())
            assert scores["accuracy"] == pytest.approx(found["accuracy"], abs=0.01)  # folded batch norms round


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({}, r"choose one with head=, out of planes \(200 classes of scannet200\), levels \(3 classes of level\)"),
        ({"head": "plane"}, "has no part 'plane'; choose head= out of planes"),
        ({"space": label_space("scannet20")}, "the data set has 20 others of scannet20"),
    ],
)
def test_a_head_has_to_be_chosen(run, choice, message):
    with pytest.raises(UserError, match=message):
        load_predictor(run / "checkpoints/best.pt", "cpu", **choice)


@pytest.mark.parametrize("damage", ["sizes", "names", "space", "list"])
def test_a_checkpoint_whose_parts_do_not_fit_is_refused(run, tmp_path, damage):
    content = weights(run / "checkpoints/best.pt")
    stored = content["setup"]["label_space"]
    if damage == "sizes":
        stored["joint"][1]["space"] = stored_space(label_space("scannet20"))
    elif damage == "names":
        stored["joint"][1]["part"] = "planes"
    elif damage == "space":
        stored["joint"][1]["space"] = {"joint": []}
    else:
        stored["joint"] = 7
    torch.save(content, tmp_path / "bad.pt")
    with pytest.raises(UserError, match="cannot rebuild the network"):
        load_trained(tmp_path / "bad.pt")


def test_resuming_equals_not_stopping(run, parts, tmp_path, monkeypatch):
    original = Trainer._step

    def step(self, *arguments):
        if self.position.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)

    stopped = config(parts, tmp_path, "trainer.validate_every=1", "resume=auto")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", step)
        with pytest.raises(SystemExit):
            train(stopped)
    train(stopped)
    assert equal(*(weights(folder / "checkpoints/last.pt") for folder in (run, tmp_path)))
    timeless = [[{k: v for k, v in row.items() if k not in TIMINGS} for row in rows(f)] for f in (run, tmp_path)]
    assert timeless[0] == timeless[1]


def test_batches_do_not_depend_on_where_they_are_made(parts, tmp_path):
    for where in ("loader", "device"):
        train(config(parts, tmp_path / where, f"trainer.augment_on={where}", "transforms=pointcept"))
    assert equal(*(weights(tmp_path / where / "checkpoints/last.pt")["model"] for where in ("loader", "device")))


def test_filling_batches_by_voxels_is_refused(parts, tmp_path):
    with pytest.raises(UserError, match=r"trainer\.batch_voxels=5000: does not work with several data sets"):
        train(config(parts, tmp_path, "trainer.batch_voxels=5000"))


@pytest.mark.parametrize(
    ("count", "shares", "message"),
    [
        (1, None, "1 parts"),
        (2, [1.0], "1 shares for 2 parts"),
        (2, [0.0, 1.0], "must be above 0"),
        (2, [float("nan"), 1.0], "must be above 0"),
    ],
)
def test_parts_and_shares_have_to_make_sense(parts, count, shares, message):
    with pytest.raises(ValueError, match=message):
        Joint("joint", dict(list(parts.items())[:count]), shares)
