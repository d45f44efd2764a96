"""Whether points have colors, and what a network sees where they have none."""

from __future__ import annotations

import numpy as np

GRAY = 127.5  # the middle of 0..255, which a network sees as 0
SAMPLE = 4096  # rows that usually tell


def has_colors(color: np.ndarray) -> bool:
    """Whether colors (N, C) of any number type differ; one color throughout, such as black, is no color. NaN is 0."""
    first = np.nan_to_num(color[:1])
    return any(bool((np.nan_to_num(part) != first).any()) for part in (color[:SAMPLE], color[SAMPLE:]))
