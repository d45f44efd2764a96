"""Where the Triton kernels run, and how to launch them."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
MIN_CAPABILITY = (8, 0)
_HERE = nullcontext()


@cache
def missing() -> str | None:
    """What Triton lacks on this machine, and how to get it; None if nothing."""
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed (pip install triton; it has wheels for Linux only)"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton compiles a C file once and finds no compiler (apt-get install gcc, or set CC)"
    return None


def unsupported(device: torch.device, dtype: torch.dtype = torch.float32) -> str | None:
    """Why the Triton kernels cannot compute in ``dtype`` on ``device``; None if they can."""
    return _reason(device, dtype, interpreted())


@cache  # every layer asks in every pass
def _reason(device: torch.device, dtype: torch.dtype, interprets: bool) -> str | None:
    if importlib.util.find_spec("triton") is None:
        return missing()
    if dtype not in DTYPES:
        return f"the Triton kernels do not support {str(dtype).removeprefix('torch.')}"
    if interprets:
        return None if device.type == "cpu" else "TRITON_INTERPRET=1 is set: the kernels run on the CPU"
    if device.type != "cuda":
        return (
            f"the Triton kernels run on a GPU, not on {device.type} (TRITON_INTERPRET=1 interprets them there, slowly)"
        )
    if torch.version.hip is not None:
        return "the Triton kernels need an NVIDIA GPU"
    found = torch.cuda.get_device_capability(device)
    if found < MIN_CAPABILITY:
        name = torch.cuda.get_device_name(device)
        return f"{name} has compute capability {found[0]}.{found[1]}, the Triton kernels need 8.0"
    return None


@contextmanager
def replaced(owner: object, name: str, value: Any) -> Iterator[None]:
    """A context in which an attribute has another value."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def interpreted() -> bool:
    """Whether Triton interprets kernels on the CPU instead of compiling them."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def cdiv(a: int, b: int) -> int:
    """a / b rounded up. ``triton.cdiv`` takes five microseconds, and a step has hundreds of launches."""
    return -(-a // b)


def device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """Within it kernels launch on the GPU of ``tensor``, which need not be the current one."""
    if not tensor.is_cuda or tensor.get_device() == torch.cuda.current_device():
        return _HERE
    return torch.cuda.device(tensor.device)
