"""Block sizes that ``python -m ceco3d.benchmark what=tune`` measured as the fastest on a model of GPU.

The cache folder holds one JSON file per model of GPU: ``{kernel: {shape: sizes}}``, shapes by
``triton_convolve.call_key``. Training only reads it and never times anything.
"""

from __future__ import annotations

import json
import os
import uuid
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ceco3d.sparse.cpp.build import cache_folder
from ceco3d.sparse.cpp.trust import make_folder, open_file, open_folder
from ceco3d.sparse.kernels.triton_config import ConvolveConfig, GradientConfig

CONFIGS: dict[str, type[ConvolveConfig] | type[GradientConfig]] = {
    "convolve": ConvolveConfig,
    "weight_gradient": GradientConfig,
}
FORMAT = 2  # of the file: 1 had other names for the sizes


def tuned_path(device: torch.device) -> Path:
    """The file for GPUs of the same model as ``device``."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "interpreter"
    return cache_folder() / f"triton{FORMAT}-{name.replace(' ', '-')}.json"


def store_tuned(device: torch.device, found: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Path:
    """Add ``{kernel: {shape: sizes}}`` to the file for ``device``, which processes started later use.

    OSError if others can write to the folder.
    """
    path = tuned_path(device)
    make_folder(path.parent)
    stored = _stored(path)
    merged = {kernel: {**stored.get(kernel, {}), **shapes} for kernel, shapes in found.items()}
    part = path.with_suffix(f".{uuid.uuid4().hex}.part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(merged, indent=1))
    part.replace(path)
    return path


def tuned_config(kernel: str, device: torch.device, key: str) -> ConvolveConfig | GradientConfig | None:
    """The tuned sizes for ``kernel`` (one of CONFIGS), or None."""
    return _read(device).get(kernel, {}).get(key)


@cache
def _read(device: torch.device) -> dict[str, dict[str, ConvolveConfig | GradientConfig]]:
    path = tuned_path(device)
    if not path.exists():
        return {}
    try:
        stored = _stored(path)
        return {
            kernel: {key: config(**sizes) for key, sizes in stored.get(kernel, {}).items()}
            for kernel, config in CONFIGS.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        warnings.warn(f"cannot use {path} ({error}): delete it, or run benchmark what=tune again", stacklevel=2)
        return {}


def _stored(path: Path) -> Any:
    """The content of a file that nobody else can change, or {} without one."""
    folder = open_folder(path.parent)
    try:
        with open(open_file(folder, path)) as file:
            return json.load(file)
    except FileNotFoundError:
        return {}
    finally:
        os.close(folder)
