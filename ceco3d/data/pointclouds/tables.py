"""Tables of numbers, one row per point: what their columns mean."""

from __future__ import annotations

import numpy as np

from ceco3d.data.pointclouds.scan import Scan, make_scan


def scan_of_table(table: np.ndarray) -> Scan:
    """A scan from a table (N, C) without column names; ValueError with fewer than three columns.

    3 columns  x y z
    6          x y z color, or x y z normal if a value is negative
    7          x y z intensity color
    9 or more  x y z color normal ...
    Tables with 4, 5 or 8 columns give only x y z.
    """
    columns = table.shape[1] if table.ndim == 2 else 0
    if columns < 3:
        raise ValueError(f"a table of shape {table.shape}, not (points, 3 or more)")
    coord, color, normal = table[:, :3], None, None
    if columns == 7:
        color = table[:, 4:7]
    elif columns == 6 and (table[:, 3:6] < 0).any():
        normal = table[:, 3:6]
    elif columns == 6 or columns >= 9:
        color = table[:, 3:6]
        normal = table[:, 6:9] if columns >= 9 else None
    return make_scan(coord, color, normal)
