"""Which axis of a file points up, and the rotation to z up, the frame of every Scene."""

from __future__ import annotations

import numpy as np

# Upward axis of the file -> (3, 3) rotation R; upright = coord @ R.T. "-y" is the frame of cameras.
UP_ROTATIONS = {
    "z": np.eye(3),
    "y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "-y": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
