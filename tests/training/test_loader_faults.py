"""Loader processes that are killed, run out of shared memory or of open files; training without a reader."""

import os
import signal

import pytest

from ceco3d.training.loop import Trainer
from ceco3d.training.run import train
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.faults import NOT_ALLOWED, in_child, limit_open_files, small_shared_memory
from tests.helpers.training import SMALL, equal, weights

OPTIONS = ["loss=ce", "resume=auto", "trainer.validate_every=2", "trainer.save_every=1", "trainer.epochs=2"]


@pytest.fixture
def run(tiny, tmp_path):
    """``run(folder, ...)`` trains, in two epochs of three steps."""
    return lambda folder, *more: train(
        settings_of("train", *tiny, *SMALL, *OPTIONS, f"run_dir={tmp_path / folder}", *more)
    )


def test_after_the_kill_of_a_loader_process_training_resumes_with_the_same_bits(run, tmp_path, monkeypatch):
    run("whole", "trainer.workers=2")
    original = Trainer._step

    def step(self, *arguments):
        if self.position.step == 4:
            os.kill(self.prefetcher.loader._iterator._workers[1].pid, signal.SIGKILL)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", step)
        with pytest.raises(UserError, match="a loader process died"):
            run("killed", "trainer.workers=2")
    assert weights(tmp_path / "killed/checkpoints/last.pt")["position"]["step"] >= 4
    run("killed", "trainer.workers=2")
    a, b = (weights(tmp_path / name / "checkpoints/last.pt") for name in ("whole", "killed"))
    assert equal(a, b)


@pytest.mark.parametrize(
    ("before", "enough", "remedy"),
    [
        (small_shared_memory, 8 << 20, ""),
        (small_shared_memory, 1 << 20, "enlarge /dev/shm (docker run --shm-size=2g) or set trainer.workers=0"),
        (limit_open_files, 64, ""),
        (limit_open_files, 26, "Too many open files): raise the limit (ulimit -n 4096) or set trainer.workers=0"),
    ],
)
def test_batches_that_do_not_fit_end_the_run_with_one_line_instead_of_waiting_forever(run, before, enough, remedy):
    ended = in_child(lambda: run("run", "trainer.workers=2", "trainer.epochs=1"), before=before(enough))
    if ended.code == NOT_ALLOWED:
        pytest.skip("no mounts of one's own here")
    assert (ended.code == 0) == (not remedy), ended.err
    assert remedy in ended.err
