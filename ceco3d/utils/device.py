"""Devices and precisions."""

from __future__ import annotations

import os
import sys

import torch

from ceco3d.sparse.kernels import cpu
from ceco3d.utils.errors import UserError

PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """``auto`` is the GPU where there is one, else the CPU; UserError for a device that is not there.

    Under torchrun each process has a GPU of its own.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise UserError(f"device={name}: choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no GPU here; use device=cpu, or run `python -m ceco3d.doctor`")
    return torch.device(name, int(os.environ.get("LOCAL_RANK", 0))) if name == "cuda" else torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """What convolutions compute in; UserError for an unknown name, a warning where the processor has to imitate it.

    "tf32" is float32 whose products may be rounded to 10 bits: torch's own setting, which all engines follow.
    """
    if name not in PRECISIONS:
        raise UserError(f"precision={name}: choose one of {', '.join(PRECISIONS)}")
    if name == "tf32" and device.type == "cpu":
        raise UserError("precision=tf32: only GPUs have it; choose fp32 or bf16")
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    if device.type == "cpu" and name != "fp32" and not cpu.supports(PRECISIONS[name]):
        print(f"warning: precision={name} is slow on this processor, fp32 is faster", file=sys.stderr)
    return PRECISIONS[name]
