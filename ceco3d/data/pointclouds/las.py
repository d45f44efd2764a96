"""LAS and LAZ files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.scan import Scan, make_scan
from ceco3d.utils.errors import UserError


def read_las(path: Path) -> Scan:
    """Coordinates in float64, as they are often geographic; colors if the point format has them."""
    try:
        import laspy
    except ModuleNotFoundError as error:
        raise UserError("LAS files need laspy: pip install 'ceco3d[las]'") from error
    try:
        las = laspy.read(path)
    except laspy.errors.LaspyException as error:
        raise ValueError(str(error)) from None
    coord = np.stack([las.x, las.y, las.z], axis=1)
    if not {"red", "green", "blue"} <= set(las.point_format.dimension_names):
        return make_scan(coord, None, None)
    color = np.stack([las.red, las.green, las.blue], axis=1)
    return make_scan(
        coord, color if color.any() else None, None
    )  # all zero: the format has colors, the scanner did not
