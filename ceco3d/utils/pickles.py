"""Pickles of tensors and arrays, as ``torch.save`` and ``pickle`` write them, read without running code from them.

``torch.load(weights_only=True)`` runs no code either, but it calls what allocates any number of bytes that a file names
(``bytearray``, ``FloatTensor``), and NumPy's own unpickling trusts the file. So the calls are looked through first, and
arrays are rebuilt by functions of this module. Errors are ValueError with one line, RefusedError for other objects.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from ceco3d.utils.untrusted import RefusedError, check_archive, one_line, reading

TENSOR_CALLS = re.compile(
    r"collections (OrderedDict|Counter)|(builtins|__builtin__) set|_codecs encode|"
    r"torch ([A-Z][A-Za-z\d]+Storage|Size|device|[a-z]+\d*)|"
    r"torch\._utils _rebuild_(tensor_v2|parameter|parameter_with_state)|torch\.nn\.parameter Parameter"
)
ARRAY_CALLS = re.compile(r"numpy (ndarray|dtype)|numpy\._?core\.(multiarray (_reconstruct|scalar)|numeric _frombuffer)")
SLOW_CODECS = ("punycode", "idna")  # quadratic in the length of the text, or worse
OLD_PICKLES = 5  # magic number, version, platform, content, keys of storages: the format before PyTorch 1.6
CONTENT = 3  # number of the pickle with the content
ZIP = b"PK\x03\x04"


class Dtype:
    """Stands in for numpy.dtype: numbers only, and their byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        self.value = np.dtype(code)
        if self.value.kind not in "fiub":
            raise RefusedError(f"an array of {self.value}")

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class Array:
    """Stands in for numpy.ndarray, with the bytes that are in the file."""

    def __init__(self, *_: Any) -> None:
        self.value = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        data = data.encode("latin1") if isinstance(data, str) else data
        self.value = _frombuffer(data, dtype, shape, "F" if fortran else "C")

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.value.astype(dtype or self.value.dtype)


def _frombuffer(data: Any, dtype: Dtype, shape: tuple, order: str) -> np.ndarray:
    return np.frombuffer(bytes(data), dtype.value).reshape(shape, order=order)


def _scalar(dtype: Dtype, data: bytes) -> np.generic:
    return np.frombuffer(data, dtype.value)[0]


# What pickles of arrays call, and what is called instead. NumPy renamed its core in version 2.
ARRAYS = {
    "numpy.ndarray": Array,
    "numpy.dtype": Dtype,
    "numpy.core.multiarray._reconstruct": Array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _frombuffer,
}


def read_torch(path: Path, arrays: bool = False) -> Any:
    """The content of a file of ``torch.save``, on the CPU; with ``arrays`` NumPy's may be in it (as ``Array``)."""
    with reading(), path.open("rb") as file:
        return _load_torch(file, arrays)


def read_pickle(path: Path) -> Any:
    """The content of a plain pickle of arrays (``Array``), tensors and plain containers, or of a file of torch.save."""
    with reading(), path.open("rb") as file:
        if file.read(len(ZIP)) == ZIP:
            return _load_torch(file, arrays=True)
        file.seek(0)
        data = file.read()
        deque(pickletools.genops(data), maxlen=0)  # compares the lengths in it with what follows
        return _Unpickler(io.BytesIO(data), encoding="latin1").load()


def _load_torch(file: BinaryIO, arrays: bool) -> Any:
    file.seek(0)
    zipped = file.read(len(ZIP)) == ZIP  # as torch decides
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if zipped:
        _check_zip(file, size, arrays)
    else:
        file = _check_old(file.read(), arrays)
    file.seek(0)
    named = [(call, full.replace(".core.", core)) for full, call in ARRAYS.items() for core in (".core.", "._core.")]
    try:
        with torch.serialization.safe_globals([_rebuild_tensor, *(named if arrays else [])]):
            content = torch.load(file, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RefusedError(f"damaged, or objects other than tensors: {one_line(error)}") from error
    _check_tensors(content, size)
    return content


def _check_zip(file: BinaryIO, size: int, arrays: bool) -> None:
    """ValueError unless the archive is whole, uncompressed as torch.save leaves it, and its pickles call what they may.

    torch.load does not look at checksums.
    """
    with zipfile.ZipFile(file) as archive:
        check_archive(archive, size, inflation=1)
        wrong = archive.testzip()
        if wrong:
            raise ValueError(f"the checksum of {one_line(wrong)} differs")
        for member in archive.infolist():
            if member.filename.endswith(".pkl"):
                _check_calls(io.BytesIO(archive.read(member)), arrays, None)


def _check_old(data: bytes, arrays: bool) -> BinaryIO:
    """A file in the format before PyTorch 1.6, from which tensors are rebuilt by ``_rebuild_tensor``.

    There torch reserves what the numbers in the file ask for, and compares it with the data later.
    """
    file, ends = io.BytesIO(data), []
    for number in range(OLD_PICKLES):
        _check_calls(file, arrays, len(data) if number >= CONTENT else None)
        ends.append(file.tell())
    first, last = ends[CONTENT - 1 : CONTENT + 1]
    content = data[first:last].replace(b"ctorch._utils\n_rebuild_tensor_v2\n", b"cceco3d.pickles\n_rebuild_tensor\n")
    return io.BytesIO(data[:first] + content + data[last:])


def _check_calls(file: BinaryIO, arrays: bool, largest: int | None) -> None:
    """Go through the next pickle in ``file`` without making anything; RefusedError for a call that is not known.

    largest  ValueError for a greater whole number, where one may ask for that many values
    """
    for code, argument, _ in pickletools.genops(file):
        if code.name == "GLOBAL":
            if not TENSOR_CALLS.fullmatch(argument) and not (arrays and ARRAY_CALLS.fullmatch(argument)):
                raise RefusedError(f"it would call {one_line(argument)}")
        elif isinstance(argument, str) and argument.lower() in SLOW_CODECS:
            raise RefusedError(f"it would encode text as {argument}")
        elif largest is not None and type(argument) is int and abs(argument) > largest:
            raise ValueError(f"the number {argument:.6g} in it is larger than the file")


def _check_tensors(content: Any, size: int) -> None:
    """ValueError for a tensor of more bytes than its storage, or than the file."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:  # a pickle can hold itself
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            storage = value.untyped_storage().nbytes()
            if value.numel() * value.element_size() > storage or storage > size:
                raise ValueError(f"a tensor of shape {tuple(value.shape)} is larger than what the file holds of it")
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple | set):
            waiting += value


def _storage(data: bytes) -> Any:
    return _load_torch(io.BytesIO(data), arrays=False)


def _rebuild_tensor(storage: Any, offset: int, size: tuple, stride: tuple, *rest: Any) -> Tensor:
    there = storage._untyped_storage.nbytes() // storage.dtype.itemsize
    end = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1
    if min((offset, *size, *stride)) < 0 or (math.prod(size) and max(end, math.prod(size)) > there):
        raise ValueError(f"a tensor of shape {one_line(size)} is larger than what the file holds of it")
    return torch._utils._rebuild_tensor_v2(storage, offset, size, stride, *rest)


def _encode(text: str, encoding: str) -> bytes:
    return text.encode({"latin1": "latin1"}[encoding])


class _Unpickler(pickle._Unpickler):
    """The one in Python: that in C reserves what numbers in the file ask for."""

    calls = {  # noqa: RUF012
        **ARRAYS,
        "collections.OrderedDict": OrderedDict,
        "_codecs.encode": _encode,
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        "torch.storage._load_from_bytes": _storage,
    }

    def find_class(self, module: str, name: str) -> Any:
        found = self.calls.get(f"{module}.{name}".replace("numpy._core.", "numpy.core."))
        if found is None:
            raise RefusedError(f"it would call {one_line(f'{module}.{name}')}")
        return found

    def load_build(self) -> None:
        if not isinstance(self.stack[-2], Array | Dtype):
            raise RefusedError(f"it would change a {type(self.stack[-2]).__name__}")
        super().load_build()

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # noqa: RUF012
