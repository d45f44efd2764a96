"""Try sizes of blocks for the Triton kernels of a network; keep the fastest whose results are right.

From the sizes of ``triton_config``, one size after the other is halved and doubled, and kept where that is faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor

from ceco3d.benchmarks.engines import training_step
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.timing import alternate, clock
from ceco3d.benchmarks.workload import Work
from ceco3d.sparse.kernels import triton_convolve as convolution
from ceco3d.sparse.kernels.triton_config import ConvolveConfig, GradientConfig
from ceco3d.sparse.kernels.triton_map import TileMap
from ceco3d.sparse.kernels.triton_tuned import CONFIGS

Config = ConvolveConfig | GradientConfig
Call = tuple[str, TileMap, int, int, torch.dtype]  # arguments of triton_convolve.choose

HEADER = ("kernel", "shape", "before ms", "after ms", "sizes", "tried", "wrong")
# Largest error of a single value, as a share of the largest one.
TOLERANCE = {"fp32": 1e-5, "tf32": 1e-3, "fp16": 1e-2, "bf16": 1e-2}
CALLS = 10  # timed together
SMALLEST = {"BLOCK_M": 16, "BLOCK_N": 16, "BLOCK_K": 16, "SPLIT_K": 1, "num_warps": 2}


def tune(work: Work, system: System, repeats: int) -> dict[str, dict[str, dict[str, Any]]]:
    """{kernel: {shape: result}} for every shape in a training step of ``work``; ``sizes`` are what to use."""
    results: dict[str, dict[str, dict[str, Any]]] = {kernel: {} for kernel in CONFIGS}
    with system.products():
        for (kernel, key), call in training_calls(work, system).items():
            results[kernel][key] = tune_call(call, TOLERANCE[system.precision], repeats)
    return results


def training_calls(work: Work, system: System) -> dict[tuple[str, str], Call]:
    """{(kernel, shape): a call of that kernel} in a training step."""
    calls: dict[tuple[str, str], Call] = {}
    choose = convolution.choose

    def spy(*call: Any) -> Config:
        calls.setdefault((call[0], convolution.call_key(*call[1:])), call)
        return choose(*call)

    with patch.object(convolution, "choose", spy):
        training_step(work.network(system), work, system)
    return calls


def tune_call(call: Call, tolerance: float, repeats: int) -> dict[str, Any]:
    """The best sizes for one call, its milliseconds with those of ``triton_config`` and with the best, and what failed.

    A candidate counts as wrong when a single value is, or when the GPU cannot hold it.
    """
    kernel, tiles, *_ = call
    device, values = tiles.rows.device, random_values(call)
    wanted = reference(kernel, values, tiles)

    def run(config: Config) -> Tensor:
        return getattr(convolution, kernel)(*values, *((None,) if kernel == "convolve" else ()), tiles, config)

    def right(config: Config) -> bool:
        try:
            out = run(config)
        except (triton.TritonError, RuntimeError):  # it does not fit, or one of its compilers fails
            return False
        return bool(((out.float() - wanted).abs() <= tolerance * wanted.abs().max()).all())

    before = best = convolution.default_config(*call)
    if not right(before):
        raise RuntimeError(f"{kernel} with {before} is wrong on this GPU: use engine=native and report this")
    tried, wrong, seconds = 0, 0, {}
    for field in asdict(best):
        for candidate in variations(best, field):
            tried += 1
            if not right(candidate):
                wrong += 1
                continue
            runs = {config: partial(clock, partial(run, config), device, CALLS) for config in (best, candidate)}
            times = {config: found.median for config, found in alternate(runs, repeats).items()}
            seconds |= times
            best = min(times, key=times.get)
    first = alternate({"before": partial(clock, partial(run, before), device, CALLS)}, repeats)["before"].median
    after = min(seconds.get(best, first), first)
    return {"sizes": asdict(best), "before": first, "after": after, "tried": tried, "wrong": wrong}


def variations(config: Config, field: str) -> Iterator[Config]:
    """``config`` with half and twice the size ``field``; of num_stages, two fewer and two more."""
    value = getattr(config, field)
    others = (value - 2, value + 2) if field == "num_stages" else (value // 2, value * 2)
    for other in others:
        if SMALLEST.get(field, 3) <= other <= 256:
            changed = replace(config, **{field: other})
            if not isinstance(changed, GradientConfig) or changed.BLOCK_K <= 64:  # a tile has 64 rows at least
                yield changed


def random_values(call: Call) -> tuple[Tensor, Tensor]:
    """Rows of the input, then the weight (K, Cin, Cout) or the rows of the output's gradient, in the call's dtype."""
    kernel, tiles, cin, cout, dtype = call
    device = tiles.rows.device
    rng = torch.Generator(device).manual_seed(0)
    second = (tiles.volume, cin, cout) if kernel == "convolve" else (tiles.num_out, cout)
    return tuple(torch.randn(shape, generator=rng, device=device).to(dtype) for shape in ((tiles.num_in, cin), second))


def reference(kernel: str, values: Sequence[Tensor], tiles: TileMap) -> Tensor:
    """The result in float64 by plain torch, offset by offset, as float32."""
    first, second = (value.double() for value in values)
    rows = tiles.rows.reshape(-1, 1, tiles.tile).expand_as(tiles.neighbors).flatten(0, 1)
    neighbours = tiles.neighbors.flatten(0, 1)
    if kernel == "convolve":
        out = first.new_zeros(tiles.num_out, second.shape[2])
    else:
        out = first.new_zeros(tiles.volume, first.shape[1], second.shape[1])
    for k, count in enumerate(tiles.block_counts.tolist()):
        blocks = tiles.blocks[k, :count]
        pairs = neighbours[blocks] >= 0
        inputs, outputs = neighbours[blocks][pairs], rows[blocks][pairs]
        if kernel == "convolve":
            out.index_add_(0, outputs, first[inputs] @ second[k])
        else:
            out[k] = first[inputs].T @ second[outputs]
    return out.float()


def tune_rows(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[tuple[str, ...]]:
    """The cells of a table under HEADER."""
    return [
        (
            kernel,
            shape,
            f"{1000 * result['before']:.3f}",
            f"{1000 * result['after']:.3f}",
            " ".join(f"{name} {value}" for name, value in result["sizes"].items()),
            str(result["tried"]),
            str(result["wrong"]),
        )
        for kernel, shapes in results.items()
        for shape, result in shapes.items()
    ]
