"""Small training runs and what they leave."""

import csv

import torch

SMALL = ["model=minkunet14a", "model.stem_kernel=3", "voxel_size=0.25", "trainer.batch_size=4", "trainer.log_every=1"]
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
