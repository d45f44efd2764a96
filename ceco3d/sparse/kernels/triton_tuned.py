"""Block sizes that ``python -m ceco3d.benchmark what=tune`` measured as the fastest on a model of GPU.

One JSON file per model of GPU: ``{kernel: {shape: sizes}}``, shapes by ``triton_convolve.call_key``. The folder
``tuned`` of the package may have one; that of the cache folder goes before it, shape by shape. Training only reads them
and never times anything.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ceco3d.sparse.cpp.build import cache_folder
from ceco3d.sparse.cpp.stored import read_stored, write_stored
from ceco3d.sparse.kernels.triton_config import ConvolveConfig, GradientConfig

Configs = dict[str, dict[str, ConvolveConfig | GradientConfig]]
CONFIGS: dict[str, type[ConvolveConfig] | type[GradientConfig]] = {
    "convolve": ConvolveConfig,
    "input_gradient": ConvolveConfig,
    "weight_gradient": GradientConfig,
}
SHIPPED = Path(__file__).parent / "tuned"
FORMAT = 3  # of the file: 1 and 2 had other sizes


def tuned_path(device: torch.device) -> Path:
    """The file for GPUs of the same model as ``device``."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "interpreter"
    return cache_folder() / f"triton{FORMAT}-{name.replace(' ', '-')}.json"


def store_tuned(device: torch.device, found: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Path:
    """Add ``{kernel: {shape: sizes}}`` to the file for ``device``, which processes started later use.

    OSError if others can write to the folder.
    """
    path = tuned_path(device)
    stored = read_stored(path)
    merged = {kernel: {**stored.get(kernel, {}), **shapes} for kernel, shapes in found.items()}
    write_stored(path, merged)
    return path


def tuned_config(kernel: str, device: torch.device, key: str) -> ConvolveConfig | GradientConfig | None:
    """The tuned sizes for ``kernel`` (one of CONFIGS), or None."""
    return _read(device).get(kernel, {}).get(key)


@cache
def _read(device: torch.device) -> Configs:
    path = tuned_path(device)
    shipped = SHIPPED / path.name
    found = _configs(json.loads(shipped.read_text())) if shipped.exists() else {}
    try:
        own = _configs(read_stored(path))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        warnings.warn(f"cannot use {path} ({error}): delete it, or run benchmark what=tune again", stacklevel=2)
        return found
    return {kernel: found.get(kernel, {}) | own[kernel] for kernel in CONFIGS}


def _configs(stored: Any) -> Configs:
    return {
        kernel: {key: config(**sizes) for key, sizes in stored.get(kernel, {}).items()}
        for kernel, config in CONFIGS.items()
    }
