"""From a scan to a scene that a network can be fed with: finite points in metres, z up, near the origin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ceco3d.data.pointclouds.normals import estimate_normals, vertex_normals
from ceco3d.data.pointclouds.ply import read_triangles
from ceco3d.data.pointclouds.scan import GREY, Scan
from ceco3d.data.scenes.labels import IGNORE
from ceco3d.data.scenes.scene import Scene
from ceco3d.sparse.maps.coordinates import LIMIT
from ceco3d.utils.errors import UserError

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
# The axis of the file that points up, and the rotation that makes it z. "-y" is the frame of cameras.
AXES = {
    "z": np.eye(3),
    "y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "-y": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
USUAL_SIZE = (0.5, 200.0)  # metres that the longest side of a scan can be expected between


def scene_of(
    scan: Scan, name: str, unit: str, up: str, features: Sequence[str], voxel_size: float
) -> tuple[Scene, np.ndarray, list[str]]:
    """The finite points of ``scan`` as a scene, the mask (N,) of them, and warnings, one line each.

    unit, up   of the file: keys of ``METRES`` and ``AXES``
    features   what the network sees; colours and normals that are missing but needed are made up
    voxel_size metres
    The shift to the origin is done in float64, so that geographic coordinates keep their millimetres.
    UserError when no point is finite, or the scan is too large for the voxels.
    """
    warnings = []
    finite = np.isfinite(scan.coord).all(1)
    if not finite.any():
        raise UserError("no point has finite coordinates")
    if not finite.all():
        warnings.append(f"{(~finite).sum():,} points with NaN or infinite coordinates stay unlabelled (label 0)")
    coord = scan.coord[finite].astype(np.float64)
    coord -= coord.min(0)
    coord = (coord * METRES[unit] @ AXES[up].T).astype(np.float32)
    size = np.ptp(coord, axis=0)
    measured = " x ".join(f"{side:.4g}" for side in size) + " m"
    if size.max() / voxel_size > LIMIT / 2:  # turned and scaled views need room
        raise UserError(f"is {measured} large: check unit={unit}, or remove outlying points")
    if not USUAL_SIZE[0] <= size.max() <= USUAL_SIZE[1]:
        warnings.append(f"the scan is {measured} large; check unit={unit}")
    count = len(coord)
    color = torch.full((1, 1), GREY).expand(count, 3)
    if scan.color is not None:
        color = torch.from_numpy(scan.color[finite]).float()
    elif "color" in features:
        warnings.append("no colours: the network, which was trained with colours, sees grey")
    normal = torch.zeros(1, 1).expand(count, 3)
    if "normal" in features:
        normal = torch.from_numpy(_normals(scan, coord, finite, up))
    none = torch.full((1,), IGNORE).expand(count)
    return Scene(name, torch.from_numpy(coord), color, normal, none, none), finite, warnings


def _normals(scan: Scan, coord: np.ndarray, finite: np.ndarray, up: str) -> np.ndarray:
    """Unit normals (M, 3) of the finite points: of the faces as in training, else the file's, else estimated."""
    triangles = None if scan.ply is None else read_triangles(scan.ply)
    if triangles is not None:
        row = np.cumsum(finite) - 1
        return vertex_normals(coord, row[triangles[finite[triangles].all(1)]])
    if scan.normal is None:
        return estimate_normals(coord)
    normal = scan.normal[finite].astype(np.float64) @ AXES[up].T
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    usable = np.isfinite(length) & (length > 0)
    return np.divide(normal, length, out=np.zeros(normal.shape), where=usable).astype(np.float32)
