"""Read checkpoints, whatever lies beside the weights, without running code from them.

Published checkpoints hold namespaces, configurations, NumPy numbers and objects of packages that are not installed. A
file is therefore interpreted first (``inert_pickle``), which builds no object. Its tensors and plain values go into a
new archive in memory, and only that archive is given to ``torch.load(weights_only=True)``: PyTorch never parses a
structure that the file made. This takes the memory of the weights twice for a moment.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ceco3d.utils.file_kind import CUT, ZIP, describe
from ceco3d.utils.inert_pickle import KEYS, read_inert
from ceco3d.utils.tensor_refs import StorageRef, TensorRef, Unbuilt
from ceco3d.utils.untrusted import RefusedError, check_archive, one_line, read_member, reading

MAX_VALUES = 10_000_000  # in nested containers, each counted as often as it appears
MAX_BITS = 128  # of an integer
CALLED = {  # what pickles call to build an object, and its class
    "numpy.core.multiarray.scalar": "numpy.generic",
    "numpy._core.multiarray.scalar": "numpy.generic",
    "numpy.core.multiarray._reconstruct": "numpy.ndarray",
    "numpy._core.multiarray._reconstruct": "numpy.ndarray",
    "numpy._core.numeric._frombuffer": "numpy.ndarray",
    "_codecs.encode": "bytes",
}
OLD_MAGIC = 0x1950A86A20F9469CFC6C  # starts a file of torch.save before PyTorch 1.6


@dataclass
class TorchFile:
    """The tensors and plain values of a file, and the names of the classes whose objects were skipped."""

    content: Any
    skipped: set[str] = field(default_factory=set)


def read_torch_file(path: Path) -> TorchFile:
    """The content of a ``torch.save`` file, on the CPU.

    RefusedError with one line that says what the file is and what to do; ValueError if it is damaged otherwise.
    """
    with reading():
        kind = describe(path)
        if kind is not None:
            raise RefusedError(kind)
        with path.open("rb") as file:
            zipped = file.read(len(ZIP)) == ZIP
            file.seek(0)
            opened = _open_zip(file, path.stat().st_size) if zipped else _open_old(file.read())
            plain = _Plain()
            clean = _write(plain(opened.value), opened)
        return TorchFile(torch.load(clean, "cpu", weights_only=True), plain.skipped)


@dataclass
class _Opened:
    """The value in a file with references to its storages, a function that reads a storage, and the byte order."""

    value: Any
    read: Callable[[StorageRef], bytes]
    order: bytes = b"little"


def _open_zip(file: BinaryIO, size: int) -> _Opened:
    archive = zipfile.ZipFile(file)
    check_archive(archive, size, inflation=1)
    names = archive.namelist()
    pickles = [name for name in names if name.lower().rpartition("/")[2] == "data.pkl"]  # torch ignores case
    if len(pickles) != 1 or not pickles[0].endswith("data.pkl"):
        listed = one_line(", ".join(names), 80)
        raise RefusedError(
            f"a zip archive of other files ({listed}), not a checkpoint; unpack it and pass the checkpoint"
        )
    folder = pickles[0].removesuffix("data.pkl")
    if any(name.startswith(f"{folder}code/") for name in names):
        raise RefusedError("a TorchScript program; load it with torch.jit.load and save its state_dict with torch.save")

    def read(name: str) -> bytes:
        return read_member(archive, archive.getinfo(folder + name))

    value, _ = read_inert(io.BytesIO(read("data.pkl")))
    order = read("byteorder") if f"{folder}byteorder" in names else b"little"
    return _Opened(value, lambda storage: read(f"data/{storage.key}"), order)


def _open_old(data: bytes) -> _Opened:
    """A file before PyTorch 1.6: pickles of magic number, version, platform, content and keys, then the storages."""
    file = io.BytesIO(data)
    magic, _ = _next(file, len(data))
    if magic != OLD_MAGIC:
        what = one_line(magic.name if isinstance(magic, Unbuilt) else type(magic).__name__, 60)
        raise RefusedError(f"a plain pickle ({what}), not a checkpoint of PyTorch; save the state_dict with torch.save")
    _, (platform, _), (value, storages), (keys, _) = (_next(file, len(data)) for _ in range(4))
    little = not isinstance(platform, dict) or platform.get("little_endian") is not False
    places: dict[str, slice] = {}
    end = file.tell()
    for key in map(str, keys):
        start = end + 8
        count = int.from_bytes(data[end:start], "little" if little else "big")
        end = start + count * storages[key].itemsize
        if end > len(data):
            raise RefusedError(CUT)
        places[key] = slice(start, end)
    return _Opened(value, lambda storage: data[places[storage.key]], b"little" if little else b"big")


def _next(file: BinaryIO, size: int) -> tuple[Any, dict[str, StorageRef]]:
    try:
        return read_inert(file)
    except Exception as error:
        if file.tell() == size:
            raise RefusedError(CUT) from error
        raise


class _Skip:
    """Stands for a value that is left out."""


class _Plain:
    """Copies nested containers with their tensors and plain values, and counts what it leaves out.

    ValueError for containers that repeat so often that whoever walks through them would never end.
    """

    def __init__(self) -> None:
        self.skipped: set[str] = set()
        self._done: dict[int, tuple[Any, int]] = {}  # id -> the copy, and how many values are in it
        self._dicts: dict[int, dict[Any, Any]] = {}
        self._originals: list[Any] = []  # keeps ids unique

    def __call__(self, value: Any) -> Any:
        return None if (copy := self._copy(value)[0]) is _Skip else copy

    def _copy(self, value: Any) -> tuple[Any, int]:
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            return _Skip, 1
        if isinstance(value, (*KEYS, TensorRef)):
            return value, 1
        if id(value) not in self._done:
            self._originals.append(value)
            self._done[id(value)] = _Skip, 1  # within itself
            self._done[id(value)] = self._copy_container(value)
        return self._done[id(value)]

    def _copy_container(self, value: Any) -> tuple[Any, int]:
        if isinstance(value, Unbuilt):
            entries = value.items or self._dict_of(value.pairs)
            if not entries:
                self.skipped.add(one_line(CALLED.get(value.name, value.name), 60))
                return _Skip, 1
            return self._copy(entries)
        if isinstance(value, dict):
            copies = {key: self._copy(item) for key, item in value.items()}
            copy: Any = {key: item for key, (item, _) in copies.items() if item is not _Skip}
            counts = [count for _, count in copies.values()]
        elif isinstance(value, list | tuple):
            found = [self._copy(item) for item in value]
            copy = type(value)(None if item is _Skip else item for item, _ in found)
            counts = [count for _, count in found]
        else:
            return _Skip, 1
        if sum(counts) > MAX_VALUES:
            raise ValueError("its containers hold each other too often")
        return copy, 1 + sum(counts)

    def _dict_of(self, pairs: Any) -> dict[Any, Any]:
        """The dict of a list of pairs, always the same one for the same list."""
        if not isinstance(pairs, list):
            return {}
        if id(pairs) not in self._dicts:
            self._originals.append(pairs)
            self._dicts[id(pairs)] = {key: item for key, item in pairs if isinstance(key, KEYS)}
        return self._dicts[id(pairs)]


class _Writer(pickle.Pickler):
    """Pickles a value with its references as ``torch.save`` does; ``used`` lists the storages in the new order."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, protocol=2)
        self.used: dict[StorageRef, int] = {}

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, StorageRef):
            return None
        number = self.used.setdefault(value, len(self.used))
        return "storage", getattr(torch, value.kind), str(number), "cpu", value.count


def _write(content: Any, opened: _Opened) -> BinaryIO:
    """A new file of ``torch.save`` with ``content`` and the storages that its tensors use."""
    pickled, clean = io.BytesIO(), io.BytesIO()
    writer = _Writer(pickled)
    writer.dump(content)
    with zipfile.ZipFile(clean, "w") as archive:
        archive.writestr("archive/data.pkl", pickled.getvalue())
        archive.writestr("archive/byteorder", opened.order)
        archive.writestr("archive/version", "3\n")
        for storage, number in writer.used.items():
            data = opened.read(storage)
            if len(data) != storage.count * storage.itemsize:
                raise RefusedError("damaged: a storage is shorter or longer than it says; download or copy it again")
            archive.writestr(f"archive/data/{number}", data)
    clean.seek(0)
    return clean
