"""LAS and LAZ files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ceco3d.data.pointclouds.attributes import split_columns
from ceco3d.data.pointclouds.las_header import check_las
from ceco3d.data.pointclouds.scan import Scan, make_scan
from ceco3d.utils.errors import UserError

if TYPE_CHECKING:
    import laspy

COORD = ("X", "Y", "Z")  # integers of the file: x, y, z without scale and offset
COLOR = ("red", "green", "blue")


def read_las(path: Path) -> Scan:
    """Coordinates in float64, as they are often geographic; colors if the point format has them; every dimension."""
    try:
        import laspy
    except ModuleNotFoundError as error:
        raise UserError("LAS files need laspy: pip install 'ceco3d[las]'") from error
    check_las(path)
    try:
        with laspy.open(path) as reader:
            if reader.header.are_points_compressed:
                _check_compressed(path, reader.header)
            las = reader.read()
    except laspy.errors.LaspyException as error:
        raise ValueError(str(error)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of lazrs on damaged data, which it also prints; no Exception
            raise
        raise ValueError("its compressed points are damaged") from None
    names = list(las.point_format.dimension_names)
    color = np.stack([las[name] for name in COLOR], axis=1) if set(COLOR) <= set(names) else None
    attributes: dict[str, np.ndarray] = {}
    for name in names:
        if name not in (*COORD, *COLOR):
            attributes |= split_columns(name, np.asarray(las[name]))
    return make_scan(np.stack([las.x, las.y, las.z], axis=1), color, None, attributes)


def _check_compressed(path: Path, header: laspy.LasHeader) -> None:
    """ValueError for sizes that lazrs would allocate without looking at the file."""
    try:
        import lazrs
    except ModuleNotFoundError:  # laspy has found another decompressor
        return
    description = lazrs.LazVlr(header.vlrs[header.vlrs.index("LasZipVlr")].record_data)
    if description.item_size() != header.point_format.size:
        raise ValueError("its compressed points are damaged")  # or of another size than the header says
    with path.open("rb") as file:
        file.seek(header.offset_to_point_data)
        chunks = lazrs.read_chunk_table(file, description)
    if sum(size for _, size in chunks) > path.stat().st_size:
        raise ValueError("it ends too early: its chunks of points are longer than the file")
