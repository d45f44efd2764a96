"""Labels added to a copy of a PCD file."""

from __future__ import annotations

import io
import re
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ceco3d.data.pointclouds.earlier_result import RESULT, original_names
from ceco3d.data.pointclouds.pcd import binary_rows, compressed_content
from ceco3d.data.pointclouds.pcd_header import HEADER_BYTES, PcdHeader, parse_pcd_header
from ceco3d.utils.untrusted import NotSupportedError

ROWS = 1 << 20  # written at a time
ADDED = {"SIZE": "4 4", "TYPE": "I F", "COUNT": "1 1"}


def write_pcd(file: BinaryIO, path: Path, result: np.ndarray) -> None:
    """Write a copy of the file at ``path``, of the same kind, with the fields ``label`` and ``confidence``.

    result  (N,) RESULT
    Fields with these names get the prefix "original_".
    """
    with path.open("rb") as source:
        beginning = source.read(HEADER_BYTES)
    header = parse_pcd_header(beginning)
    file.write(_extended_header(beginning[: header.starts[0]], header))
    if header.data == "ascii":
        _write_ascii(file, path, header, result)
    elif header.data == "binary":
        _write_binary(file, path, header, result)
    else:
        _write_compressed(file, path, header, result)


def _extended_header(beginning: bytes, header: PcdHeader) -> bytes:
    changed = original_names(header.names, RESULT.names or ())
    names = " ".join([*(changed.get(name, name) for name in header.names), *(RESULT.names or ())])
    lines = []
    for line in re.split(r"\r\n|\n|\r", beginning.decode("latin-1")):
        key = (line.removeprefix("\xef\xbb\xbf").split() or [""])[0]
        if key.upper() in ("FIELDS", "COLUMNS"):
            line = f"{key} {names}"
        elif key.upper() in ADDED:
            line = f"{line.rstrip()} {ADDED[key.upper()]}"
        lines.append(line)
        if key.upper() == "DATA":
            break
    return "\n".join([*lines, ""]).encode("latin-1")


def _write_ascii(file: BinaryIO, path: Path, header: PcdHeader, result: np.ndarray) -> None:
    with path.open("rb") as source:
        source.seek(header.starts[0])
        lines = (line.rstrip() for line in io.TextIOWrapper(source, "latin-1") if not line.isspace())
        for start in range(0, len(result), ROWS):
            part = result[start : start + ROWS].tolist()
            for line, (label, confidence) in zip(islice(lines, len(part)), part, strict=True):
                file.write(f"{line} {label} {confidence:.6g}\n".encode("latin-1"))


def _write_binary(file: BinaryIO, path: Path, header: PcdHeader, result: np.ndarray) -> None:
    rows = binary_rows(path, header, [])[0].view(np.uint8).reshape(len(result), -1)
    for start in range(0, len(result), ROWS):
        part = result[start : start + ROWS]
        added = part.view(np.uint8).reshape(len(part), -1)
        file.write(np.concatenate([rows[start : start + ROWS], added], axis=1).data)


def _write_compressed(file: BinaryIO, path: Path, header: PcdHeader, result: np.ndarray) -> None:
    import lzf

    content = compressed_content(path, header)
    full = content + b"".join(np.ascontiguousarray(result[name]).tobytes() for name in result.dtype.names or ())
    packed = lzf.compress(full, len(full) + len(full) // 16 + 64)
    if packed is None or max(len(full), len(packed)) >= 1 << 32:
        raise NotSupportedError("its points cannot be compressed")
    file.write(len(packed).to_bytes(4, "little") + len(full).to_bytes(4, "little") + packed)
