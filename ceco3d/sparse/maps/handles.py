"""Numbers by which a graph of torch refers to the voxels of a batch."""

from __future__ import annotations

from itertools import count
from typing import TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor

Voxels = TypeVar("Voxels")

_numbers = count(1)
_known: WeakValueDictionary[int, object] = WeakValueDictionary()


def handle_of(voxels: object) -> Tensor:
    """(1,) int64 on the CPU: a number for ``voxels``, which it does not keep alive."""
    number = next(_numbers)
    _known[number] = voxels
    return torch.tensor([number])


def known_by(handle: Tensor, kind: type[Voxels]) -> Voxels:
    """What ``handle`` stands for. RuntimeError if that is gone."""
    found = _known.get(int(handle))
    if not isinstance(found, kind):
        raise RuntimeError("the voxels of this graph are gone: keep their SparseTensor until the graph has run")
    return found
