"""The unit of a file, and which axis points up: factors and rotations to meters and z up, the frame of every Scene."""

from __future__ import annotations

import numpy as np

METERS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
# Upward axis of the file -> (3, 3) rotation R; upright = coord @ R.T. "-y" is the frame of cameras.
UP_ROTATIONS = {
    "z": np.eye(3),
    "y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "-y": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
