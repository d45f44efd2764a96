"""PCD files of the Point Cloud Library: ascii, binary and binary_compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.scan import Scan, scan_of_columns
from ceco3d.utils.errors import UserError

HEADER_BYTES = 1 << 16
HEADER_LINES = 9  # before DATA
MAX_INFLATION = 100  # largest decompressed size, as a multiple of the file size


def read_pcd(path: Path) -> Scan:
    """All points, also the invalid ones (NaN) of organized clouds; colors are unpacked from ``rgb`` or ``rgba``."""
    try:
        from pypcd4.pypcd4 import PointCloud
    except ModuleNotFoundError as error:
        raise UserError("PCD files need pypcd4: pip install 'ceco3d[pcd]'") from error
    _check_size(path)
    cloud = PointCloud.from_path(path)
    records = np.atleast_1d(cloud.pc_data)
    if len(records) < cloud.metadata.points:
        raise ValueError("it ends too early")
    columns = {name: records[name] for name in records.dtype.names or ()}
    packed = next((columns.pop(name) for name in ("rgb", "rgba") if name in columns), None)
    if packed is not None:  # 0x00RRGGBB, in the bytes of a float or an integer
        bits = np.ascontiguousarray(packed).view(np.uint32)
        columns |= {name: (bits >> shift & 255).astype(np.uint8) for name, shift in zip("rgb", (16, 8, 0), strict=True)}
    return scan_of_columns(columns)


def _check_size(path: Path) -> None:
    """ValueError if the header promises more than the file can hold, because pypcd4 allocates it before it reads."""
    with path.open("rb") as file:
        text, _, data = file.read(HEADER_BYTES).partition(b"\nDATA")
    lines, (kind, _, data) = text.splitlines(), data.partition(b"\n")
    if kind.strip() not in (b"ascii", b"binary", b"binary_compressed"):
        raise ValueError("no DATA ascii, binary or binary_compressed")
    entries = [line.split() for line in lines if line.strip() and not line.strip().startswith(b"#")]
    if len(entries) > HEADER_LINES:  # pypcd4 would not reach DATA
        raise ValueError("too many header lines")
    header = {words[0]: words[1:] for words in entries}
    sizes, counts = (list(map(int, header[key])) for key in (b"SIZE", b"COUNT"))
    points = max(int(header[b"POINTS"][0]), int(header[b"WIDTH"][0]) * int(header[b"HEIGHT"][0]))
    needed = points * sum(size * count for size, count in zip(sizes, counts, strict=True))
    if b"compressed" in kind:  # the data start with both sizes, compressed and not
        needed = max(needed, int.from_bytes(data[4:8], "little"))
    if min(points, *sizes, *counts) < 0 or needed > MAX_INFLATION * path.stat().st_size:
        raise ValueError("it ends too early")
