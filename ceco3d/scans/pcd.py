"""PCD files of the Point Cloud Library: ascii, binary and binary_compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ceco3d.errors import UserError
from ceco3d.scans.scan import Scan, scan_of_columns


def read_pcd(path: Path) -> Scan:
    """All points, the invalid ones of organised clouds (NaN) as well; colours are unpacked from ``rgb`` or ``rgba``."""
    try:
        from pypcd4 import PointCloud
    except ModuleNotFoundError as error:
        raise UserError("PCD files need pypcd4: pip install 'ceco3d[pcd]'") from error
    cloud = PointCloud.from_path(path)
    records = np.atleast_1d(cloud.pc_data)
    if len(records) < cloud.metadata.points:
        raise ValueError("it ends too early")
    columns = {name: records[name] for name in records.dtype.names}
    packed = next((columns.pop(name) for name in ("rgb", "rgba") if name in columns), None)
    if packed is not None:  # 0x00RRGGBB, in the bytes of a float or an integer
        bits = np.ascontiguousarray(packed).view(np.uint32)
        columns |= {name: (bits >> shift & 255).astype(np.uint8) for name, shift in zip("rgb", (16, 8, 0), strict=True)}
    return scan_of_columns(columns)
