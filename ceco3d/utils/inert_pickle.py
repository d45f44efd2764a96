"""Interpret a pickle without building its objects.

``read_inert`` runs the opcodes on a stack of its own. Containers, text and numbers become what they are, tensors become
``TensorRef``. Everything else (classes, functions, objects, whatever they are called) becomes an ``Unbuilt``: its
arguments and state are dropped; nothing that the file names is imported or called. Entries that a file adds to an
unbuilt object as to a dict are kept, because dicts of other classes hold weights too. Keys of dicts are plain values;
entries with other keys are dropped.

It is written on the unpickler in Python: the one in C allocates what numbers in the file ask for.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from ceco3d.utils.tensor_refs import ITEMSIZES, StorageRef, TensorRef, Unbuilt
from ceco3d.utils.untrusted import one_line

STORAGE = re.compile(rf"torch\.(cuda\.)?({'|'.join(ITEMSIZES)})")
KEYS = (str, int, float, bool, bytes, type(None))  # hashing a nested tuple can take forever
MAX_DIMENSIONS = 64
MAX_NAME = 100  # characters of the name of a module or class
DICTS = ("collections.OrderedDict", "collections.Counter", "builtins.dict", "__builtin__.dict")


def read_inert(file: BinaryIO) -> tuple[Any, dict[str, StorageRef]]:
    """The value of the next pickle in ``file``, and its storages by key.

    Errors of damaged pickles can be of nearly any class.
    """
    interpreter = _Interpreter(file, encoding="latin1")
    return interpreter.load(), interpreter.storages


def _tensor(storage: Any, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any) -> Any:
    if not isinstance(storage, StorageRef):
        return Unbuilt("torch.Tensor")
    if not isinstance(size, tuple | list) or len(size) > MAX_DIMENSIONS:
        raise ValueError("a tensor of a broken shape")
    if any(type(number) is not int or number < 0 for number in (offset, *size, *stride)):
        raise ValueError("a tensor of a broken shape")
    count = math.prod(size)
    end = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1
    if count and max(end, count) > storage.count:
        raise ValueError(f"a tensor of shape {one_line(size)} is larger than its data in the file")
    return TensorRef(storage, offset, tuple(size), tuple(stride))


def _first(value: Any = None, *_: Any) -> Any:
    return value


def _instance(kind: Any, base: Any = None, items: Any = None, *_: Any) -> Any:
    return Unbuilt(kind.name, items if isinstance(items, dict) else {})


def _with_attributes(rebuild: Any, kind: Any, arguments: Sequence[Any], state: Any) -> Any:
    return _call(rebuild, arguments)


# What is done for a call. Nothing may copy an argument: a short pickle can call many times with the same large value.
_CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch._tensor._rebuild_from_type_v2": _with_attributes,
    "torch.Size": _first,
    "copyreg._reconstructor": _instance,
    "copy_reg._reconstructor": _instance,
}


def _call(function: Any, arguments: Sequence[Any]) -> Any:
    name = function.name if isinstance(function, Unbuilt) else type(function).__name__
    if name in DICTS:
        entries = _first(*arguments)
        return entries if isinstance(entries, dict) else Unbuilt(name, pairs=entries) if entries else {}
    known = _CALLS.get(name)
    return Unbuilt(name) if known is None else known(*arguments)


if TYPE_CHECKING:

    class _PythonUnpickler(pickle.Unpickler):
        """What type stubs do not know of ``pickle._Unpickler``."""

        stack: list[Any]
        append: Callable[[Any], None]
        read: Callable[[int], bytes]
        dispatch: dict[int, Callable[[Any], None]]

        def pop_mark(self) -> list[Any]: ...

else:
    _PythonUnpickler = pickle._Unpickler


class _Interpreter(_PythonUnpickler):
    def __init__(self, file: BinaryIO, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self.storages: dict[str, StorageRef] = {}

    def find_class(self, module: str, name: str) -> Any:
        return Unbuilt(f"{module[:MAX_NAME]}.{name[:MAX_NAME]}")

    def get_extension(self, code: int) -> None:
        self.append(Unbuilt(f"extension {code}"))

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # a class with its source code
            return pid[1]
        if pid[0] != "storage":
            return Unbuilt("persistent object")
        _, kind, key, _, count, *view = pid
        if not isinstance(key, str | int):
            raise ValueError("a storage without a name")
        found = STORAGE.fullmatch(kind.name)
        if not found:
            return Unbuilt(kind.name)
        if type(count) is not int or count < 0 or any(view):
            raise ValueError("a storage of a broken size")
        storage = StorageRef(str(key), found[2], count)
        known = self.storages.setdefault(storage.key, storage)
        if (known.kind, known.count) != (storage.kind, storage.count):
            raise ValueError("one storage with two types")
        return known

    def _instantiate(self, kind: Any, arguments: Sequence[Any]) -> None:
        self.append(_call(kind, arguments))

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.append(_call(function, arguments))

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self.load_reduce()

    def load_build(self) -> None:
        self.stack.pop()

    def load_append(self) -> None:
        self._extend([self.stack.pop()])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target += values

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def load_setitems(self) -> None:
        self._update(self.pop_mark())

    def load_dict(self) -> None:
        entries = self.pop_mark()
        self.append({})
        self._update(entries)

    def _update(self, entries: list[Any]) -> None:
        target = self.stack[-1]
        target = target.items if isinstance(target, Unbuilt) else target
        if isinstance(target, dict):
            target.update((key, entries[i + 1]) for i, key in _every_second(entries) if isinstance(key, KEYS))

    def load_empty_set(self) -> None:
        self.append(Unbuilt("set"))

    def load_additems(self) -> None:
        self.pop_mark()

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(Unbuilt("frozenset"))

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch = {  # noqa: RUF012
        **_PythonUnpickler.dispatch,
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_reduce,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.EMPTY_SET[0]: load_empty_set,
        pickle.ADDITEMS[0]: load_additems,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }


def _every_second(entries: list[Any]) -> list[tuple[int, Any]]:
    return [(i, entries[i]) for i in range(0, len(entries) - 1, 2)]
