"""``python -m tests.helpers.dying_rank WHEN key=value ...``: a training in which the second of two processes dies.

WHEN  "start": before the processes meet; "validation": that of the second epoch; "saving": while the first process
      saves for the second time
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from ceco3d import train
from ceco3d.training import checkpoint
from ceco3d.training.loop import Trainer

SECOND = os.environ["RANK"] == "1"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_validation() -> None:
    original = Trainer._validate

    def validate(self, *arguments):
        if SECOND and self.position.epoch == 2:
            die()
        return original(self, *arguments)

    Trainer._validate = validate


def die_while_the_first_process_saves(run_dir: Path) -> None:
    pid = run_dir.with_name(f"{run_dir.name}.pid")
    if SECOND:
        pid.write_text(str(os.getpid()))
        return
    original, saves = torch.save, []

    def save(content, file, **options):
        original(content, file, **options)
        if options:  # torch sends a tensor to another process
            return
        saves.append(file)
        if len(saves) == 2:
            os.kill(int(pid.read_text()), signal.SIGKILL)
            signal.pause()  # until torchrun tells this process to end

    checkpoint.torch.save = save


if __name__ == "__main__":
    when = sys.argv.pop(1)
    run_dir = Path(next(word for word in sys.argv if word.startswith("run_dir=")).partition("=")[2])
    if when == "start" and SECOND:
        die()
    elif when == "validation":
        die_in_validation()
    elif when == "saving":
        die_while_the_first_process_saves(run_dir)
    train.main()
