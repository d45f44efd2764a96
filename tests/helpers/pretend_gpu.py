"""A pretend GPU: tensors that report ``cuda:0`` as their device and compute on the CPU.

Inside ``pretend_gpu``, what fails on a real GPU fails too: mixing devices, ``numpy()``, a generator on another device.
Streams are not imitated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

CPU, DEVICE = torch.device("cpu"), torch.device("cuda", 0)
# Functions that read values or sizes that only the device knows.
READS = {"tolist", "item", "__int__", "__float__", "__bool__", "__index__", "__contains__", "equal", "allclose"}
SIZES = {"nonzero", "argwhere", "unique", "unique_consecutive", "masked_select", "bincount"}
# Functions that inspect one tensor at a time.
ABOUT = {"__get__", "__set__", "__delete__", "__repr__", "_has_compatible_shallow_copy_type"}


class OnGPU(Tensor):
    """A CPU tensor that reports a GPU as its device."""


class GPUGenerator(torch.Generator):
    """A CPU generator that counts as a GPU generator."""


class AnyGenerator(torch.Generator):
    """Replaces ``torch.Generator``, which would need CUDA."""

    def __new__(cls, device: Any = "cpu") -> torch.Generator:
        return GPUGenerator() if str(device).startswith("cuda") else _Generator(device)


_Generator = torch.Generator


@contextmanager
def pretend_gpu() -> Iterator[PretendGPU]:
    """A context in which ``device="cuda:0"`` works."""
    overwrite = torch.__future__.set_overwrite_module_params_on_conversion
    with patch.object(torch, "Generator", AnyGenerator), patch.object(torch.cuda, "Stream", lambda device: None):
        overwrite(True)  # otherwise Module.to keeps the type of its parameters
        try:
            with PretendGPU() as mode:
                yield mode
        finally:
            overwrite(False)


class PretendGPU(TorchFunctionMode):
    """Intercepts every torch call; ``waits`` counts, by name, calls that would make the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", str(func))
        leaves = tree_leaves((args, kwargs))
        on_gpu = any(isinstance(leaf, OnGPU) for leaf in leaves)
        if func is torch.device or name == "_parse_to":
            return func(*args, **kwargs)
        if func == Tensor.device.__get__:
            return DEVICE if on_gpu else CPU
        if func == Tensor.is_cuda.__get__:
            return on_gpu
        if name == "numpy" and on_gpu:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        target = self._target(name, args, kwargs)
        if target is None and name not in ABOUT:
            self._check(name, args, leaves)
        to_gpu = on_gpu if target is None else target.type == "cuda"
        if any(isinstance(leaf, torch._C.Generator) and isinstance(leaf, GPUGenerator) != to_gpu for leaf in leaves):
            raise RuntimeError(f"{name}: the generator is on another device")
        args, kwargs = (_on_cpu(part) for part in (args, kwargs))
        with torch._C.DisableTorchFunctionSubclass():
            out = func(*args, **kwargs)
        self._count(name, args, on_gpu, to_gpu, bool(kwargs.get("non_blocking")))
        return tree_map(lambda leaf: _wrap(leaf, to_gpu, leaves, target is not None), out)

    def _target(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device | None:
        """The device that a call names, or None."""
        if kwargs.get("device") is not None:
            return torch.device(kwargs["device"])
        if name in ("cpu", "cuda"):
            return torch.device(name)
        if name == "to":
            for value in args[1:]:
                if isinstance(value, torch.device | str):
                    return torch.device(value)
                if isinstance(value, Tensor):
                    return DEVICE if isinstance(value, OnGPU) else CPU
        return None

    def _check(self, name: str, args: tuple[Any, ...], leaves: Iterable[Any]) -> None:
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if name in ("__getitem__", "index_put", "index_put_", "__setitem__"):  # CUDA takes indices from the CPU
            tensors = [leaf for leaf in (args[0], *args[2:]) if isinstance(leaf, Tensor)]
        kinds = {isinstance(tensor, OnGPU) for tensor in tensors if tensor.as_subclass(Tensor).dim() > 0}
        if len(kinds) > 1:
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, found cuda:0 and cpu")

    def _count(self, name: str, args: tuple[Any, ...], on_gpu: bool, to_gpu: bool, free: bool) -> None:
        masks = name in ("__getitem__", "__setitem__") and any(
            isinstance(leaf, Tensor) and leaf.as_subclass(Tensor).dtype == torch.bool for leaf in tree_leaves(args[1])
        )
        if on_gpu and (name in READS | SIZES or masks):
            self.waits[name] += 1
        if on_gpu and not to_gpu and not free and name in ("to", "cpu"):
            self.waits["to the CPU"] += 1


def _on_cpu(part: Any) -> Any:
    def change(leaf: Any) -> Any:
        if isinstance(leaf, torch.device) or (isinstance(leaf, str) and leaf.startswith("cuda")):
            return CPU
        return leaf

    return tree_map(change, part)


def _wrap(leaf: Any, to_gpu: bool, leaves: Iterable[Any], moved: bool) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    if not moved and any(leaf is one for one in leaves):
        return leaf  # in-place functions return their argument
    if moved and any(leaf is one for one in leaves) and isinstance(leaf, OnGPU) == to_gpu:
        return leaf  # already on that device
    with torch._C.DisableTorchFunctionSubclass():
        return (leaf.clone() if moved else leaf).as_subclass(OnGPU if to_gpu else Tensor)
