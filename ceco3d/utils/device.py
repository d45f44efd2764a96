"""Devices and precisions."""

from __future__ import annotations

import logging
import os

import torch

from ceco3d.sparse.kernels import cpu
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


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype in which convolutions compute; UserError for an unknown name.

    "tf32" is float32 with products rounded to 10 bits of mantissa: it sets torch's own switch, which all engines obey.
    Warns if the processor emulates the precision.
    """
    if name not in PRECISIONS:
        raise UserError(f"precision={name}: choose one of {', '.join(PRECISIONS)}")
    if name == "tf32" and device.type == "cpu":
        raise UserError("precision=tf32: only GPUs have it; choose fp32 or bf16")
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    if device.type == "cpu" and name != "fp32" and not cpu.supports(PRECISIONS[name]):
        logger.warning("precision=%s is slow on this processor, fp32 is faster", name)
    return PRECISIONS[name]
