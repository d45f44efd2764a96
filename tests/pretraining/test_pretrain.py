"""Pretraining runs on rooms200 tiny, and what becomes of their checkpoints."""

import csv
import json
import os
import re
import signal

import pytest
import torch

from ceco3d.models import build_model, load_weights
from ceco3d.pretraining.run import pretrain
from ceco3d.training.loop import Trainer
from ceco3d.training.run import train
from ceco3d.training.schedule import Exponential
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.frames import write_frames
from tests.helpers.thin import MODEL

SMALL = ["model=minkunet14a", "model.stem_kernel=3", "voxel_size=0.2", "trainer.batch_size=4", "trainer.log_every=1"]


def config(tiny, run_dir, *overrides):
    options = ["trainer.repeat=1", "trainer.epochs=1", f"run_dir={run_dir}"]
    return settings_of("pretrain", *tiny, *SMALL, *options, *overrides)


def rows(run_dir):
    with (run_dir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(path):
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def pretrained(tiny, tmp_path_factory):
    """The checkpoint of a short pretraining run of 3 steps."""
    return pretrain(config(tiny, tmp_path_factory.mktemp("pretrain")))


def test_a_run_leaves_its_files(pretrained):
    run_dir = pretrained.parent.parent
    files = {"config.yaml", "environment.json", "metrics.csv", "metrics.json", "run.log", "checkpoints"}
    assert {path.name for path in run_dir.iterdir()} == files
    assert [path.name for path in pretrained.parent.iterdir()] == ["last.pt"]
    log = rows(run_dir)
    assert [row["step"] for row in log] == ["1", "2", "3"]
    assert all(0 <= float(row["match_accuracy"]) <= 1 and float(row["chance"]) > 0 for row in log)
    summary = json.loads((run_dir / "metrics.json").read_text())
    ends = {"first": log[0], "last": log[-1]}
    expected = {f"{name}_{end}": float(row[name]) for name in ("loss", "chance") for end, row in ends.items()}
    expected |= {"steps": 3}
    assert summary == pytest.approx(expected)


def test_its_checkpoint_is_where_training_begins(tiny, tmp_path, pretrained):
    options = [*SMALL, "features=[color]", f"init={pretrained}", "trainer.epochs=1", "optimizer.lr=1e-12"]
    train(settings_of("train", *tiny, *options, f"run_dir={tmp_path}"))
    before, after = (weights(path)["model"] for path in (pretrained, tmp_path / "checkpoints/last.pt"))
    torch.testing.assert_close(before["block8.0.conv1.kernel"], after["block8.0.conv1.kernel"])
    assert before["final.kernel"].shape == (96, 32)
    assert after["final.kernel"].shape == (96, 200)


@pytest.mark.slow
def test_resuming_equals_not_stopping(tiny, tmp_path, monkeypatch):
    options = [*MODEL, "trainer.epochs=2", "trainer.workers=2", "resume=auto"]
    whole = pretrain(config(tiny, tmp_path / "whole", *options))
    stopped = config(tiny, tmp_path / "parts", *options)
    with monkeypatch.context() as patch:
        original = Trainer._step

        def step(self, *arguments):
            if self.position.step == 1:
                os.kill(os.getpid(), signal.SIGINT)
            return original(self, *arguments)

        patch.setattr(Trainer, "_step", step)
        with pytest.raises(SystemExit) as ended:
            pretrain(stopped)
    assert ended.value.code == 130
    assert not (tmp_path / "parts/metrics.json").exists()
    parts = pretrain(stopped)
    assert weights(parts)["position"] == weights(whole)["position"]
    assert all(torch.equal(value, weights(parts)["model"][key]) for key, value in weights(whole)["model"].items())
    assert [row["loss"] for row in rows(tmp_path / "parts")] == [row["loss"] for row in rows(tmp_path / "whole")]


def test_a_finished_run_is_left_alone(tiny, pretrained):
    run_dir = pretrained.parent.parent
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")}
    assert pretrain(config(tiny, run_dir, "resume=auto")) == pretrained
    assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")} == before
    with pytest.raises(UserError, match="resume=auto"):
        pretrain(config(tiny, run_dir))
    with pytest.raises(UserError, match="trained with model="):
        pretrain(config(tiny, run_dir, "resume=auto", "trainer.epochs=2", "method.out_channels=16"))


@pytest.mark.parametrize("overrides", [["precision=bf16"], ["method.partition.kind=angular"], ["logger=tensorboard"]])
def test_other_settings_take_a_step(tiny, tmp_path, overrides):
    assert pretrain(config(tiny, tmp_path, *MODEL, "trainer.batch_size=14", *overrides)).is_file()


def test_real_frames_are_enough(tmp_path):
    write_frames(tmp_path / "frames", "pointcept")
    options = [*MODEL, f"method.frames={tmp_path / 'frames'}", "voxel_size=0.06", "trainer.batch_size=1"]
    assert pretrain(config([], tmp_path / "run", "dataset.root=/none", *options)).is_file()


def test_weights_without_a_classifier(tmp_path, caplog):
    source, model = (build_model("MinkUNet14A", 3, 5, 3) for _ in range(2))
    state = {key: value for key, value in source.state_dict().items() if not key.startswith("final")}
    torch.save({"state_dict": state}, tmp_path / "csc.pth")
    load_weights(model, tmp_path / "csc.pth", leave_out=["final"])
    assert torch.equal(model.conv0p1s1.kernel, source.conv0p1s1.kernel)
    assert "classifier" not in caplog.text
    before = model.final.kernel.clone()
    load_weights(model, tmp_path / "csc.pth")
    assert "csc.pth: no classifier that fits; final keeps its initial values" in caplog.text
    assert torch.equal(model.final.kernel, before)


def test_the_command_says_how_to_go_on(run_command, tiny, tmp_path):
    outcome = run_command("pretrain", *tiny, *SMALL, "trainer.batch_size=14", "trainer.epochs=1", f"run_dir={tmp_path}")
    assert outcome.code == 0, outcome.err
    assert (
        f"ceco3d.train init={tmp_path}/checkpoints/last.pt features=[color] model=minkunet14a model.stem_kernel=3"
        in outcome.out
    )
    for flag in ("--help", "--cfg"):
        shown = run_command("pretrain", flag, *(["job"] if flag == "--cfg" else []))
        assert shown.code == 0
        assert "method" in shown.out


@pytest.mark.parametrize("dataset", ["scannet20", "scannet200"])
def test_the_published_settings_on_scannet(dataset):
    cfg = settings_of("pretrain", f"dataset={dataset}")
    optimizer = cfg.optimizer.arguments
    assert (cfg.optimizer.target, optimizer["lr"], optimizer["momentum"]) == (torch.optim.SGD, 0.1, 0.8)
    assert (cfg.voxel_size, cfg.trainer.batch_size, list(cfg.features)) == (0.025, 32, ["color"])
    schedule = cfg.scheduler
    assert isinstance(schedule, Exponential)
    assert [schedule(p) for p in (0, 0.005, 0.0101, 0.999)] == pytest.approx([1, 1, 0.99, 0.99**99])


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("pretrain", ["method=moco"], "method=moco: no such choice; choose csc or lground"),
        ("pretrain", ["method.min_overlap=2"], "method.min_overlap=2: must be at most 1"),
        ("pretrain", ["method.min_overlap=0"], "method.min_overlap=0: must be greater than 0"),
        ("pretrain", ["method.queries=many"], "method.queries=many: must be a whole number"),
        ("pretrain", ["method.partition.kind=radial"], "method=csc: partition 'radial'; choose one of"),
        ("pretrain", ["method.partition.r1=0"], "method.partition.r1=0: must be greater than 0"),
        ("pretrain", ["method.partition.bins_xy=2.5"], "method.partition.bins_xy=2.5: must be a whole number"),
        ("pretrain", ["method.partition.r1=near"], "method.partition.r1=near: must be a number"),
        ("pretrain", ["method.temperature=0.001"], "temperature=0.001: must be at least 0.03"),
        ("pretrain", ["method.frames={tmp}/none"], "none: no such folder or list of frame pairs"),
        ("pretrain", ["method.frames={tmp}/none", "features=[normal]"], "frames have no normals"),
        ("pretrain", ["voxel_size=10"], "its two views have . voxels in common"),
        ("pretrain", ["voxel_size=10", "trainer.workers=1"], "error: scene scene.*have . voxels in common"),
        ("pretrain", ["trainer.batch_size=1000"], "do not fill one batch"),
        ("train", ["init={checkpoint}", *SMALL], "another shape.*conv0p1s1.kernel.*with its features"),
        ("train", ["init={checkpoint}", "features=[color]", *SMALL, "model=minkunet18a"], "missing.*block1.1"),
        ("evaluate", ["checkpoint={checkpoint}"], "pretrained only.*ceco3d.train init="),
    ],
)
def test_bad_input_gives_one_line_and_exit_2(run_command, tiny, pretrained, tmp_path, command, arguments, message):
    places = {"tmp": tmp_path, "checkpoint": pretrained}
    run = [] if command == "evaluate" else [f"run_dir={tmp_path / 'run'}"]
    small = [*SMALL, "trainer.repeat=1", "trainer.epochs=1"] if command == "pretrain" else []
    outcome = run_command(command, *tiny, *small, *run, *(argument.format(**places) for argument in arguments))
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, outcome.err
    assert "Traceback" not in outcome.err
    assert re.search(message, errors[0]), errors[0]
