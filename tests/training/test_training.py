"""Training runs on rooms200 tiny: they learn, and an interrupted run ends like an uninterrupted one."""

import json
import math
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch

from ceco3d.models import load_trained
from ceco3d.training.loggers import CsvLogger, Loggers, TensorBoardLogger, WandbLogger
from ceco3d.training.loop import Trainer
from ceco3d.training.reporting import check_terms
from ceco3d.training.run import read_task, train
from ceco3d.training.schedule import MultiStep, OneCycle, Poly
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.training import SMALL, TIMINGS, equal, interrupt_after, rows, weights


def config(tiny, run_dir, *overrides):
    return settings_of("train", *tiny, *SMALL, f"run_dir={run_dir}", *overrides)


def test_the_loss_falls_and_a_run_leaves_its_files(tiny, tmp_path):
    scores = train(config(tiny, tmp_path, "trainer.epochs=8", "trainer.validate_every=4"))
    log = rows(tmp_path)
    losses = [float(row["loss"]) for row in log if row["loss"]]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert len([row for row in log if row["val_miou"] and 0 < float(row["val_separation"]) < 1]) == 2
    files = {
        "classes.json",
        "config.yaml",
        "environment.json",
        "metrics.csv",
        "metrics.json",
        "scenes.json",
        "checkpoints",
    }
    files |= {"neural_collapse.json", "collapse.npz", "confusion.npz", "evaluation.json", "run.log"}
    assert {p.name for p in tmp_path.iterdir()} == files
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {"last.pt", "previous.pt", "best.pt"}
    assert json.loads((tmp_path / "metrics.json").read_text()) == scores
    assert scores.keys() == {
        "miou",
        "head",
        "common",
        "tail",
        "per_class",
        "accuracy",
        "calibration_error",
        "calibration",
    }
    assert scores["miou"].keys() == {"present", "union", "zero_filled"}
    assert len(scores["per_class"]) == 200


@pytest.mark.parametrize("loss", ["ce", "ceco", "cecol"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_loss_and_precision_takes_a_step(tiny, tmp_path, loss, precision):
    overrides = [f"loss={loss}", f"precision={precision}", "trainer.epochs=1", "trainer.batch_size=7"]
    train(config(tiny, tmp_path, *overrides))
    values = rows(tmp_path)[0]
    assert math.isfinite(float(values["loss"]))
    assert bool(values.get("ceco")) == (loss != "ce")


def test_the_modern_loss_logs_its_parts(tiny, tmp_path):
    cfg = config(tiny, tmp_path, "loss=modern_ceco", "trainer.epochs=1", "trainer.batch_size=7")
    train(cfg)
    loss, ce, lovasz, ceco = (float(rows(tmp_path)[0][name]) for name in ("loss", "ce", "lovasz", "ceco"))
    assert 0 < lovasz <= 1
    assert loss == pytest.approx(ce + lovasz + cfg.loss.arguments["center_weight"] * ceco, rel=1e-5)


@pytest.mark.parametrize(
    ("workers", "ema", "loss"),
    [(0, "null", []), (2, "0.9", []), (0, "null", ["loss.center.memory=0.9", "loss.alignment=0.1"])],
)
def test_resuming_equals_not_stopping(tiny, tmp_path, monkeypatch, workers, ema, loss):
    options = ["trainer.epochs=2", "trainer.validate_every=1", f"trainer.workers={workers}", "transforms=pointcept"]
    options += [f"trainer.ema={ema}", *loss]
    train(config(tiny, tmp_path / "whole", *options))
    stopped = config(tiny, tmp_path / "parts", *options, "resume=auto")
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps=2)
        with pytest.raises(SystemExit) as ended:
            train(stopped)
    assert ended.value.code == 130
    assert weights(tmp_path / "parts/checkpoints/last.pt")["position"]["batch"] == 2
    train(stopped)
    a, b = (weights(tmp_path / name / "checkpoints/last.pt") for name in ("whole", "parts"))
    assert equal(a, b)
    assert ("center.memory.remembered" in a["criterion"]) == bool(loss)
    timeless = [
        [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows(tmp_path / n)] for n in ("whole", "parts")
    ]
    assert timeless[0] == timeless[1]


def test_averaged_weights_are_those_of_the_formula_and_are_what_is_scored(tiny, tmp_path, monkeypatch):
    history = []
    original = Trainer._step

    def step(self, *arguments):
        values = original(self, *arguments)
        history.append({name: value.clone() for name, value in self.objective.model.state_dict().items()})
        return values

    monkeypatch.setattr(Trainer, "_step", step)
    train(config(tiny, tmp_path, "trainer.epochs=1", "trainer.ema=0.2", "loss=ce"))
    content = weights(tmp_path / "checkpoints/last.pt")
    for name, raw in history[-1].items():
        assert torch.equal(content["raw_model"][name], raw)
        if raw.is_floating_point():  # running statistics of batch norms too
            mean = history[0][name]
            for steps, state in enumerate(history[1:], start=1):
                decay = min(0.2, (1 + steps) / (10 + steps))  # rises over the first steps, here the cap is reached
                mean = decay * mean + (1 - decay) * state[name]
            torch.testing.assert_close(content["model"][name], mean, rtol=1e-4, atol=1e-6)
    model, _ = load_trained(tmp_path / "checkpoints/best.pt")
    assert torch.equal(model.final.kernel, content["average"]["module.final.kernel"])
    classifiers = np.load(tmp_path / "collapse.npz")["classifiers"]
    np.testing.assert_array_equal(classifiers, content["model"]["final.kernel"].T.numpy())
    parameters = sum(value.nbytes for value in content["model"].values())
    size = (tmp_path / "checkpoints/last.pt").stat().st_size
    assert size < 4.5 * parameters  # model, raw_model, two moments of AdamW, and no fifth copy
    with pytest.raises(UserError, match=r"trained with trainer\.ema"):
        train(config(tiny, tmp_path, "trainer.epochs=2", "loss=ce", "resume=auto"))


@pytest.mark.parametrize("ema", ["1.0", "0", "often"])
def test_a_decay_outside_its_range_is_refused(tiny, tmp_path, ema):
    with pytest.raises(UserError, match=f"trainer.ema={ema}"):
        train(config(tiny, tmp_path, f"trainer.ema={ema}"))


@pytest.mark.slow
def test_same_seed_same_weights(tiny, tmp_path):
    for name in "ab":
        train(config(tiny, tmp_path / name, "trainer.epochs=1", "loss=ceco"))
    a, b = (weights(tmp_path / name / "checkpoints/last.pt") for name in "ab")
    assert equal(a, b)


def test_training_on_val_too_takes_its_scenes_and_says_so_once(tiny, tmp_path, capsys):
    task = read_task(config(tiny, tmp_path, "dataset.train=[train,val]"))
    plain = read_task(config(tiny, tmp_path))
    assert task.train == [*plain.train, *plain.val]
    assert task.val == plain.val
    assert capsys.readouterr().err.count("validation scores are of scenes that are trained on") == 1


@pytest.mark.parametrize("train", ["", "train,train", "train,all"])
def test_splits_that_make_no_sense_are_refused(tiny, tmp_path, train):
    with pytest.raises(UserError, match=rf"^dataset\.train=\[{', '.join(filter(None, train.split(',')))}\]: name some"):
        read_task(config(tiny, tmp_path, f"dataset.train=[{train}]"))


def test_a_finished_run_is_left_alone(tiny, tmp_path):
    first = train(config(tiny, tmp_path, "trainer.epochs=1"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert train(config(tiny, tmp_path, "trainer.epochs=1", "resume=auto")) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_finished_run_whose_scores_are_damaged_is_scored_again(tiny, tmp_path, capsys):
    first = train(config(tiny, tmp_path, "trainer.epochs=1"))
    (tmp_path / "metrics.json").write_text('{"miou": {}}')
    assert train(config(tiny, tmp_path, "trainer.epochs=1", "resume=auto")) == first
    assert "metrics.json is damaged; the run is scored again" in capsys.readouterr().err
    assert json.loads((tmp_path / "metrics.json").read_text()) == first


@pytest.mark.parametrize("left_out", ["", "final"])
def test_initial_weights_are_taken_over_except_those_left_out(tiny, tmp_path, left_out):
    train(config(tiny, tmp_path / "first", "trainer.epochs=1"))
    options = [f"init={tmp_path / 'first/checkpoints/last.pt'}", f"init_leave_out=[{left_out}]", "optimizer.lr=1e-12"]
    train(config(tiny, tmp_path / "second", "trainer.epochs=1", *options))
    a, b = (weights(tmp_path / name / "checkpoints/last.pt")["model"] for name in ("first", "second"))
    torch.testing.assert_close(a["conv0p1s1.kernel"], b["conv0p1s1.kernel"])
    assert torch.allclose(a["final.kernel"], b["final.kernel"]) == (left_out == "")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=minkunet18a"], "trained with model="),
        (["features=[color]"], "trained with"),
        (["loss.center.dim=300"], "criterion"),
        (["loss=ce"], "criterion"),
    ],
)
def test_resuming_another_run_is_refused(tiny, tmp_path, overrides, message):
    train(config(tiny, tmp_path, "trainer.epochs=1"))
    before = (tmp_path / "checkpoints/last.pt").read_bytes()
    with pytest.raises(UserError, match=message):
        train(config(tiny, tmp_path, "trainer.epochs=2", "resume=auto", *overrides))
    assert (tmp_path / "checkpoints/last.pt").read_bytes() == before


def test_a_run_folder_is_not_overwritten(tiny, tmp_path):
    train(config(tiny, tmp_path, "trainer.epochs=1"))
    with pytest.raises(UserError, match="resume=auto"):
        train(config(tiny, tmp_path, "trainer.epochs=1"))


def test_ctrl_c_in_a_real_process_saves_and_exits_130(tiny, tmp_path):
    overrides = [*tiny, *SMALL, f"run_dir={tmp_path}", "trainer.epochs=1000", "trainer.validate_every=1000"]
    process = subprocess.Popen([sys.executable, "-m", "ceco3d.train", *overrides], stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            if (tmp_path / "metrics.csv").is_file() and len(rows(tmp_path)) > 1:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert weights(tmp_path / "checkpoints/last.pt")["position"]["step"] >= 1


def test_a_diverging_run_stops_with_one_line(tiny, tmp_path):
    with pytest.raises(UserError, match="10 steps in a row without a finite loss"):
        train(config(tiny, tmp_path, "optimizer.lr=1e30", "trainer.clip_grad_norm=null", "trainer.epochs=9"))


def test_loggers_write_the_same_values(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = Loggers([CsvLogger(tmp_path, 0), TensorBoardLogger(tmp_path, 0)])
    for step in (1, 2):
        log.log({"step": step, "epoch": 1, "loss": 0.5 * step})
    log.close()
    assert [float(row["loss"]) for row in rows(tmp_path)] == [0.5, 1.0]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in events] == [(1, 0.5), (2, 1.0)]


def test_csv_forgets_rows_after_the_checkpoint(tmp_path):
    log = CsvLogger(tmp_path, 0)
    for step in (1, 2, 3):
        log.log({"step": step, "loss": float(step)})
    log.close()
    log = CsvLogger(tmp_path, 2)
    log.log({"step": 3, "loss": 30.0})
    log.close()
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [("1", "1.0"), ("2", "2.0"), ("3", "30.0")]


@pytest.mark.parametrize("name", ["lr", "grad_norm", "step", "phase", "seconds", "val_miou"])
def test_a_loss_cannot_take_a_name_of_the_log(name):
    check_terms(["loss", "my_term"])
    with pytest.raises(UserError, match=f"returns '{name}'.*rename"):
        check_terms(["loss", name])


def test_a_new_name_adds_a_column_and_resuming_keeps_it(tmp_path):
    log = CsvLogger(tmp_path, 0)
    log.log({"step": 1, "loss": 1.0})
    log.log({"step": 2, "loss": 2.0, "my_term": 0.5})
    log.log({"step": 2, "val_miou": 0.1})
    log.close()
    log = CsvLogger(tmp_path, 2)  # before the validation
    log.log({"step": 3, "loss": 3.0, "my_term": 0.25})
    assert rows(tmp_path) == [
        {"step": "1", "phase": "train", "loss": "1.0", "my_term": ""},
        {"step": "2", "phase": "train", "loss": "2.0", "my_term": "0.5"},
        {"step": "3", "phase": "train", "loss": "3.0", "my_term": "0.25"},
    ]


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_missing_logger_says_what_to_install(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard" if package == "tensorboard" else "wandb", None)
    make = {"tensorboard": TensorBoardLogger, "wandb": WandbLogger}[package]
    with pytest.raises(UserError, match="pip install"):
        make(tmp_path, 0)


def test_schedules():
    one = OneCycle(warmup=0.1, start_divisor=10, final_divisor=1e4)
    assert one(0) == pytest.approx(0.1)
    assert one(0.1) == pytest.approx(1)
    assert one(0.55) == pytest.approx(0.5, abs=1e-3)
    assert one(1) == pytest.approx(1e-4)
    assert [Poly(2.0)(p) for p in (0, 0.5, 1)] == [1, 0.25, 0]
    assert [MultiStep([0.3, 0.5], 0.1)(p) for p in (0, 0.3, 0.9)] == pytest.approx([1, 0.1, 0.01])


def test_float16_recovers_from_too_large_a_scale(tiny, tmp_path, monkeypatch):
    """Steps whose scaled gradients overflow change nothing, halve the scale and are no failures; the state is kept."""
    start = 2.0**26
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=start))
    norms, changed = [], []
    original = Trainer._step

    def step(self, *arguments):
        before = [p.detach().clone() for p in self.objective.parameters()]
        values, number = original(self, *arguments)
        norms.append(values["grad_norm"])
        changed.append(not all(map(torch.equal, before, self.objective.parameters())))
        return values, number

    monkeypatch.setattr(Trainer, "_step", step)
    options = ["precision=fp16", "trainer.epochs=8", "trainer.max_skipped=1", "trainer.validate_every=8"]
    train(config(tiny, tmp_path, *options))
    overflowed = [not math.isfinite(norm) for norm in norms]
    assert any(overflowed)
    assert changed == [not bad for bad in overflowed]
    assert not overflowed[-1]
    scale = weights(tmp_path / "checkpoints/last.pt")["scaler"]["scale"]
    assert scale == start / 2 ** sum(overflowed)
    assert all(row["skipped"] in ("", "0.0") for row in rows(tmp_path))


def test_memory_of_a_gpu_is_logged(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "_memory", lambda self: {"gpu_gib": 1.5, "gpu_reserved_gib": 2.0})
    train(config(tiny, tmp_path, "trainer.epochs=1"))
    assert [(row["gpu_gib"], row["gpu_reserved_gib"]) for row in rows(tmp_path) if row["loss"]] == [("1.5", "2.0")] * 3
