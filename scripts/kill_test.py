#!/usr/bin/env python
"""scripts/kill_test.py [KILLS] [SEED]: kill training with SIGKILL at random moments; resumed runs must end the same.

Trains on rooms200 `tiny` once without interruption. Then repeats the run, killed and resumed up to five times before it
may finish, until there were KILLS kills: half at a random time, half while a checkpoint is being written (after every
step). The last checkpoint and the log of every run must equal those of the uninterrupted run bit for bit. Prints a
summary and writes it to outputs/kill-test/kills.json. Exit code 1 if a run differs or cannot be resumed.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.helpers.training import TIMINGS, equal

ROOT = Path("outputs/kill-test")
OPTIONS = [
    "dataset.size=tiny",
    "dataset.raw=data/rooms200/tiny-kill/raw",
    "dataset.root=data/rooms200/tiny-kill/processed",
    "model=minkunet14a",
    "model.stem_kernel=3",
    "voxel_size=0.25",
    "loss=ceco",
    "trainer.batch_size=4",
    "trainer.epochs=3",
    "trainer.validate_every=3",
    "trainer.save_every=1",
    "trainer.log_every=1",
    "trainer.ema=0.9",
    "resume=auto",
]
KILLS_PER_RUN = 5
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def start(run_dir: Path) -> subprocess.Popen:
    """Start or resume the training in ``run_dir``."""
    command = [sys.executable, "-m", "ceco3d.train", *OPTIONS, f"run_dir={run_dir}"]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen, run_dir: Path, seconds: float, rng: random.Random, in_saving: bool) -> str | None:
    """Kill the process within ``seconds``, or during a save; what it was doing, or None if it ended before."""
    end = time.monotonic() + rng.uniform(0.0, seconds)
    part = run_dir / "checkpoints/last.part"
    while process.poll() is None:
        if in_saving and part.exists() and rng.random() < 0.2:
            time.sleep(rng.uniform(0.0, 0.15))  # about the duration of a save
            break
        if not in_saving and time.monotonic() > end:
            break
        time.sleep(0.0005 if in_saving else 0.01)
    if process.poll() is not None:
        return None
    process.send_signal(signal.SIGKILL)
    process.wait()
    if part.exists():
        return "saving"
    return "training" if (run_dir / "checkpoints").exists() else "starting"


def outcome(run_dir: Path) -> tuple[dict, list]:
    """The last checkpoint and the log without timings."""
    with (run_dir / "metrics.csv").open(newline="") as file:
        log = [{k: v for k, v in row.items() if k not in TIMINGS} for row in csv.DictReader(file)]
    return torch.load(run_dir / "checkpoints/last.pt", weights_only=True), log


def main() -> None:
    """Run the test."""
    kills, seed = int(sys.argv[1]) if len(sys.argv) > 1 else 50, int(sys.argv[2]) if len(sys.argv) > 2 else 0
    shutil.rmtree(ROOT, ignore_errors=True)
    rng, found = random.Random(seed), {"starting": 0, "training": 0, "saving": 0}
    start(ROOT / "whole").communicate()  # generates the data, which the timed run must not
    shutil.rmtree(ROOT / "whole")
    began = time.monotonic()
    start(ROOT / "whole").communicate()
    seconds = time.monotonic() - began
    expected, runs, unusable, different = outcome(ROOT / "whole"), 0, 0, 0
    while sum(found.values()) < kills:
        runs += 1
        run_dir = ROOT / f"run-{runs}"
        for attempt in count():
            (run_dir / "checkpoints/last.part").unlink(missing_ok=True)  # of the last kill; a new one means "saving"
            process = start(run_dir)
            spent = sum(found.values()) >= kills or attempt == KILLS_PER_RUN
            what = None if spent else kill(process, run_dir, seconds, rng, in_saving=sum(found.values()) % 2 == 1)
            if what is None:
                break
            found[what] += 1
            print(f"{sum(found.values())}: killed {run_dir.name} while {what}", flush=True)
        _, err = process.communicate()
        if process.returncode:
            unusable += 1
            print(f"{run_dir}: {err.strip().splitlines()[-1:]}", flush=True)
        elif not all(map(equal, outcome(run_dir), expected)):
            different += 1
        shutil.rmtree(run_dir)
    result = {"kills": found, "runs": runs, "unusable": unusable, "different": different}
    (ROOT / "kills.json").write_text(json.dumps(result) + "\n")
    print(result)
    sys.exit(1 if unusable or different else 0)


if __name__ == "__main__":
    main()
