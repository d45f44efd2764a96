"""Random voxels."""

import torch
from torch import Tensor

from ceco3d.sparse import SparseTensor

SIZE = 12
SHIFT = 5  # dense index 0 is coordinate -SHIFT: every input has negative coordinates


def sparse_input(seed: int, batch: int = 2, density: float = 0.2, channels: int = 3) -> tuple[SparseTensor, Tensor]:
    """Random voxels and their features. Coordinates lie in [-4, 5], so no 5^3 kernel leaves the dense grid."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(batch, SIZE - 2, SIZE - 2, SIZE - 2, generator=generator) < density
    coordinates = mask.nonzero() - torch.tensor([0, SHIFT - 1, SHIFT - 1, SHIFT - 1])
    coordinates = coordinates[torch.randperm(len(coordinates), generator=generator)]
    features = torch.randn(len(coordinates), channels, generator=generator, dtype=torch.float64, requires_grad=True)
    return SparseTensor(features, coordinates.int()), features
