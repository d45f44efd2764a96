"""The pinhole camera that scenes are drawn and views are chosen with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRAIGHT = 1e-6  # sine of the angle to the vertical below which a camera looks straight up or down


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the frame of a scene (meters, z up).

    eye   (3,) position
    axes  (3, 3) unit rows: right, down, forward
    """

    eye: np.ndarray
    axes: np.ndarray

    @classmethod
    def looking(cls, eye: np.ndarray, forward: np.ndarray) -> Camera:
        """Return the camera at ``eye`` (3,) that looks along ``forward`` (3,), of any length, with a level horizon."""
        forward = np.asarray(forward) / np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        length = np.linalg.norm(right)
        right = right / length if length >= STRAIGHT else np.array([1.0, 0.0, 0.0])  # straight down: any heading
        return cls(np.asarray(eye), np.stack([right, np.cross(forward, right), forward]))


def focal_length(pixels: int, field_of_view: float) -> float:
    """Return the focal length in pixels of an image whose side of ``pixels`` spans ``field_of_view`` (radians)."""
    return float(pixels / 2 / np.tan(field_of_view / 2))
