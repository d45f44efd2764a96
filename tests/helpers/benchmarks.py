"""Small workloads for benchmark tests."""

import torch

from ceco3d.benchmarks.workload import Workload

CHANNELS = 9
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_input(channels=CHANNELS):
    """Two scenes far apart, with negative coordinates and corners that are not multiples of 16.

    features (N, channels) float32, coordinates (N, 4) int32 ``[batch, x, y, z]``
    """
    generator = torch.Generator().manual_seed(0)
    coordinates = (torch.rand(2, 8, 8, 8, generator=generator) < 0.15).nonzero().int()
    coordinates += torch.tensor([0, -3, 5, -21], dtype=torch.int32)
    coordinates[coordinates[:, 0] == 1, 1] += 20
    features = torch.randn(len(coordinates), channels, generator=generator)
    return features.to(DEVICE), coordinates.to(DEVICE)


def make_workload():
    """MinkUNet14A with 7 classes on the voxels of ``make_input``."""
    features, coordinates = make_input()
    labels = torch.zeros(len(features), dtype=torch.int64, device=DEVICE)
    model = {"name": "MinkUNet14A", "stem_kernel": 3, "bn_momentum": 0.1}
    return Workload(coordinates, features, labels, model, 7, DEVICE)
