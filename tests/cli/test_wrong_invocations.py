"""Wrong command lines, as people type them: one line says what is wrong and how it is written."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

NO_BEST = ["checkpoint={tmp}/best.pt", "out={tmp}/out"]

WRONG = [
    # Keys
    ("train", ["trainer.epoch=3"], "trainer.epoch: no such key; did you mean trainer.epochs?"),
    ("train", ["+trainer.epoch=3"], "trainer.epoch: no such key; did you mean trainer.epochs?"),
    ("train", ["++trainer.epoch=3"], "trainer.epoch: no such key; did you mean trainer.epochs?"),
    ("train", ["~trainer.epoch"], "trainer.epoch: no such key; did you mean trainer.epochs?"),
    ("train", ["--multirun", "trainer.epoch=1,2"], "trainer.epoch: no such key; did you mean trainer.epochs?"),
    ("train", ["los=ce"], "los: no such key; did you mean loss?"),
    ("train", ["+model.widht=3"], "model.widht: build_model has no such setting"),
    ("train", ["loss=modern", "loss.point.gama=1"], "loss.point.gama: .*no such setting; did you mean gamma?"),
    ("preprocess", ["dataset=scannet200", "split=train"], "split: no such key; did you mean splits?"),
    ("predict", [*NO_BEST, "inptu=scan.ply"], "inptu: no such key; did you mean input?"),
    ("evaluate", ["checkpoint=a.pt", "dataset.voxel_sise=0.1"], "dataset.voxel_sise: .*did you mean voxel_size?"),
    # Choices
    ("train", ["loss=cce"], "loss=cce: no such choice; did you mean loss=ce?"),
    ("train", ["dataset=scanet200"], "dataset=scanet200: no such choice; did you mean dataset=scannet200?"),
    ("train", ["experiment=cec"], "experiment=cec: no such choice; did you mean experiment=ceco?"),
    ("train", ["logger=wnadb"], "logger=wnadb: no such choice; did you mean logger=wandb?"),
    ("train", ["device=gpu"], "device=gpu: choose auto, cpu or cuda"),
    ("evaluate", ["checkpoint=a.pt", "split=valid"], "split=valid: choose train, val or test"),
    ("predict", [*NO_BEST, "input=a.ply", "unit=meter"], "unit=meter: choose m, cm or mm"),
    ("train", ["loss=null"], "loss=null: no such choice; choose "),
    ("train", ["trainer={epohcs: 3}"], "trainer.epohcs: no such key; did you mean trainer.epochs?"),
    ("train", ["model=minkunet34c,minkunet14a"], "several values; choose one, or add --multirun for a run with each"),
    ("train", ["features=color,normal"], "several values; write features=[color,normal] for a list"),
    ("train", ["loss=ce", "loss.center.dim=600"], "loss.center.dim: no such key here; .*loss=ceco, .* have it"),
    ("train", ["logger.wandb.project=x"], "logger.wandb.project: no such key here; logger=wandb has it"),
    ("predict", [*NO_BEST, "dataset=rooms200"], "dataset: no such key"),
    ("export", ["checkpoint=a.pt", "dataset.voxel_size=0.1"], "export does not read it; write voxel_size=0.1"),
    # Values
    ("train", ["trainer.epochs=five"], "trainer.epochs=five: must be a whole number"),
    ("train", ["trainer.epochs=-1"], "trainer.epochs=-1: must be at least 1"),
    ("train", ["trainer.epochs=null"], "trainer.epochs=null: must be a whole number"),
    ("train", ["trainer.epochs="], "trainer.epochs=: no value; write trainer.epochs=VALUE"),
    ("train", ["+loss.point._target_="], "loss.point._target_=: no value"),
    ("train", ["voxel_size=-0.02"], "voxel_size=-0.02: must be greater than 0"),
    ("train", ["trainer={epochs:5"], "trainer={epochs:5: brackets or quotes do not match"),
    ("train", ["features=[color"], "features=[color: brackets or quotes do not match"),
    ("train", ["voxel_size=nan"], "voxel_size=nan: must be a finite number"),
    ("train", ["trainer.epochs=1e3"], "trainer.epochs=1000.0: must be a whole number"),
    ("train", ["optimizer.lr=true"], "optimizer.lr=true: must be a number"),
    ("train", ["trainer.epochs=range(1,3)"], "trainer.epochs=range(1,3)' requires --multirun"),
    ("train", ["precision=fp8"], "precision=fp8: choose auto, fp32, tf32, bf16 or fp16"),
    ("train", ["engine=foo"], "unknown engine 'foo'; choose one of auto, native"),
    ("train", ["run_dir=${nme}"], "Interpolation key 'nme' not found"),
    ("train", ["run_dir={tmp}/" + "x" * 300], "File name too long"),
    ("train", ["run_dir=/proc/x"], "/proc/x: cannot write there (/proc is not a writable folder)"),
    # Ways to write
    ("train", ["--epochs", "5"], "--epochs 5: keys are written without dashes and with =; write trainer.epochs=5"),
    ("train", ["--epochs=5"], "--epochs=5: keys are written without dashes and with =; write trainer.epochs=5"),
    ("train", ["—epochs=5"], "—epochs=5: keys are written without dashes and with =; write trainer.epochs=5"),
    ("train", ["epochs", "5"], "epochs 5: not key=value; write trainer.epochs=5"),
    ("train", ["trainer.epochs", "=", "5"], "trainer.epochs = 5: no blanks around =; write trainer.epochs=5"),
    ("train", ["trainer.epochs=", "5"], "trainer.epochs= 5: no blanks around =; write trainer.epochs=5"),
    (
        "predict",
        ["input=my", "scans/room.ply"],
        "if it belongs to the value before, quote both: 'input=my scans/room.ply'",
    ),
    ("train", ["x y=1"], "x y=1: starts with no key; write key=value"),
    ("train", ["--multirum"], "--multirum: no such option; did you mean --multirun?"),
    ("train", ["-h5"], "-h5: no such option"),
    ("train", ["--config-dir=/nowhere"], "--config-dir /nowhere: no such folder"),
    ("doctor", ["--hlep"], "--hlep: no such option; did you mean --help?"),
    ("evaluate", ["best.pt"], "best.pt: not key=value; write checkpoint=best.pt"),
    ("evaluate", [], "checkpoint is not set: pass checkpoint=..."),
    # Paths
    ("train", ["init={tmp}/epoch=1-step=2.ckpt"], "{tmp}/epoch=1-step=2.ckpt: no such checkpoint"),
    ("predict", [*NO_BEST, "input={tmp}/my scans/room (1).ply"], "input={tmp}/my scans/room (1).ply: no such file"),
    ("predict", [*NO_BEST, r"input=C:\scans\room.ply"], r"input=C:\scans\room.ply: no such file"),
    ("predict", [*NO_BEST, "input=~/no such room.ply"], "/no such room.ply: no such file"),
    ("predict", [*NO_BEST, "input={tmp}/räume/größe=3.ply"], "input={tmp}/räume/größe=3.ply: no such file"),
    ("report", ["run={tmp}/none"], "{tmp}/none: no run in it"),
    ("report", ["tabel", "runs=[a]"], "what=tabel: choose run, study or table"),
]


@pytest.mark.parametrize(("command", "arguments", "message"), WRONG, ids=[f"{c} {' '.join(a)}" for c, a, _ in WRONG])
def test_one_line_says_what_is_wrong_and_how_it_is_written(run_command, tmp_path, command, arguments, message):
    given = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    if command == "train" and "run_dir=" not in "".join(given):
        given.append(f"run_dir={tmp_path}/run")
    outcome = run_command(command, *given)
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, outcome.err
    pattern = ".*".join(map(re.escape, message.replace("{tmp}", str(tmp_path)).split(".*")))
    assert re.search(pattern, errors[0]), errors[0]
    assert "Traceback" not in outcome.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["train", "trainer.epoch=3"], ["doctor", "--hlep"]])
def test_a_wrong_key_ends_a_command_before_torch_is_imported(arguments, tmp_path):
    code = (
        f"import sys, runpy; sys.argv = {arguments!r}\n"
        f"try: runpy.run_module('ceco3d.{arguments[0]}', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "2 False\n"
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["", ".train", ".predict", ".doctor"])
@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_version_and_help_are_answered_without_torch(command, flag, tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"ceco3d{command}", flag],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert ("ceco3d 0." in done.stdout) if flag == "--version" else ("ceco3d" in done.stdout)
    assert not re.search(r"\| +torch$", done.stderr, re.MULTILINE)
