"""Read arrays from files of ``torch.save`` and ``pickle`` without running code. Checkpoints: see ``torch_file``.

``torch.load(weights_only=True)`` runs no code either, but it lets a file call functions that allocate any number of
bytes (``bytearray``, ``FloatTensor``), and NumPy's own unpickling trusts the file. Here the calls are checked first,
and arrays are rebuilt by functions of this module. All errors are ValueError with a one-line message; RefusedError
means that the file holds other objects.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor

from ceco3d.utils.untrusted import RefusedError, check_archive, one_line, read_member, reading

TENSOR_CALLS = re.compile(
    r"collections (OrderedDict|Counter)|(builtins|__builtin__) set|_codecs encode|"
    r"torch ([A-Z][A-Za-z\d]+Storage|Size|device|[a-z]+\d*)|"
    r"torch\._utils _rebuild_(tensor_v2|parameter|parameter_with_state)|torch\.nn\.parameter Parameter"
)
ARRAY_CALLS = re.compile(r"numpy (ndarray|dtype)|numpy\._?core\.(multiarray (_reconstruct|scalar)|numeric _frombuffer)")
SLOW_CODECS = ("punycode", "idna")  # quadratic in the length of the text, or worse
OLD_PICKLES = 5  # before PyTorch 1.6 a file is five pickles: magic number, version, platform, content, storage keys
CONTENT = 3  # index of the pickle with the content
ZIP = b"PK\x03\x04"


class Dtype:
    """Replaces numpy.dtype while unpickling: number types and their byte order only."""

    def __init__(self, code: str, *_: Any) -> None:
        self.value = np.dtype(code)
        if self.value.kind not in "fiub":
            raise RefusedError(f"an array of {self.value}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class Array:
    """Replaces numpy.ndarray while unpickling, and holds the values that are in the file."""

    def __init__(self, *_: Any) -> None:
        self.value: np.ndarray = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        data = data.encode("latin1") if isinstance(data, str) else data
        self.value = _frombuffer(data, dtype, shape, "F" if fortran else "C")

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.value.astype(dtype or self.value.dtype)


def _frombuffer(data: Any, dtype: Dtype, shape: tuple[int, ...], order: Literal["C", "F"]) -> np.ndarray:
    return np.frombuffer(bytes(data), dtype.value).reshape(shape, order=order)


def _scalar(dtype: Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.value)[0]


# What pickles of arrays call, and its replacement. NumPy 2 renamed "core" to "_core".
ARRAYS: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": Array,
    "numpy.dtype": Dtype,
    "numpy.core.multiarray._reconstruct": Array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _frombuffer,
}


def read_arrays(path: Path) -> Any:
    """The tensors, arrays (as ``Array``) and plain containers in a ``torch.save`` file, on the CPU."""
    with reading(), path.open("rb") as file:
        return _load_torch(file, arrays=True)


def read_pickle(path: Path) -> Any:
    """The content of a pickle of arrays (as ``Array``), tensors and plain containers, or of a ``torch.save`` file."""
    with reading(), path.open("rb") as file:
        if file.read(len(ZIP)) == ZIP:
            return _load_torch(file, arrays=True)
        file.seek(0)
        data = file.read()
        deque(pickletools.genops(data), maxlen=0)  # checks that no length exceeds the data
        return _Unpickler(io.BytesIO(data), encoding="latin1").load()


def _load_torch(file: BinaryIO, arrays: bool) -> Any:
    file.seek(0)
    zipped = file.read(len(ZIP)) == ZIP  # torch decides the same way
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    file = _checked_zip(file, size, arrays) if zipped else _check_old(file.read(), arrays)
    file.seek(0)
    named: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [_rebuild_tensor]
    if arrays:
        named += [
            (call, full.replace(".core.", core)) for full, call in ARRAYS.items() for core in (".core.", "._core.")
        ]
    try:
        with torch.serialization.safe_globals(named):
            content = torch.load(file, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RefusedError(f"damaged, or objects other than tensors: {one_line(error)}") from error
    _check_tensors(content, size)
    return content


def _checked_zip(file: BinaryIO, size: int, arrays: bool) -> BinaryIO:
    """A new archive with the members of an archive as torch.save writes it: complete, with allowed calls only.

    torch verifies no checksums. It also finds another directory than ``zipfile`` in an archive that has two, and
    members by names of other case; therefore it gets only what was checked here.
    """
    clean = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(clean, "w") as checked:
        check_archive(archive, size, inflation=1)
        names = [name.lower() for name in archive.namelist()]
        if len(set(names)) < len(names):
            raise RefusedError("names of its members differ only in case")
        for member in archive.infolist():
            content = read_member(archive, member)
            if member.filename.lower().endswith(".pkl"):
                _check_calls(io.BytesIO(content), arrays, None)
            checked.writestr(member.filename, content)
    return clean


def _check_old(data: bytes, arrays: bool) -> BinaryIO:
    """A checked file in the format before PyTorch 1.6, changed so that ``_rebuild_tensor`` rebuilds its tensors.

    In this format torch allocates what the numbers in the file ask for and compares it with the data only later.
    """
    file, ends = io.BytesIO(data), []
    for number in range(OLD_PICKLES):
        _check_calls(file, arrays, len(data) if number >= CONTENT else None)
        ends.append(file.tell())
    first, last = ends[CONTENT - 1 : CONTENT + 1]
    own = f"c{__name__}\n{_rebuild_tensor.__name__}\n".encode()
    content = data[first:last].replace(b"ctorch._utils\n_rebuild_tensor_v2\n", own)
    return io.BytesIO(data[:first] + content + data[last:])


def _check_calls(file: BinaryIO, arrays: bool, largest: int | None) -> None:
    """Scan the next pickle in ``file`` without building anything; RefusedError for an unknown call.

    largest  ValueError for a larger integer, in formats where an integer can ask for that many values
    """
    for code, argument, _ in pickletools.genops(file):
        if code.name == "GLOBAL":
            call = str(argument)
            if not TENSOR_CALLS.fullmatch(call) and not (arrays and ARRAY_CALLS.fullmatch(call)):
                raise RefusedError(f"it would call {one_line(call)}")
        elif isinstance(argument, str) and argument.lower() in SLOW_CODECS:
            raise RefusedError(f"it would encode text as {argument}")
        elif largest is not None and type(argument) is int and abs(argument) > largest:
            raise ValueError(f"the number {argument:.6g} in it is larger than the file")


def _check_tensors(content: Any, size: int) -> None:
    """ValueError for a tensor with more bytes than its storage, or more than the file."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:  # a pickle can contain itself
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            storage = value.untyped_storage().nbytes()
            if value.numel() * value.element_size() > storage or storage > size:
                raise ValueError(f"a tensor of shape {tuple(value.shape)} is larger than its data in the file")
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple | set):
            waiting += value


def _storage(data: bytes) -> Any:
    return _load_torch(io.BytesIO(data), arrays=False)


def _rebuild_tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any) -> Any:
    available = storage._untyped_storage.nbytes() // storage.dtype.itemsize
    end = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1
    count = math.prod(int(length) for length in size)
    if min((offset, *size, *stride)) < 0 or (count and max(end, count) > available):
        raise ValueError(f"a tensor of shape {one_line(size)} is larger than its data in the file")
    rebuild: Callable[..., Any] = torch._utils._rebuild_tensor_v2
    return rebuild(storage, offset, size, stride, *rest)


def _encode(text: str, encoding: str) -> bytes:
    return text.encode({"latin1": "latin1"}[encoding])


# The unpickler in Python: the one in C allocates what numbers in the file ask for.
if TYPE_CHECKING:

    class _PythonUnpickler(pickle.Unpickler):
        """What type stubs do not know of ``pickle._Unpickler``."""

        stack: list[Any]
        dispatch: dict[int, Callable[[Any], None]]

        def load_build(self) -> None: ...

else:
    _PythonUnpickler = pickle._Unpickler


class _Unpickler(_PythonUnpickler):
    """Builds arrays, tensors and plain containers, and refuses every other call."""

    calls: dict[str, Callable[..., Any]] = {  # noqa: RUF012
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

    dispatch = {**_PythonUnpickler.dispatch, pickle.BUILD[0]: load_build}  # noqa: RUF012
