"""Scan to scene: finite points in meters, z up, near the origin, with the features that a network needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ceco3d.data.pointclouds.axes import UP_ROTATIONS
from ceco3d.data.pointclouds.normals import estimate_normals, vertex_normals
from ceco3d.data.pointclouds.scan import GRAY, Scan, color_bytes
from ceco3d.data.scenes.labels import IGNORE
from ceco3d.data.scenes.scene import Scene
from ceco3d.sparse.maps.coordinates import LIMIT
from ceco3d.utils.errors import UserError

METERS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
USUAL_SIZE = (0.5, 200.0)  # meters: a longest side outside this range suggests a wrong unit


def to_scene(
    scan: Scan, name: str, unit: str, up: str, features: Sequence[str], voxel_size: float
) -> tuple[Scene, np.ndarray, list[str]]:
    """The finite points of ``scan`` as a scene, their mask (N,), and warnings, one line each.

    unit, up   of the file: keys of ``METERS`` and ``UP_ROTATIONS``
    features   inputs of the network; missing colors become gray, missing normals are computed
    voxel_size meters
    The scan is shifted to the origin in float64, so geographic coordinates keep their millimeters.
    UserError if no point is finite, or if the scan is too large for the voxel grid.
    """
    warnings = []
    finite = np.isfinite(scan.coord).all(1)
    if not finite.any():
        raise UserError("no point has finite coordinates")
    if not finite.all():
        warnings.append(f"{(~finite).sum():,} points with NaN or infinite coordinates stay unlabeled (label 0)")
    coord = scan.coord[finite].astype(np.float64)
    coord -= coord.min(0)
    coord = (coord * METERS[unit] @ UP_ROTATIONS[up].T).astype(np.float32)
    size = np.ptp(coord, axis=0)
    measured = " x ".join(f"{side:.4g}" for side in size) + " m"
    if size.max() / voxel_size > LIMIT / 2:  # rotated and scaled views need room
        raise UserError(f"measures {measured}, too large for the voxel grid: check unit={unit}, or remove outliers")
    if not USUAL_SIZE[0] <= size.max() <= USUAL_SIZE[1]:
        warnings.append(f"the scan measures {measured}; check unit={unit}")
    count = len(coord)
    color = torch.full((1, 1), GRAY).expand(count, 3)
    if scan.color is not None:
        color = torch.from_numpy(color_bytes(scan.color)[finite]).float()
    elif "color" in features:
        warnings.append("no colors in the scan: the network was trained with colors and sees gray instead")
    normal = torch.zeros(1, 1).expand(count, 3)
    if "normal" in features:
        normal = torch.from_numpy(_normals(scan, coord, finite, up))
    none = torch.full((1,), IGNORE).expand(count)
    return Scene(name, torch.from_numpy(coord), color, normal, none, none), finite, warnings


def _normals(scan: Scan, coord: np.ndarray, finite: np.ndarray, up: str) -> np.ndarray:
    """Unit normals (M, 3) of the finite points: from faces as in training, else from the file, else estimated."""
    triangles = scan.triangles()
    if triangles is not None:
        row = np.cumsum(finite) - 1
        return vertex_normals(coord, row[triangles[finite[triangles].all(1)]])
    if scan.normal is None:
        return estimate_normals(coord)
    normal = scan.normal[finite].astype(np.float64) @ UP_ROTATIONS[up].T
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    usable = np.isfinite(length) & (length > 0)
    unit: np.ndarray = np.divide(normal, length, out=np.zeros(normal.shape), where=usable)
    return unit.astype(np.float32)
