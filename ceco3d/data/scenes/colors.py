"""Whether points have colors, and what a network sees where they have none."""

from __future__ import annotations

import numpy as np

GRAY = 127.5  # the middle of 0..255, which a network sees as 0
SAMPLE = 4096  # rows that usually tell


def has_colors(color: np.ndarray) -> bool:
    """Whether colors (N, C) of any number type differ; one color throughout, such as black, is no color. NaN is 0."""
    first = np.nan_to_num(color[:1])
    return any(bool((np.nan_to_num(part) != first).any()) for part in (color[:SAMPLE], color[SAMPLE:]))


def color_bytes(color: np.ndarray) -> np.ndarray:
    """Colors (N, 3) of any number type as uint8.

    The largest value decides what white is: 1 (floats only), 255 or 65535. NaN becomes gray.
    """
    if color.dtype == np.uint8:
        return color
    largest = np.nanmax(color, initial=0)
    shares = color.dtype.kind == "f" and largest < 2  # 1, up to rounding
    return bytes_of(color, 1 if shares else 255 if largest <= 255 else 65535)


def bytes_of(color: np.ndarray, white: int) -> np.ndarray:
    """Colors (N, 3) of any number type as uint8, where ``white`` is 255. NaN becomes gray."""
    scaled = np.nan_to_num(color * np.float32(255 / white), nan=GRAY, posinf=255, neginf=0)
    rounded: np.ndarray = np.clip(np.round(scaled), 0, 255)
    return rounded.astype(np.uint8)
