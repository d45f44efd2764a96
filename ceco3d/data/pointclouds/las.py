"""LAS and LAZ files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.attributes import split_columns
from ceco3d.data.pointclouds.scan import Scan, make_scan
from ceco3d.utils.errors import UserError

COORD = ("X", "Y", "Z")  # integers of the file: x, y, z without scale and offset
COLOR = ("red", "green", "blue")


def read_las(path: Path) -> Scan:
    """Coordinates in float64, as they are often geographic; colors if the point format has them; every dimension."""
    try:
        import laspy
    except ModuleNotFoundError as error:
        raise UserError("LAS files need laspy: pip install 'ceco3d[las]'") from error
    try:
        las = laspy.read(path)
    except laspy.errors.LaspyException as error:
        raise ValueError(str(error)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of lazrs on damaged data; not an Exception
            raise
        raise ValueError("its compressed points are damaged") from None
    names = list(las.point_format.dimension_names)
    color = np.stack([las[name] for name in COLOR], axis=1) if set(COLOR) <= set(names) else None
    attributes: dict[str, np.ndarray] = {}
    for name in names:
        if name not in (*COORD, *COLOR):
            attributes |= split_columns(name, np.asarray(las[name]))
    return make_scan(np.stack([las.x, las.y, las.z], axis=1), color, None, attributes)
