"""What an interpreted checkpoint holds instead of tensors and objects, see ``inert_pickle``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

# Classes of storages that are read, and the bytes of a number in them.
ITEMSIZES = {
    **{"ComplexDoubleStorage": 16, "ComplexFloatStorage": 8, "DoubleStorage": 8, "LongStorage": 8},
    **{"FloatStorage": 4, "IntStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "ShortStorage": 2},
    **{"CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1},
}


@dataclass(eq=False)
class Unbuilt:
    """A class, function or object of a file, by the name of its class.

    items  entries that it got as a dict
    pairs  of an OrderedDict of Python 2: its ``[key, value]`` pairs
    """

    name: str
    items: dict[Any, Any] = field(default_factory=dict)
    pairs: Any = None


@dataclass(eq=False)
class StorageRef:
    """``count`` numbers, stored in the file under ``key``; ``kind`` is a class of torch, such as ``FloatStorage``."""

    key: str
    kind: str
    count: int

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return ITEMSIZES[self.kind]


@dataclass(eq=False)
class TensorRef:
    """A strided view of a storage; it lies within the storage."""

    storage: StorageRef
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:  # how a tensor pickles itself
        return torch._utils._rebuild_tensor_v2, (
            self.storage,
            self.offset,
            self.size,
            self.stride,
            False,
            OrderedDict(),
        )
