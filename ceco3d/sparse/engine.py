"""Engines: interchangeable implementations of the sparse layers, chosen by name.

``auto`` stands for ``triton`` where there is a GPU, else ``native``. To add one, write a module with the names of
``Engine`` and pass its dotted path: ``engine=mypackage.engine``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

import torch
from torch import Tensor

from ceco3d.sparse.kernels.triton_launch import interpreted, missing, unsupported
from ceco3d.sparse.modules import BatchNorm, Convolution, ReLU, TransposedConvolution
from ceco3d.sparse.tensor import SparseTensor

AUTO = "auto"
ENGINES = {
    "native": "ceco3d.sparse",
    "triton": "ceco3d.sparse.triton",
    "minkowski": "ceco3d.sparse.minkowski",
}


class Engine(Protocol):
    """The layers that a network is built from: a module, or any object with these classes or functions.

    It may have a ``cross_entropy`` too, of the arguments of ``ceco3d.sparse.cross_entropy``; the losses then use it.
    Layers keep the parameter names, shapes and initial values of ``ceco3d.sparse``, so weights load into any engine.
    """

    def SparseTensor(self, features: Tensor, coordinates: Tensor) -> SparseTensor:
        """(N, C) float, (N, 4) integer ``[batch, x, y, z]`` -> a tensor that the layers accept."""
        ...

    def Convolution(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = False
    ) -> Convolution:
        """A sparse convolution; stride 1 keeps the voxels."""
        ...

    def TransposedConvolution(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, bias: bool = False
    ) -> TransposedConvolution:
        """The transpose of a strided convolution."""
        ...

    def BatchNorm(self, channels: int, momentum: float = 0.1) -> BatchNorm:
        """Batch normalization over voxels. Networks call it as ``norm(x, residual=None, relu=False)``."""
        ...

    def ReLU(self, inplace: bool = False) -> ReLU:
        """max(x, 0)."""
        ...


_LAYERS = ("SparseTensor", "Convolution", "TransposedConvolution", "BatchNorm", "ReLU")


def load_engine(name: str) -> Engine:
    """The engine ``name``: "auto", one of ENGINES, or the dotted path of an object with the names of ``Engine``.

    Imports what the path names, so never pass a name that comes from a file. ValueError when the name is unknown,
    when the engine is not installed and when the object lacks a layer.
    """
    if name == AUTO:
        name = _engine_here()
    elif name == "triton" and not (torch.cuda.is_available() or interpreted()):
        _warn_once("engine=triton computes as engine=native: torch sees no GPU here")
    if name not in ENGINES and "." not in name:
        known = choices(name, [AUTO, *ENGINES])
        raise ValueError(f"unknown engine {name!r}; {known} or a dotted path such as mypackage.engine")
    try:
        engine = import_module(ENGINES[name]) if name in ENGINES else _find(name)
    except ImportError as error:
        raise ValueError(f"engine {name}: {error}") from error
    absent = [layer for layer in _LAYERS if not hasattr(engine, layer)]
    if absent:
        raise ValueError(f"engine {name}: it has no {', '.join(absent)} (see ceco3d.sparse.Engine)")
    return cast(Engine, engine)


def describe_engine(name: str, device: torch.device, dtype: torch.dtype) -> str:
    """What computes on ``device`` in ``dtype`` if ``name`` is chosen, and why if it was not named."""
    if name not in (AUTO, "triton"):
        return name
    if name == AUTO and device.type == "cpu":
        return "native (on a CPU)"
    reason = missing() if name == AUTO else None
    reason = reason or unsupported(device, dtype)
    if reason is not None:
        return f"native ({reason})"
    return name if name == "triton" else "triton (on a GPU that runs its kernels)"


def _engine_here() -> str:
    """The engine that "auto" stands for. Its layers still compute as native ones where Triton's kernels cannot run."""
    if not torch.cuda.is_available() or interpreted():
        return "native"
    reason = missing()
    if reason is None:
        return "triton"
    _warn_once(f"engine=auto takes the slower engine=native: {reason}")
    return "native"


@cache
def _warn_once(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def choices(name: str, known: Iterable[str]) -> str:
    """The second half of an error about an unknown name: close matches first, then all choices."""
    by_lower = {choice.lower(): choice for choice in known}
    close = [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=2)]
    return (f"did you mean {' or '.join(close)}? " if close else "") + f"choose one of {', '.join(by_lower.values())}"


def _find(path: str) -> object:
    """The module or the attribute of a module at a dotted path; ImportError when there is none."""
    parent, _, attribute = path.rpartition(".")
    module = import_module(parent)
    if hasattr(module, attribute):
        return getattr(module, attribute)
    if hasattr(module, "__path__") and find_spec(path) is not None:
        return import_module(path)
    raise ImportError(f"{parent} has no {attribute}")
