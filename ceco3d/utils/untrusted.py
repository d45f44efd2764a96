"""Readers of untrusted files, which believe no number in them.

For any bytes, these functions return a value or raise ValueError with one printable line (OSError if the system cannot
read the file). They allocate at most a multiple of the file size.
"""

from __future__ import annotations

import copy
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

MAX_INFLATION = 100  # largest decompressed size of an archive as a multiple of its size; real points reach about 10
HEADER_BYTES = 1 << 16  # of an array; NumPy's own limit is lower
LOCAL_HEADER = 30  # bytes before the name of a member, at least
ENCRYPTED = 0x41  # flags of a member
CHUNK = 1 << 20  # bytes decompressed at a time
STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # other methods can ask for gigabytes up front


class RefusedError(ValueError):
    """A file that is not read for a known reason: it is of another kind, or its objects may run code or fill memory."""


class NotSupportedError(ValueError):
    """An intact file of a kind that is not read; the text says which, and what to do."""


@contextmanager
def reading() -> Iterator[None]:
    """Turn the errors of a parser, which can be nearly any on damaged input, into ValueError with one line."""
    try:
        yield
    except RefusedError:
        raise
    except OSError as error:
        if error.errno is not None:  # from the system, not from a parser
            raise
        raise ValueError(one_line(error)) from error
    except Exception as error:
        raise ValueError(one_line(error)) from error


def one_line(value: object, length: int = 160) -> str:
    """The text of an error, or of a value from a file, as one short line without control characters."""
    text = " ".join(str(value).split()) or type(value).__name__
    return ascii(text[:length])[1:-1][:length]


def read_json(path: Path) -> Any:
    """The value in a JSON file."""
    with reading():
        return json.loads(path.read_bytes())


def read_yaml(path: Path) -> Any:
    """The plain value in a YAML file. Aliases are refused: with them a short file can mean a huge value."""
    with reading():
        return yaml.load(path.read_bytes(), _NoAliasLoader)


class _NoAliasLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has aliases")
        return super().compose_node(parent, index)


def read_npy(path: Path) -> np.ndarray:
    """The array in an ``.npy`` file, memory-mapped. Writing to the array does not change the file."""
    with reading(), path.open("rb") as file:
        beginning = io.BytesIO(file.read(HEADER_BYTES))
        shape, order, dtype = _npy_header(beginning)
        start, size = beginning.tell(), os.fstat(file.fileno()).st_size
        promised = _byte_count(shape, dtype)
        if promised > size - start:
            raise ValueError(f"its header promises {promised:,} bytes, but {size - start:,} follow")
        return np.memmap(path, dtype, "c", start, shape, order)


def read_npz(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays ``names`` of an ``.npz`` file."""
    with reading(), zipfile.ZipFile(path) as archive:
        check_archive(archive, path.stat().st_size)
        missing = [name for name in names if f"{name}.npy" not in archive.namelist()]
        if missing:
            raise ValueError(f"no array {missing[0]}")
        return {name: array_in(read_member(archive, archive.getinfo(f"{name}.npy"))) for name in names}


def check_archive(archive: zipfile.ZipFile, size: int, inflation: int = MAX_INFLATION) -> None:
    """ValueError if the directory of an archive of ``size`` bytes cannot be honest or asks for too much.

    inflation  the members may decompress to this multiple of ``size`` together; they do if ``read_member`` returns
    """
    members = sorted(archive.infolist(), key=lambda member: member.header_offset)
    if any(member.compress_type not in STORED for member in members):
        raise ValueError("its members are compressed by an unusual method")
    if any(member.flag_bits & ENCRYPTED for member in members):
        raise ValueError("its members are encrypted")
    if len(set(archive.namelist())) < len(members):
        raise ValueError("several of its members have the same name")
    if any(member.compress_size > size for member in members):  # zipfile allocates it
        raise ValueError("a member is longer than the archive")
    ends = [member.header_offset + LOCAL_HEADER + len(member.filename) + member.compress_size for member in members]
    if any(end > member.header_offset for end, member in zip(ends, members[1:], strict=False)):
        raise ValueError("its members overlap")
    if sum(member.file_size for member in members) > inflation * size:
        raise ValueError(f"its members would decompress to over {inflation} times its size")


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member of a checked archive; ValueError unless it has as many bytes as it promises."""
    return b"".join(member_chunks(archive, member, member.file_size + 1))  # one chunk needs no copy


def member_chunks(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int = CHUNK) -> Iterator[bytes]:
    """The bytes of a member of a checked archive; ValueError as soon as it decompresses to more than it promises.

    ``ZipFile`` itself cuts them to the promised size without a word, after it has decompressed up to 2 GiB.
    """
    name = one_line(member.filename, 40)
    endless = copy.copy(member)
    endless.file_size = 1 << 62
    del endless.CRC  # compared below
    total = checksum = 0
    with archive.open(endless) as file:
        while piece := file.read(min(size, member.file_size - total + 1)):
            total, checksum = total + len(piece), zlib.crc32(piece, checksum)
            if total > member.file_size:
                raise ValueError(f"{name} decompresses to more than the {member.file_size:,} bytes that it promises")
            yield piece
    if total < member.file_size:
        raise ValueError(f"{name} has {total:,} of the {member.file_size:,} bytes that it promises")
    if checksum != member.CRC:
        raise ValueError(f"the checksum of {name} differs")


def array_in(data: bytes) -> np.ndarray:
    """The array in the bytes of an ``.npy`` file. ValueError unless it has exactly the size in its header."""
    with reading():
        file = io.BytesIO(data)
        shape, order, dtype = _npy_header(file)
        promised, found = _byte_count(shape, dtype), len(data) - file.tell()
        if promised != found:
            raise ValueError(f"its header promises {promised:,} bytes, but {found:,} follow")
        array: np.ndarray = np.frombuffer(data, dtype, math.prod(shape), file.tell()).copy()
        return array.reshape(shape, order=order)


def _byte_count(shape: Sequence[int], dtype: np.dtype) -> int:
    """The bytes of an array. ValueError for lengths without bytes behind them, which a caller may allocate."""
    count = math.prod(shape) * dtype.itemsize
    if not count and max(shape, default=0) > HEADER_BYTES:
        raise ValueError(f"an array of shape {one_line(shape, 40)} without values")
    return count


def _npy_header(file: io.BytesIO) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    """Shape, order and dtype. Only NumPy's header parser is used: its reader allocates before it compares sizes."""
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, fortran, dtype = read_header[np.lib.format.read_magic(file)](file)
    except MemoryError:  # what Python's parser raises for hundreds of brackets
        raise ValueError("its header is nested too deeply") from None
    if dtype.hasobject:
        raise ValueError("an array of pickled objects")
    if min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape}")
    return shape, "F" if fortran else "C", dtype
