"""PCD files of the Point Cloud Library: ascii, binary and binary_compressed, of version .5 and later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.attributes import split_columns
from ceco3d.data.pointclouds.number_text import read_numbers
from ceco3d.data.pointclouds.pcd_header import HEADER_BYTES, PcdHeader, parse_pcd_header
from ceco3d.data.pointclouds.ply_tables import as_type
from ceco3d.data.pointclouds.scan import Scan, scan_of_columns
from ceco3d.utils.errors import UserError

MAX_INFLATION = 100  # largest decompressed size, as a multiple of the file size
PADDING = "_"
PACKED = ("rgb", "rgba")  # 0xAARRGGBB, in the bytes of a float or an integer
NOT_A_COLOR = 0x7FC00000  # NaN as most programs write it
NEGATIVE_NAN = 0xFFC00000  # as some do; also the opaque color (192, 0, 0)


def read_pcd(path: Path) -> Scan:
    """All points, also the invalid ones (NaN) of organized clouds; colors are unpacked from ``rgb`` or ``rgba``."""
    with path.open("rb") as file:
        header = parse_pcd_header(file.read(HEADER_BYTES))
    notes = list(header.notes)
    if header.data == "ascii":
        fields = _read_ascii(path, header, notes)
    elif header.data == "binary":
        fields = _read_binary(path, header, notes)
    else:
        fields = _read_compressed(path, header)
    columns: dict[str, np.ndarray] = {}
    for name, values in fields.items():
        if name.lower() in PACKED:
            columns |= _colors(values, name, columns, notes)
        else:
            columns |= split_columns(name, values[:, 0] if values.shape[1] == 1 else values)
    return scan_of_columns(columns, notes=notes)


def _read_ascii(path: Path, header: PcdHeader, notes: list[str]) -> dict[str, np.ndarray]:
    text = read_numbers(path, header.starts[0])
    if not header.points:
        return {}
    widths = text.per_line[: header.points]
    if len(widths) < header.points:
        raise ValueError(f"it ends too early: {len(widths)} of {header.points} points")
    counts = next((counts for counts in header.counts if (widths == sum(counts)).all()), None)
    if counts is None:
        at = int(np.flatnonzero(widths != sum(header.counts[0]))[0])
        raise ValueError(f"{widths[at]} numbers in the row of point {at + 1} instead of {sum(header.counts[0])}")
    if len(text.per_line) > header.points:
        notes.append(f"{len(text.per_line) - header.points:,} lines behind the last point are not read")
    table = text.numbers[: header.points * sum(counts)].reshape(header.points, -1)
    ends = np.cumsum(counts)
    return {
        name: as_type(table[:, end - count : end], kind)
        for name, kind, count, end in zip(header.names, header.kinds, counts, ends, strict=True)
        if count and not name.startswith(PADDING)
    }


def _read_binary(path: Path, header: PcdHeader, notes: list[str]) -> dict[str, np.ndarray]:
    rows, counts = binary_rows(path, header, notes)
    if not header.points or not rows.itemsize:
        return {}
    return {
        name: rows[f"f{i}"].reshape(header.points, count)
        for i, (name, count) in enumerate(zip(header.names, counts, strict=True))
        if count and not name.startswith(PADDING)
    }


def binary_rows(path: Path, header: PcdHeader, notes: list[str]) -> tuple[np.ndarray, Sequence[int]]:
    """The points (N,) of a binary file, see ``PcdHeader.row``, and how many values each field has."""
    size = path.stat().st_size
    layouts = [(start, counts, header.row(counts)) for counts in header.counts for start in header.starts]
    needed = [start + header.points * row.itemsize for start, _, row in layouts]
    start, counts, row = layouts[needed.index(size) if size in needed else 0]
    surplus = size - start - header.points * row.itemsize
    if surplus < 0:
        raise ValueError(f"it ends too early: {(size - start) // row.itemsize} of {header.points} points")
    if surplus and header.points >= 8 and surplus % header.points == 0:
        raise ValueError(f"its points are {surplus // header.points} bytes longer than the header says")
    if surplus > 2:
        notes.append(f"{surplus:,} bytes behind the last point are not read")
    if not header.points or not row.itemsize:
        return np.empty(header.points, row), counts
    return np.memmap(path, row, "r", start, (header.points,)), counts


def _read_compressed(path: Path, header: PcdHeader) -> dict[str, np.ndarray]:
    """Fields one after the other, each with the values of all points; padding is left out."""
    content = compressed_content(path, header)
    if not content:
        return {}
    sizes = _compressed_sizes(header)
    which = sizes.index(len(content))
    counts, padded = header.counts[which // 2], which % 2 == 0
    fields, at = {}, 0
    for name, kind, count in zip(header.names, header.kinds, counts, strict=True):
        padding = name.startswith(PADDING)
        if not count or (padding and not padded):
            continue
        values = np.frombuffer(content, f"<{kind}", header.points * count, at)
        at += values.nbytes
        if not padding:
            fields[name] = values.reshape(header.points, count)
    return fields


def _compressed_sizes(header: PcdHeader) -> list[int]:
    """The bytes that all points may have: for each of ``header.counts``, with padding and without."""
    return [
        header.points
        * sum(n * int(kind[1]) for n, kind, name in zip(counts, header.kinds, header.names, strict=True) if keep(name))
        for counts in header.counts
        for keep in (lambda name: True, lambda name: not name.startswith(PADDING))
    ]


def compressed_content(path: Path, header: PcdHeader) -> bytes:
    """The decompressed points of a file, field by field."""
    try:
        import lzf
    except ModuleNotFoundError as error:
        raise UserError("compressed PCD files need python-neo-lzf: pip install 'ceco3d[pcd]'") from error
    data = path.read_bytes()[header.starts[0] :]
    packed, full = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4))
    sizes = _compressed_sizes(header)
    if 8 + packed > len(data):
        raise ValueError("it ends too early")
    if full > MAX_INFLATION * len(data):
        raise ValueError("it would decompress to over 100 times its size")
    if full not in sizes:
        raise ValueError(f"{full} bytes instead of {sizes[0]}")
    if not full:
        return b""
    content = lzf.decompress(data[8 : 8 + packed], full)
    if content is None or len(content) != full:
        raise ValueError("it cannot be decompressed")
    return content


def _colors(values: np.ndarray, name: str, columns: dict[str, np.ndarray], notes: list[str]) -> dict[str, np.ndarray]:
    """Columns r, g, b (and alpha of ``rgba``) of packed colors; NaN where they are missing."""
    if values.shape[1] in (3, 4):  # not packed
        return dict(zip(("r", "g", "b", "alpha"), values.T, strict=False))
    packed = values[:, 0]
    if {"r", "g", "b"} & {other.lower() for other in columns} or values.shape[1] != 1 or packed.itemsize < 4:
        return {f"packed_{name}": packed}
    missing = np.zeros(len(packed), bool)
    if packed.dtype.kind == "f":
        whole = packed[np.isfinite(packed)]
        if whole.size and whole.max() >= 1 and whole.min() >= 0 and whole.max() < 2**32 and (whole % 1 == 0).all():
            missing = ~np.isfinite(packed)  # an integer that the header calls a float: real ones are tiny or huge
            bits = np.where(missing, 0, packed).astype(np.uint32)
        else:
            bits = np.ascontiguousarray(packed, np.float32).view(np.uint32)
            missing = bits == NOT_A_COLOR
            opaque = (bits[~missing & (bits != NEGATIVE_NAN)] >> 24 == 255).all() and not missing.any()
            missing |= (bits == NEGATIVE_NAN) & (not opaque or (bits == NEGATIVE_NAN).all())
    else:
        bits = np.ascontiguousarray(packed).astype(np.uint32)
    alpha = {"alpha": (bits >> 24).astype(np.uint8)} if name.lower() == "rgba" else {}
    if len(missing) and missing.all():
        notes.append(f"{name} is NaN at all points: no colors")
        return {}
    channels = {key: (bits >> shift & 255).astype(np.uint8) for key, shift in zip("rgb", (16, 8, 0), strict=True)}
    if missing.any():
        notes.append(f"{missing.sum():,} points have NaN as {name}: they become gray")
        channels = {key: np.where(missing, np.float32(np.nan), channel) for key, channel in channels.items()}
    return channels | alpha
