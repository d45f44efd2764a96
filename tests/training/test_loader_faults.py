"""Loader processes that are killed, run out of shared memory or of open files; training without a reader."""

import os
import signal

import pytest

from ceco3d.training.loop import Trainer
from ceco3d.training.run import train
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.faults import NOT_ALLOWED, command, in_child, limit_open_files, small_shared_memory
from tests.helpers.training import SMALL, equal, weights

OPTIONS = ["loss=ce", "resume=auto", "trainer.validate_every=2", "trainer.save_every=1", "trainer.epochs=2"]


@pytest.fixture
def run(tiny, tmp_path):
    """``run(folder, ...)`` trains, in two epochs of three steps."""
    return lambda folder, *more: train(
        settings_of("train", *tiny, *SMALL, *OPTIONS, f"run_dir={tmp_path / folder}", *more)
    )


@pytest.mark.slow
def test_after_the_kill_of_a_loader_process_training_resumes_with_the_same_bits(run, tmp_path, monkeypatch):
    more = ["trainer.workers=2", "trainer.epochs=6"]  # when the process dies, most batches are still to be made
    run("whole", *more)
    original = Trainer._step

    def step(self, *arguments):
        if self.position.step == 4:
            os.kill(self.prefetcher.loader._iterator._workers[1].pid, signal.SIGKILL)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", step)
        with pytest.raises(UserError, match="a loader process died"):
            run("killed", *more)
    assert weights(tmp_path / "killed/checkpoints/last.pt")["position"]["step"] >= 4
    run("killed", *more)
    a, b = (weights(tmp_path / name / "checkpoints/last.pt") for name in ("whole", "killed"))
    assert equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "remedy"),
    [
        (small_shared_memory(8 << 20), ""),
        (small_shared_memory(1 << 20), "enlarge /dev/shm (docker run --shm-size=2g) or set trainer.workers=0"),
        (limit_open_files(more=50), ""),
        (limit_open_files(more=16), "raise the limit"),
    ],
)
def test_batches_that_do_not_fit_end_the_run_with_one_line_instead_of_waiting_forever(tiny, tmp_path, before, remedy):
    ended = in_child(
        command("train", *tiny, *SMALL, *OPTIONS, f"run_dir={tmp_path}", "trainer.workers=2", "trainer.epochs=1"),
        before=before,
    )
    if ended.code == NOT_ALLOWED:
        pytest.skip("no mounts of one's own here")
    assert ended.code == (2 if remedy else 0), ended.err
    assert "Traceback" not in ended.err
    assert remedy in ended.err


def test_a_training_goes_on_when_nobody_reads_its_steps_any_more(tiny, tmp_path):
    def leave():
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)

    ended = in_child(command("train", *tiny, *SMALL, *OPTIONS, f"run_dir={tmp_path}"), before=leave)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert (tmp_path / "report.html").is_file()
    assert "validation after epoch 2" in (tmp_path / "run.log").read_text()
