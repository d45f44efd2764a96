"""Devices and precisions."""

from __future__ import annotations

import logging
import os

import torch

from ceco3d.sparse.kernels.cpu_rates import bf16_gain
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)

PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device called ``auto``, ``cpu`` or ``cuda``; UserError if it does not exist. ``auto`` prefers the GPU.

    Under torchrun each process gets its own GPU (LOCAL_RANK).
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise UserError(f"device={name}: choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no GPU here; use device=cpu, or run `python -m ceco3d.doctor`")
    return torch.device(name, int(os.environ.get("LOCAL_RANK", 0))) if name == "cuda" else torch.device(name)


def choose_precision(name: str | None, device: torch.device) -> torch.dtype:
    """The dtype in which convolutions compute; UserError for an unknown name.

    None is bfloat16 on a GPU that has it, else float32, which gives the same bits on every processor. "auto" is
    bfloat16 where the device computes faster in it, else float32. "tf32" is float32 with products rounded to 10 bits of
    mantissa: it sets torch's own switch, which all engines obey. Warns where 16 bits gain nothing.
    """
    if name is None and device.type == "cpu":
        name = "fp32"
    elif name is None or name == "auto":
        name = "bf16" if _multiplies_bf16(device) else "fp32"
    if name not in PRECISIONS:
        raise UserError(f"precision={name}: choose one of auto, {', '.join(PRECISIONS)}")
    if name == "tf32" and device.type == "cpu":
        raise UserError("precision=tf32: only GPUs have it; choose fp32 or bf16")
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    dtype = PRECISIONS[name]
    if device.type == "cpu" and dtype != torch.float32 and bf16_gain() <= 1:
        logger.warning("precision=%s is no faster than fp32 on this processor", name)
    return dtype


def describe_precision(name: str | None, device: torch.device, dtype: torch.dtype) -> str:
    """The ``dtype`` that ``choose_precision`` found for ``name``, and why if it was left to it."""
    if name in PRECISIONS:
        return name
    found = "fp32" if dtype == torch.float32 else "bf16"
    if name == "auto":
        return f"{found} (faster here)"
    if device.type == "cpu":
        return f"{found} (on a CPU)"
    if dtype == torch.bfloat16:
        return f"{found} (on a GPU that has it)"
    return f"{found} ({torch.cuda.get_device_name(device)} has no bfloat16; try precision=fp16)"


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bf16_gain() > 1
