"""Scan to scene: usable points in meters, z up, near the origin, with the features that a network needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ceco3d.data.labels import IGNORE
from ceco3d.data.pointclouds.axes import METERS, UP_ROTATIONS
from ceco3d.data.pointclouds.columns import intensity_shares, scan_intensity
from ceco3d.data.pointclouds.normals import vertex_normals
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.data.pointclouds.usable import coarse_step, usable_points
from ceco3d.data.scenes.colors import GRAY, color_bytes, has_colors
from ceco3d.data.scenes.height import height_above_ground
from ceco3d.data.scenes.normals import directions, estimate_normals
from ceco3d.data.scenes.scene import Scene
from ceco3d.sparse.maps.coordinates import LIMIT
from ceco3d.utils.errors import UserError

USUAL_SIZE = (0.5, 200.0)  # meters: a longest side outside this range suggests a wrong unit


def to_scene(
    scan: Scan, name: str, unit: str, up: str, features: Sequence[str], voxel_size: float
) -> tuple[Scene, np.ndarray, list[str]]:
    """The usable points of ``scan`` as a scene, their mask (N,), and warnings, one line each.

    unit, up   of the file: keys of ``METERS`` and ``UP_ROTATIONS``
    features   inputs of the network; missing colors become gray, missing normals are computed
    voxel_size meters
    The scan is shifted to the origin in float64, so geographic coordinates keep their millimeters.
    UserError if no point is finite, or if the scan is too large for the voxel grid.
    """
    usable, warnings = usable_points(scan.coord)
    warnings = [*scan.notes, *warnings]
    if not usable.any():
        raise UserError("no point has finite coordinates")
    step = coarse_step(scan.coord[usable], voxel_size / METERS[unit])
    if step:
        warnings.append(
            f"coordinates this large are {step:g} {unit} apart in 32 bits, more than half a voxel ({voxel_size:g} m): "
            "details are lost; export it with 64-bit coordinates, or shifted to the origin"
        )
    coord = scan.coord[usable].astype(np.float64)
    coord -= coord.min(0)
    coord = (coord * METERS[unit] @ UP_ROTATIONS[up].T).astype(np.float32)
    size = np.ptp(coord, axis=0)
    measured = " x ".join(f"{side:.4g}" for side in size) + " m"
    if size.max() / voxel_size > LIMIT / 2:  # rotated and scaled views need room
        raise UserError(f"measures {measured}, too large for the voxel grid: check unit={unit}, or remove outliers")
    if not USUAL_SIZE[0] <= size.max() <= USUAL_SIZE[1]:
        warnings.append(f"the scan measures {measured}; check unit={unit}")
    count = len(coord)
    color, why_gray = _colors(scan, usable)
    if why_gray and {"color", "rgb"} & set(features):
        warnings.append(f"{why_gray}: the network was trained with colors and sees gray instead")
    normal = torch.zeros(1, 1).expand(count, 3)
    if "normal" in features:
        found, why_estimated = _normals(scan, coord, usable, up)
        normal = torch.from_numpy(found)
        if why_estimated:
            warnings.append(f"{why_estimated}: the network was trained with normals and sees estimates from neighbors")
    none = torch.full((1,), IGNORE).expand(count)
    scene = Scene(name, torch.from_numpy(coord), color, normal, none, none)
    if "intensity" in features:
        intensity, why_medium = _intensity(scan, usable)
        scene = scene.replace(intensity=intensity)
        if why_medium:
            warnings.append(f"{why_medium}: the network was trained with intensities and sees a medium one instead")
    if "height" in features:
        scene = scene.replace(height=torch.from_numpy(height_above_ground(coord)))
    return scene, usable, warnings


def _intensity(scan: Scan, usable: np.ndarray) -> tuple[torch.Tensor, str]:
    """Intensity (M,) float32 0..1 of the usable points; 0.5, and why, if the scan has none."""
    values = scan_intensity(scan)
    if values is None:
        return torch.full((int(usable.sum()),), 0.5), "no intensities in the scan"
    return torch.from_numpy(intensity_shares(values)[usable]), ""


def _colors(scan: Scan, usable: np.ndarray) -> tuple[torch.Tensor, str]:
    """Colors (M, 3) float32 0..255 of the usable points; gray, and why, if the scan has none."""
    color = None if scan.color is None else color_bytes(scan.color)[usable]
    if color is not None and has_colors(color):
        return torch.from_numpy(color).float(), ""
    why = "no colors in the scan" if color is None else f"every point has the color {tuple(color[0].tolist())}"
    return torch.full((1, 1), GRAY).expand(int(usable.sum()), 3), why


def _normals(scan: Scan, coord: np.ndarray, usable: np.ndarray, up: str) -> tuple[np.ndarray, str]:
    """Unit normals (M, 3) float32: from faces as in training, else from the file; else estimated, and why."""
    triangles = scan.triangles()
    if triangles is not None and len(triangles):
        row = np.cumsum(usable) - 1
        return vertex_normals(coord, row[triangles[usable[triangles].all(1)]]), ""
    if scan.normal is None:
        return estimate_normals(coord), "neither faces nor normals in the scan"
    normal = directions(scan.normal[usable].astype(np.float64) @ UP_ROTATIONS[up].T)
    if not normal.any():
        return estimate_normals(coord), "no faces in the scan, and all normals are zero"
    return normal, ""
