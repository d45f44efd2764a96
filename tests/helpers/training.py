"""Small training runs and what they leave."""

import csv
import os
import signal

import torch

from ceco3d.training.loop import Trainer
from tests.helpers.thin import MODEL

SMALL = [*MODEL, "voxel_size=0.25", "trainer.batch_size=4", "trainer.log_every=1"]
TIMINGS = ("voxels_per_second", "seconds")  # columns of metrics.csv that differ between equal runs


def rows(run_dir):
    with (run_dir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(path):
    return torch.load(path, weights_only=True)


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def interrupt_after(monkeypatch, steps):
    """This process gets a SIGINT in the given step, as from Ctrl-C."""
    original = Trainer._step

    def step(self, *arguments):
        if self.position.step == steps - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", step)
