"""The rows of the ScanNet200 table, each from nothing to scores."""

import csv
import json

import pytest
import torch

from ceco3d.data.labels import label_space
from ceco3d.models import load_trained
from ceco3d.pretraining.anchors import load_anchors
from ceco3d.train import pretraining
from ceco3d.training.run import train
from tests.helpers.commands import settings_of

SMALL = ["model=minkunet14a", "model.stem_kernel=3", "voxel_size=0.25", "trainer.epochs=1", "trainer.batch_size=7"]


def run(tiny, run_dir, *overrides):
    settings = settings_of("train", *tiny, *SMALL, f"run_dir={run_dir}", *overrides)
    train(settings, pretraining(settings))
    return run_dir


@pytest.mark.parametrize("experiment", ["minkowski34d", "ceco", "modern"])
def test_an_experiment_runs_to_its_scores(tiny, tmp_path, experiment):
    run(tiny, tmp_path, f"experiment={experiment}", "transforms.mix_prob=0.0")
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert 0 <= scores["miou"]["present"] <= 1


def test_a_retrained_classifier_is_new_and_the_rest_is_kept(tiny, tmp_path, capsys):
    run(tiny, tmp_path / "first", "loss=ce")
    best = tmp_path / "first/checkpoints/best.pt"
    settings = settings_of(
        "train", *tiny, "experiment=retrain_classifier", f"init={best}", "trainer.epochs=1", f"run_dir={tmp_path / 'b'}"
    )
    assert settings.loss.arguments["point"].arguments["power"] == 1
    capsys.readouterr()
    train(settings)
    first, again = (load_trained(path)[0].state_dict() for path in (best, tmp_path / "b/checkpoints/last.pt"))
    changed = {name for name, value in first.items() if not torch.equal(value, again[name])}
    assert changed == {"final.kernel", "final.bias"}
    assert "classes taken from" not in capsys.readouterr().out


def test_a_retrained_classifier_needs_a_checkpoint(run_command, tiny, tmp_path):
    outcome = run_command("train", *tiny, "experiment=retrain_classifier", f"run_dir={tmp_path}/run")
    assert outcome.code == 2
    assert "pass init=" in outcome.err


@pytest.mark.parametrize("experiment", ["csc", "lground"])
def test_pretraining_comes_first_and_training_begins_with_its_weights(tiny, tmp_path, experiment):
    options = [f"experiment={experiment}", "pretrain.voxel_size=0.25", "pretrain.epochs=1", "optimizer.lr=1e-12"]
    run(tiny, tmp_path, *options)
    pretrained, _ = load_trained(tmp_path / "pretrain/checkpoints/last.pt")
    trained, _ = load_trained(tmp_path / "checkpoints/last.pt")
    torch.testing.assert_close(pretrained.block4[0].conv1.kernel, trained.block4[0].conv1.kernel)
    assert trained.final.kernel.shape == (96, 200)
    assert (tmp_path / "metrics.json").exists()


def test_a_finished_run_does_not_pretrain_again(tiny, tmp_path, capsys):
    options = ["experiment=csc", "pretrain.voxel_size=0.25", "pretrain.epochs=1", "resume=auto"]
    run(tiny, tmp_path, *options)
    capsys.readouterr()
    (tmp_path / "pretrain").rename(tmp_path / "elsewhere")
    run(tiny, tmp_path, *options)
    assert "pretraining" not in capsys.readouterr().out
    assert not (tmp_path / "pretrain").exists()


def test_a_network_pretrained_towards_text_predicts_the_nearest_anchor(run_command, tiny, tmp_path):
    outcome = run_command("pretrain", "method=lground", *tiny, *SMALL, f"run_dir={tmp_path}")
    assert outcome.code == 0, outcome.err
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert any(row["val_miou"] for row in csv.DictReader(file))
    model, setup = load_trained(tmp_path / "checkpoints/last.pt")
    assert (setup["label_space"], setup["method"]) == ("scannet200", "lground")
    criterion = torch.load(tmp_path / "checkpoints/last.pt", weights_only=True)["criterion"]
    weight, bias = criterion["head.projection.weight"], criterion["head.projection.bias"]
    points = torch.rand(50, 96)
    anchors = torch.nn.functional.normalize(load_anchors("minilm", label_space("scannet200")), dim=1)
    nearest = torch.nn.functional.normalize(points @ weight.T + bias, dim=1) @ anchors.T
    logits = points @ model.final.kernel + model.final.bias
    assert (logits.argmax(1) == nearest.argmax(1)).float().mean() > 0.98
    assert run_command("evaluate", f"checkpoint={tmp_path}/checkpoints/last.pt", *tiny).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["method.anchors=/none.npy"], "/none.npy"),
        (["method.loss.negatives=0"], "negatives=0"),
        (["trainer.ema=0.9"], "keeps no average of the weights"),
        (["trainer.validate_every=0"], "validate_every=0"),
    ],
)
def test_bad_arguments_of_pretraining_towards_text(run_command, tiny, tmp_path, arguments, message):
    outcome = run_command("pretrain", "method=lground", *tiny, *SMALL, f"run_dir={tmp_path}/run", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_unknown_method_is_one_line(run_command, tiny, tmp_path):
    arguments = ["experiment=csc", "pretrain.method=moco", f"run_dir={tmp_path}/run"]
    outcome = run_command("train", *tiny, *SMALL, *arguments)
    assert outcome.code == 2
    assert "moco" in outcome.err
    assert outcome.err.count("\n") == 1
