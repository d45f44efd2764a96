"""Compare the sizes in the header of a LAS or LAZ file with the file, before laspy allocates them or loops over them.

Source: LAS specification 1.4 R15 and, for the chunk table of LAZ, the LASzip paper (Isenburg 2013).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

MAX_INFLATION = 100  # largest decompressed size of the points as a multiple of the file size; real scans reach about 20
SMALL = 1 << 25  # bytes that points may decompress to anyway: equal points shrink a thousandfold
RECORD, LONG_RECORD = 54, 60  # bytes of the header of a variable length record, and of an extended one
COMPRESSED = 0xC0  # bits of the point format
CHUNKED = 8  # bytes of an offset to the chunk table


def check_las(path: Path) -> None:
    """ValueError if the file has less than its header promises."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        header = file.read(255).ljust(255, b"\0")
        if not header.startswith(b"LASF"):
            raise ValueError("it does not begin as a LAS file")
        start, records, kind, length, count = struct.unpack_from("<LLBHL", header, 96)
        if header[25] >= 4:  # version 1.4
            long_start, long_records, count = struct.unpack_from("<QLQ", header, 235)
            _check_long_records(file, long_start, long_records, size)
        if records * RECORD > size or start > size:
            raise ValueError("it ends too early: within the records before the points")
        if kind & COMPRESSED:
            _check_chunks(file, start, size)
            if count * length > max(SMALL, MAX_INFLATION * size):
                raise ValueError(f"its {count:,} points would decompress to over {MAX_INFLATION} times its size")
        elif count * length > size - start:
            raise ValueError(f"it ends too early: {(size - start) // length:,} of {count:,} points")


def _check_long_records(file: BinaryIO, start: int, count: int, size: int) -> None:
    """The records behind the points, each with its own length."""
    if count * LONG_RECORD > size:
        raise ValueError(f"it ends too early: it promises {count:,} records behind the points")
    for _ in range(count):
        file.seek(min(start, size))
        header = file.read(LONG_RECORD)
        start += LONG_RECORD
        if len(header) == LONG_RECORD:
            start += struct.unpack_from("<Q", header, 20)[0]
        if start > size:
            raise ValueError("it ends too early: within the records behind the points")


def _check_chunks(file: BinaryIO, start: int, size: int) -> None:
    """The number of chunks in the table: lazrs makes room for as many, and ends the process if it cannot."""
    file.seek(start)
    table = int.from_bytes(file.read(CHUNKED), "little", signed=True)
    if table == -1:  # written as a stream: the offset comes last
        file.seek(max(size - CHUNKED, 0))
        table = int.from_bytes(file.read(CHUNKED), "little", signed=True)
    file.seek(min(max(table, 0), size))
    _, chunks = struct.unpack("<LL", file.read(8).ljust(8, b"\0"))
    if chunks > size:
        raise ValueError(f"it ends too early: it promises {chunks:,} chunks of points")
