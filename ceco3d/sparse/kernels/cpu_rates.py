"""How fast the CPU kernels are on this processor: measured once, and stored beside the compiled kernels."""

from __future__ import annotations

import logging
import time
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from ceco3d.sparse.cpp.build import cache_folder, fingerprint
from ceco3d.sparse.cpp.stored import read_stored, write_stored
from ceco3d.sparse.kernels import cpu, tiles, widened
from ceco3d.sparse.maps.kernel_map import KernelMap, build_kernel_map

logger = logging.getLogger(__name__)

Choice = tuple[str, ModuleType, torch.dtype]
# Names are those of the instructions.
CHOICES: tuple[Choice, ...] = (
    ("float32", cpu, torch.float32),
    ("amx", tiles, torch.bfloat16),
    ("avx512_bf16", cpu, torch.bfloat16),
    ("bf16 as float32", widened, torch.bfloat16),
)
HALF = ("amx", "avx512_bf16")  # those that multiply bfloat16 itself
SIDE, CHANNELS, REPEATS = 96, 64, 5


@cache
def rates() -> dict[str, float]:
    """GFLOP/s of each of CHOICES that runs here: both directions of a 3^3 convolution of 64 channels on a plane."""
    wanted = [name for name, kernels, dtype in CHOICES if kernels.supports(dtype)]
    path = cache_folder() / f"rates-{fingerprint()}.json"
    try:
        stored = read_stored(path)
        if isinstance(stored, dict) and list(stored) == wanted and all(type(rate) is float for rate in stored.values()):
            return stored
    except (OSError, ValueError) as error:
        logger.debug("rates of the CPU kernels are measured anew: %s", error)
    found = _measure([choice for choice in CHOICES if choice[0] in wanted])
    try:
        write_stored(path, found)
    except OSError as error:
        logger.debug("rates of the CPU kernels are not kept: %s", error)
    return found


def bf16_gain() -> float:
    """How many times as fast as float32 the CPU multiplies bfloat16; 1 where no kernel is made for it."""
    measured = rates() if cpu.supports(torch.float32) else {}
    return max((measured[name] / measured["float32"] for name in HALF if name in measured), default=1)


def fastest(dtype: torch.dtype, narrow: bool) -> ModuleType | None:
    """The fastest kernels for ``dtype``; None where none is compiled for it.

    narrow  of inputs with few channels, which tiles pad to 32
    """
    if not cpu.supports(torch.float32):
        return None
    if dtype != torch.bfloat16:
        return cpu if dtype == torch.float32 else widened if widened.supports(dtype) else None
    found = [(name, kernels) for name, kernels, kind in CHOICES if kind == dtype and name in rates()]
    return max((rates()[name], name, kernels) for name, kernels in found if not (narrow and kernels is tiles))[2]


def _measure(choices: list[Choice]) -> dict[str, float]:
    """The best of several times each, by turns."""
    axis = torch.arange(SIDE)
    keys = (torch.cartesian_prod(axis, axis) << torch.tensor([18, 0])).sum(1)
    kernel_map = build_kernel_map(keys, keys, 3, 1)
    weight, rows = torch.ones(27, CHANNELS, CHANNELS), torch.ones(kernel_map.num_out, CHANNELS)
    best = {name: float("inf") for name, *_ in choices}
    for _ in range(REPEATS):
        for name, kernels, dtype in choices:
            best[name] = min(best[name], _seconds(kernels, rows.to(dtype), weight, kernel_map))
    operations = 3 * 2 * kernel_map.num_pairs * CHANNELS**2
    return {name: operations / seconds / 1e9 for name, seconds in best.items()}


def _seconds(kernels: ModuleType, rows: Tensor, weight: Tensor, kernel_map: KernelMap) -> float:
    start = time.perf_counter()
    kernels.forward(rows, weight, None, kernel_map)
    kernels.backward(rows, rows, weight, kernel_map, True, True)
    return time.perf_counter() - start
