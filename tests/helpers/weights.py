"""Small files of weights with their setup, as scripts/ship_weights.py writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ceco3d.models import Network, build_model
from ceco3d.models.pretrained import save_weights

MODEL = {"name": "MinkUNet14A", "in_channels": 3, "out_channels": 20, "stem_kernel": 3}
SETUP = {"model": MODEL, "label_space": "scannet20", "features": ["color"], "voxel_size": 0.1}


def write_weights(path: Path, **changes: Any) -> Network:
    """Write random weights, always the same, with ``SETUP`` and ``changes`` to it; returns their network."""
    torch.manual_seed(1)
    model = build_model(**MODEL)
    save_weights(path, model.state_dict(), SETUP | changes)
    return model
