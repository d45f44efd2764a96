"""Vector helpers for (N, 3) points."""

from __future__ import annotations

import numpy as np


def smooth_noise(points: np.ndarray, wavelength: float, rng: np.random.Generator, waves: int = 5) -> np.ndarray:
    """(N,) values of a smooth random field in space, with a standard deviation of about 1."""
    total = np.zeros(len(points), points.dtype)
    for kx, ky, kz in rng.normal(0, 4.0 / wavelength, (waves, 3)).tolist():
        phase = rng.uniform(0, 2 * np.pi)
        total += np.sin(kx * points[:, 0] + ky * points[:, 1] + kz * points[:, 2] + phase)
    noise: np.ndarray = total * np.sqrt(2 / waves)
    return noise


def length(v: np.ndarray) -> np.ndarray:
    """(...,) Euclidean length of (..., 3) vectors."""
    norm: np.ndarray = np.sqrt(dot(v, v))
    return norm


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(...,) inner product of (..., 3) vectors; written out, since a matrix product would start BLAS threads."""
    product: np.ndarray = a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]
    return product


def cell_key(points: np.ndarray, cell: float) -> np.ndarray:
    """(N,) int64 key below 2^48 of the grid cell of each point; coordinates up to 32767 cells."""
    index = np.floor(points / cell).astype(np.int64) + (1 << 15)
    return (index[:, 0] << 32) | (index[:, 1] << 16) | index[:, 2]
