"""``h5py.File`` of MinkowskiEngine's classification example: two made-up shapes in place of ModelNet40."""

from __future__ import annotations

import numpy as np


class File(dict[str, np.ndarray]):
    """16 balls (label 0) and 16 boxes (label 1) of 512 points."""

    def __init__(self, path: str) -> None:
        rng = np.random.default_rng(0)
        points = rng.normal(size=(32, 512, 3))
        points[:16] /= np.linalg.norm(points[:16], axis=-1, keepdims=True)
        points[16:] /= np.abs(points[16:]).max(-1, keepdims=True)
        super().__init__(data=0.5 * points, label=np.repeat([[0], [1]], 16, axis=0))

    def __enter__(self) -> File:
        return self

    def __exit__(self, *error: object) -> None:
        pass
