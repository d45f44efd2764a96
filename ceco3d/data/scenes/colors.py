"""Whether the colors of a scene say anything."""

from __future__ import annotations

import numpy as np


def has_colors(color: np.ndarray) -> bool:
    """Whether colors (N, 3) tell points apart; a scanner without a camera writes the same one, often black, to all."""
    return len(color) == 1 or bool((color != color[:1]).any())
