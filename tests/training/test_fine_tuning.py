"""Fine-tuning: the classifier for other classes, frozen weights, a learning rate for each stage."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
import torch

from ceco3d import sparse
from ceco3d.training import build
from ceco3d.training.loop import Trainer
from ceco3d.training.objective import Objective
from ceco3d.training.optimizer import make_optimizer
from ceco3d.training.random_state import seed_all
from ceco3d.training.run import train
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.extensions import Planes, TwoLayers
from tests.helpers.label_spaces import Factory
from tests.helpers.training import SMALL, equal, rows, weights

STEPS = 4  # in two epochs


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    root = tmp_path_factory.mktemp("parts")
    return Planes("planes", root / "planes", 4), Factory("factory", root / "factory", 4)


@pytest.fixture(scope="module")
def start(parts, tmp_path_factory):
    """A checkpoint that predicts the classes of scannet200."""
    folder = tmp_path_factory.mktemp("start")
    train(config(parts[0], folder, "trainer.epochs=1"))
    return folder / "checkpoints/best.pt"


def config(dataset, run_dir, *overrides):
    options = [*SMALL, "trainer.batch_size=2", "trainer.epochs=2", "loss=ce", f"run_dir={run_dir}", *overrides]
    return replace(settings_of("train", *options), dataset=dataset)


@pytest.fixture
def tuned(parts, start, tmp_path):
    """Settings of a training on the other classes from the checkpoint."""
    return lambda *overrides, name="run": config(parts[1], tmp_path / name, f"init={start}", *overrides)


def test_rows_of_the_same_classes_are_taken_over_and_said(tuned, start, capsys):
    settings = tuned()
    seed_all(0)
    model = build.make_network(settings)
    line = f"classifier: 2 of 3 classes taken from {start} (Ground, WALL), 1 starts fresh (pump)"
    assert line in capsys.readouterr().out
    seed_all(0)
    fresh = build.make_network(replace(settings, init=None))
    theirs = weights(start)["model"]["final.kernel"]  # wall, chair, floor, ...
    assert torch.equal(model.final.kernel[:, 0], fresh.final.kernel[:, 0])
    assert torch.equal(model.final.kernel[:, 1:], theirs[:, [2, 0]])


def test_a_classifier_that_is_left_out_is_that_of_an_untouched_network(tuned, capsys):
    settings = tuned("init_leave_out=[final]")
    seed_all(0)
    model = build.make_network(settings)
    assert "classifier" not in capsys.readouterr().out
    seed_all(0)
    fresh = build.make_network(replace(settings, init=None))
    assert torch.equal(model.final.kernel, fresh.final.kernel)
    assert not torch.equal(model.block1[0].conv1.kernel, fresh.block1[0].conv1.kernel)


@pytest.mark.parametrize(
    ("freeze", "options"),
    [
        ("backbone", ["trainer.ema=0.5", "trainer.accumulate=2", "loss=ceco"]),
        ("conv,bn,block1", ["trainer.layer_decay=0.5", "loss=ceco", "trainer.augment_on=device"]),
        ("block8", ["trainer.sync_batch_norm=true", "optimizer=sgd"]),
        ("final", ["loss=cecol", "precision=bf16"]),
    ],
)
def test_frozen_weights_and_their_statistics_stay_the_same_bits(tuned, start, capsys, freeze, options):
    settings = tuned(f"trainer.freeze=[{freeze}]", "trainer.epochs=1", *options)
    train(settings)
    assert " trained), loss" in capsys.readouterr().out
    saved = weights(settings.run_dir / "checkpoints/last.pt")
    before, kept = weights(start)["model"], tuple(freeze.split(","))
    for state in (saved["model"], saved.get("raw_model", saved["model"])):
        for name, value in state.items():
            frozen = name.startswith(kept) or (freeze == "backbone" and not name.startswith("final."))
            if frozen and name not in ("final.kernel", "final.bias"):
                assert torch.equal(value, before[name]), name
            elif not frozen and value.shape == before[name].shape:
                assert not torch.equal(value, before[name]), name
    trained = len(saved["optimizer"]["state"])
    assert 0 < trained < len([name for name in saved["model"] if name.endswith(("kernel", "weight", "bias"))])


def test_each_stage_has_its_share_of_the_rate_over_the_whole_schedule(tuned, monkeypatch):
    seen = []
    original = Trainer._step

    def step(self, *arguments):
        seen.append([group["lr"] for group in self.optimizer.param_groups])
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", step)
    settings = tuned("trainer.layer_decay=0.5", "optimizer=adamw", "optimizer.lr=0.01", "scheduler=poly", "loss=cecol")
    train(settings)
    assert len(seen) == STEPS
    for number, rates in enumerate(seen):
        peak = 0.01 * settings.scheduler(number / STEPS)
        assert rates == pytest.approx([peak * 0.5**distance for distance in range(10)])
    assert [float(row["lr"]) for row in rows(settings.run_dir) if row["loss"]] == [rates[0] for rates in seen]


def test_groups_are_the_stages_from_the_classifier_back_to_the_stem(tuned):
    settings = tuned("trainer.layer_decay=0.5", "trainer.freeze=[block7]", "loss=ceco")
    model = build.make_network(settings)
    objective = Objective(model, torch.nn.Linear(2, 3))  # a loss that learns
    groups = make_optimizer(settings, objective).param_groups
    assert [group["lr"] / groups[0]["lr"] for group in groups] == pytest.approx([0.5**k for k in range(10)])
    names = {id(value): name for name, value in objective.named_parameters()}
    found = [{names[id(value)] for value in group["params"]} for group in groups]
    assert found[0] == {"model.final.kernel", "model.final.bias", "criterion.weight", "criterion.bias"}
    assert found[2] == {"model.convtr6p4s2.kernel", "model.bntr6.bn.weight", "model.bntr6.bn.bias"}  # block7 is frozen
    assert found[9] == {"model.conv0p1s1.kernel", "model.bn0.bn.weight", "model.bn0.bn.bias"}
    assert sum(map(len, found)) == len([p for p in objective.parameters() if p.requires_grad])


def test_a_network_of_ones_own_has_a_rate_for_each_module(tuned):
    settings = tuned("trainer.layer_decay=0.5", "optimizer.lr=1.0")
    objective = Objective(TwoLayers(3, 5, engine=sparse), torch.nn.Identity())
    assert [group["lr"] for group in make_optimizer(settings, objective).param_groups] == [1.0, 0.5]


@pytest.mark.parametrize("decay", ["null", "1"])
def test_without_a_decay_there_is_one_group_of_all_weights(tuned, decay):
    settings = tuned(f"trainer.layer_decay={decay}")
    objective = Objective(build.make_network(settings), torch.nn.Identity())
    (group,) = make_optimizer(settings, objective).param_groups
    assert [id(value) for value in group["params"]] == [id(value) for value in objective.parameters()]


def test_resuming_equals_not_stopping(tuned, monkeypatch):
    options = ["trainer.freeze=[conv0p1s1,bn0]", "trainer.layer_decay=0.8", "trainer.ema=0.9", "resume=auto"]
    train(tuned(*options, name="whole"))
    original = Trainer._step

    def step(self, *arguments):
        if self.position.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", step)
        with pytest.raises(SystemExit):
            train(tuned(*options, name="parts"))
    stopped = tuned(*options, name="parts")
    train(stopped)
    whole = stopped.run_dir.parent / "whole"
    a, b = (weights(folder / "checkpoints/last.pt") for folder in (whole, stopped.run_dir))
    assert equal(a, b)
    with pytest.raises(UserError, match="does not fit this configuration's optimizer") as caught:
        train(tuned("resume=auto", "trainer.ema=0.9", "trainer.epochs=3", name="parts"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["trainer.freeze=[blok1]"], "trainer.freeze=[blok1]: no weight starts with blok1; did you mean block1"),
        (["trainer.freeze=[backbone,final]"], "leaves nothing of the network to train"),
        (["trainer.freeze=backbone"], "trainer.freeze=backbone: must be a list"),
        (["trainer.layer_decay=0"], "trainer.layer_decay=0: must be greater than 0"),
        (["trainer.layer_decay=1.5"], "trainer.layer_decay=1.5: must be at most 1"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(run_command, tiny, start, tmp_path, options, message):
    outcome = run_command("train", *tiny, *SMALL, f"init={start}", f"run_dir={tmp_path / 'run'}", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_experiment_fine_tunes_and_warns_without_a_checkpoint(tuned, capsys):
    settings = tuned("experiment=finetune", "trainer.epochs=1")
    assert settings.trainer.layer_decay == 0.8
    train(settings)
    assert "warning" not in capsys.readouterr().err
    build.make_network(replace(settings, init=None))
    assert "hold back random weights; pass init=CHECKPOINT" in capsys.readouterr().err
