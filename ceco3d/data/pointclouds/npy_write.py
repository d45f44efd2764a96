"""Labels added to copies of NumPy files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ceco3d.data.pointclouds.earlier_result import original_names
from ceco3d.utils import untrusted

ROWS = 1 << 20  # written at a time
EXACT = 1 << 24  # integers up to which float32 holds all
NPY = ".npy"


def write_npy(file: BinaryIO, path: Path, result: np.ndarray) -> None:
    """Write a copy of the array at ``path`` with ``label`` and ``confidence`` as two more fields, or columns.

    result  (N,) RESULT
    Fields with these names get the prefix "original_". A table becomes float64 where labels need it.
    """
    array = untrusted.read_npy(path)
    if array.dtype.names:
        names = original_names(array.dtype.names, result.dtype.names or ())
        fields = [(names.get(name, name), array.dtype[name]) for name in array.dtype.names]
        kind = np.dtype([*fields, *((name, result.dtype[name]) for name in result.dtype.names or ())])
        _write_header(file, array.shape, kind)
    else:
        largest = int(np.abs(result["label"].astype(np.int64)).max(initial=0))
        kind = np.result_type(array.dtype, np.float64 if largest > EXACT else np.float32)
        _write_header(file, (array.shape[0], array.shape[1] + 2), kind)
    for start in range(0, len(array), ROWS):
        part, added = array[start : start + ROWS], result[start : start + ROWS]
        if array.dtype.names:
            rows = np.empty(len(part), kind)
            for (name, _), old in zip(fields, array.dtype.names, strict=True):
                rows[name] = part[old]
            for name in added.dtype.names or ():
                rows[name] = added[name]
        else:
            rows = np.column_stack([part, added["label"], added["confidence"]]).astype(kind, copy=False)
        file.write(rows.tobytes())


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)


def write_npz(file: BinaryIO, path: Path, result: np.ndarray) -> None:
    """Write a copy of the archive at ``path`` with the arrays ``label`` and ``confidence`` (N,).

    result  (N,) RESULT
    Arrays with these names get the prefix "original_".
    """
    added = [name + NPY for name in result.dtype.names or ()]
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(file, "w") as target:
        untrusted.check_archive(source, path.stat().st_size)
        members = source.infolist()
        names = original_names([member.filename for member in members], added)
        for member in members:
            copied = zipfile.ZipInfo(names.get(member.filename, member.filename), member.date_time)
            copied.compress_type = member.compress_type
            with target.open(copied, "w", force_zip64=True) as out:
                out.writelines(untrusted.member_chunks(source, member))
        compression = members[0].compress_type
        for name in result.dtype.names or ():
            info = zipfile.ZipInfo(name + NPY)
            info.compress_type = compression
            with target.open(info, "w", force_zip64=True) as out:
                np.lib.format.write_array(out, np.ascontiguousarray(result[name]), allow_pickle=False)
