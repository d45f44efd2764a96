"""One of two processes of torchrun is killed: both end soon, the last checkpoint is whole, and one process goes on."""

import os
import subprocess
import sys
import time

import pytest

from ceco3d.training.run import train
from tests.helpers.commands import settings_of
from tests.helpers.training import SMALL, weights

OPTIONS = ["loss=ce", "trainer.epochs=3", "trainer.save_every=1", "trainer.validate_every=1", "resume=auto"]
SECONDS = 60  # from the death of a process to the end of all


def start(tiny, run_dir, when):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
    command = [*torchrun, "tests.helpers.dying_rank", when, *tiny, *SMALL, *OPTIONS, f"run_dir={run_dir}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def session(number):
    """Processes that are left of a session."""
    listed = subprocess.run(["pgrep", "-s", str(number)], capture_output=True, text=True)
    return listed.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(("when", "saved"), [("start", None), ("validation", 6), ("saving", 2)])
def test_a_killed_process_ends_the_others_and_training_resumes(tiny, tmp_path, when, saved):
    run_dir = tmp_path / "run"
    run, began = start(tiny, run_dir, when), time.monotonic()
    try:
        run.communicate(timeout=SECONDS + 100)
    finally:
        run.kill()
    assert run.returncode != 0
    if when == "start":
        assert time.monotonic() - began < SECONDS
    assert not session(run.pid), "nothing goes on"
    last = run_dir / "checkpoints/last.pt"
    assert last.exists() == (saved is not None)
    if saved is not None:
        assert weights(last)["position"]["step"] == saved
    train(settings_of("train", *tiny, *SMALL, *OPTIONS, f"run_dir={run_dir}"))
    assert weights(last)["position"]["step"] == 9
    assert not list(run_dir.rglob("*.part"))
