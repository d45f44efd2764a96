"""The script that runs a study: which runs, how many at a time, and what it leaves. Python is a stand-in."""

import os
import shutil
import subprocess

import pytest

from tests.helpers.source import ROOT

# Writes its words into $CALLS. A training takes a moment, notes how many run, and fails for seed 9.
PYTHON = """#!/bin/bash
echo "$@" >>"$CALLS"
for word in "$@"; do
  case $word in
    run_dir=*) run=${word#run_dir=} ;;
    checkpoint=*/checkpoints/best.pt) diagnosed=${word#checkpoint=} ;;
    study=*) echo table >"${word#study=}/study.md" ;;
    seed=9) exit 3 ;;
  esac
done
if [ "$2" = ceco3d.train ]; then
  touch "$CALLS.running.$$"
  sleep 0.2
  ls "$CALLS".running.* | wc -l >>"$CALLS.together"
  rm "$CALLS.running.$$"
  mkdir -p "$run/checkpoints"
  touch "$run"/{config.yaml,metrics.csv,metrics.json,confusion.npz,checkpoints/{best,last}.pt}
elif [ "$2" = ceco3d.diagnose ]; then
  folder=${diagnosed%/checkpoints/best.pt}/diagnose
  mkdir "$folder"
  touch "$folder/diagnosis.json"
fi
"""


@pytest.fixture
def study(tmp_path):
    """Run a copy of the script."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/imbalance_study.sh", tmp_path / "scripts")
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run(*overrides, **environment):
        calls = tmp_path / "calls"
        done = subprocess.run(
            [tmp_path / "scripts/imbalance_study.sh", *overrides],
            env={"PATH": os.environ["PATH"], "CALLS": str(calls), "OUT": "out"} | environment,
            capture_output=True,
            text=True,
        )
        return done, calls.read_text().splitlines()

    return run


def test_every_run_is_made_once_with_its_own_folder_and_few_at_a_time(study, tmp_path):
    more = {"LOSSES": "ce ceco", "IMBALANCES": "10 scannet", "SEEDS": "0 1", "JOBS": "3"}
    done, calls = study("dataset.size=tiny", "trainer.epochs=1", **more)
    assert done.returncode == 0, done.stderr
    trained = [call.split() for call in calls if "ceco3d.train" in call]
    assert len(trained) == 8
    assert {word for call in trained for word in call if word.startswith("run_dir=")} == {
        f"run_dir=out/{loss}-{imbalance}-{seed}"
        for loss in ("ce", "ceco")
        for imbalance in (10, "scannet")
        for seed in (0, 1)
    }
    assert all({"experiment=imbalance", "hydra.mode=RUN", "trainer.epochs=1"} <= {*call} for call in trained)
    prepared = [call for call in calls if "ceco3d.preprocess" in call]
    assert [call.split()[3:] for call in prepared] == [
        [f"dataset.imbalance={imbalance}", "dataset.size=tiny"] for imbalance in ("10", "scannet")
    ]
    diagnosed = [call.split()[2:] for call in calls if "ceco3d.diagnose" in call]
    assert len(diagnosed) == 8
    assert [
        "checkpoint=out/ceco-scannet-1/checkpoints/best.pt",
        "dataset=rooms200_lt",
        "dataset.imbalance=scannet",
        "dataset.size=tiny",
    ] in diagnosed
    together = [int(number) for number in (tmp_path / "calls.together").read_text().split()]
    assert max(together) in (2, 3)
    assert calls[-1] == "-m ceco3d.report study study=out"


def test_a_run_is_diagnosed_once(study):
    for _ in range(2):
        done, calls = study(LOSSES="ce", SEEDS="0")
        assert done.returncode == 0, done.stderr
    assert sum("ceco3d.diagnose" in call for call in calls) == 1


def test_logs_come_back_without_checkpoints_and_a_failed_run_fails_the_study(study, tmp_path):
    done, calls = study(LOSSES="ce", SEEDS="0 9", LOGS=str(tmp_path / "logs"))
    assert done.returncode == 1
    assert "failed: ce-100-9, see out/output/ce-100-9.txt" in done.stdout
    assert "finished: ce-100-0" in done.stdout
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"ce-100-0", "study.md"}
    files = {path.name for path in (tmp_path / "logs/ce-100-0").iterdir()}
    assert files == {"config.yaml", "metrics.csv", "metrics.json", "confusion.npz", "diagnose"}
    assert calls[-1] == "-m ceco3d.report study study=out"  # of what is there
