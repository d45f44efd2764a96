"""Find fast block sizes for the Triton kernels of a network; keep only those whose results are right.

The search starts from ``triton_config``, changes one value after the other and keeps what is faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
import triton
from torch import Tensor

from ceco3d.benchmarks.engines import training_step
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.timing import Times, alternate, clock
from ceco3d.benchmarks.workload import Workload
from ceco3d.sparse.kernels import triton_convolve as convolution
from ceco3d.sparse.kernels.triton_config import ConvolveConfig, GradientConfig
from ceco3d.sparse.kernels.triton_map import TileMap
from ceco3d.sparse.kernels.triton_tuned import CONFIGS

Config = ConvolveConfig | GradientConfig
Call = tuple[str, TileMap, int, int, torch.dtype]  # arguments of triton_convolve.choose

HEADER = ("kernel", "shape", "before ms", "after ms", "sizes", "tried", "wrong")
TOLERANCE = {"fp32": 1e-5, "tf32": 1e-3, "fp16": 1e-2, "bf16": 1e-2}  # largest error as a share of the largest value
CALLS = 10  # timed together
SMALLEST = {"BLOCK_M": 16, "BLOCK_N": 16, "BLOCK_K": 16, "SPLIT_K": 1, "num_warps": 2, "num_stages": 3}
MOST = 256
CHOICES: dict[str, Sequence[int]] = {"CHUNKS": (1, 2, 3, 4), "OFFSETS": (1, 4, 8, 16)}


def tune_kernels(workload: Workload, system: System, repeats: int) -> dict[str, dict[str, dict[str, Any]]]:
    """{kernel: {shape: result of ``tune_call``}} for every shape in a training step of ``workload``."""
    results: dict[str, dict[str, dict[str, Any]]] = {kernel: {} for kernel in CONFIGS}
    with system.matmul_precision():
        for (kernel, key), call in training_calls(workload, system).items():
            results[kernel][key] = tune_call(call, TOLERANCE[system.precision], repeats)
    return results


def training_calls(workload: Workload, system: System) -> dict[tuple[str, str], Call]:
    """{(kernel, shape): the first call with that shape} in a training step."""
    with _recorded_calls() as calls:
        training_step(workload.network(system), workload, system)
    return calls


@contextmanager
def _recorded_calls() -> Iterator[dict[tuple[str, str], Call]]:
    """A context in which every choice of block sizes is recorded; ``choose`` is as before afterward."""
    calls: dict[tuple[str, str], Call] = {}
    module: Any = convolution  # its function is replaced for a while
    choose = module.choose

    def record(kernel: str, tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype) -> Config:
        key = convolution.call_key(tiles, in_channels, out_channels, dtype)
        calls.setdefault((kernel, key), (kernel, tiles, in_channels, out_channels, dtype))
        config: Config = choose(kernel, tiles, in_channels, out_channels, dtype)
        return config

    module.choose = record
    try:
        yield calls
    finally:
        module.choose = choose


def tune_call(call: Call, tolerance: float, repeats: int) -> dict[str, Any]:
    """The best block sizes for one call, as {"sizes", "before", "after", "tried", "wrong"}; times in seconds.

    "before" is the time with ``triton_config``. "wrong" counts candidates with any value off by more than ``tolerance``
    and those that the GPU cannot run. RuntimeError if ``triton_config`` itself is wrong.
    """
    kernel, tiles, *_ = call
    device, values = tiles.rows.device, random_values(call)
    expected = reference(kernel, values, tiles)

    def run(config: Config) -> Tensor:
        return run_kernel(kernel, values, tiles, config)

    def is_right(config: Config) -> bool:
        try:
            out = run(config)
        except (triton.TritonError, RuntimeError):  # it does not fit, or a compiler fails
            return False
        return bool(((out.float() - expected).abs() <= tolerance * expected.abs().max()).all())

    def compare(*configs: Config) -> dict[Config, Times]:
        return alternate({config: partial(clock, partial(run, config), device, CALLS) for config in configs}, repeats)

    before = best = convolution.default_config(*call)
    if not is_right(before):
        raise RuntimeError(f"{kernel} with {before} is wrong on this GPU; use engine=native and report this")
    tried, wrong = 0, 0
    seconds: dict[Config, float] = {}
    for field in asdict(best):
        for candidate in variations(best, field, call):
            tried += 1
            if not is_right(candidate):
                wrong += 1
                continue
            medians = {config: times.median for config, times in compare(best, candidate).items()}
            seconds |= medians
            best = min(medians, key=medians.__getitem__)
    first = compare(before)[before].median
    after = min(seconds.get(best, first), first)
    return {"sizes": asdict(best), "before": first, "after": after, "tried": tried, "wrong": wrong}


def run_kernel(kernel: str, values: tuple[Tensor, Tensor], tiles: TileMap, config: Config) -> Tensor:
    """The output of one of CONFIGS with the block sizes ``config``."""
    if isinstance(config, GradientConfig):
        return convolution.weight_gradient(*values, tiles, config)
    if kernel == "input_gradient":
        return convolution.input_gradient(*values, tiles, False, config)
    return convolution.convolve(*values, None, tiles, config)


def variations(config: Config, field: str, call: Call) -> Iterator[Config]:
    """``config`` with each other CHOICE of ``field``, half and twice its value, or two stages less and more."""
    value: int = getattr(config, field)
    if field in CHOICES:
        others = CHOICES[field]
    else:
        halved_doubled = (value - 2, value + 2) if field == "num_stages" else (value // 2, value * 2)
        others = [other for other in halved_doubled if SMALLEST[field] <= other <= MOST]
    for other in others:
        changed: Config = replace(config, **{field: other})  # type: ignore[arg-type]  # the fields are integers
        if field == "CHUNKS":  # larger steps, fewer of them in flight
            changed = replace(changed, num_stages=min(changed.num_stages, 5))
        if other != value and _suits(changed, call):
            yield changed


def _suits(config: Config, call: Call) -> bool:
    """Whether the kernel computes the call with ``config``."""
    _, tiles, in_channels, *_ = call
    if isinstance(config, ConvolveConfig):
        return in_channels > (config.CHUNKS - 1) * config.BLOCK_K
    if config.OFFSETS > 1 and (in_channels > config.BLOCK_M or config.OFFSETS * config.BLOCK_M > MOST):
        return False
    return tiles.tile >= config.BLOCK_K


def random_values(call: Call) -> tuple[Tensor, Tensor]:
    """Rows (num_in, Cin) and the weight (K, Cin, Cout) or output gradient (num_out, Cout), all of the call's dtype.

    Cin and Cout are the channels that the kernel reads and writes; "input_gradient" has the weight (K, Cout, Cin).
    """
    kernel, tiles, cin, cout, dtype = call
    device = tiles.rows.device
    rng = torch.Generator(device).manual_seed(0)
    rows = torch.randn(tiles.num_in, cin, generator=rng, device=device).to(dtype)
    second = {
        "convolve": (tiles.volume, cin, cout),
        "input_gradient": (tiles.volume, cout, cin),
        "weight_gradient": (tiles.num_out, cout),
    }
    return rows, torch.randn(second[kernel], generator=rng, device=device).to(dtype)


def reference(kernel: str, values: Sequence[Tensor], tiles: TileMap) -> Tensor:
    """The result computed by plain torch in float64, offset by offset; returned as float32."""
    first, second = (value.double() for value in values)
    rows = tiles.rows.reshape(-1, 1, tiles.tile).expand_as(tiles.neighbors).flatten(0, 1)
    neighbors = tiles.neighbors.flatten(0, 1)
    if kernel == "input_gradient":
        second = second.transpose(1, 2)
    if kernel == "weight_gradient":
        out = first.new_zeros(tiles.volume, first.shape[1], second.shape[1])
    else:
        out = first.new_zeros(tiles.num_out, second.shape[2])
    for k, count in enumerate(tiles.block_counts.tolist()):
        blocks = tiles.blocks[k, :count]
        pairs = neighbors[blocks] >= 0
        inputs, outputs = neighbors[blocks][pairs], rows[blocks][pairs]
        if kernel == "weight_gradient":
            out[k] = first[inputs].T @ second[outputs]
        else:
            out.index_add_(0, outputs, first[inputs] @ second[k])
    return out.float()


def tune_rows(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[tuple[str, ...]]:
    """The table, under HEADER."""
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
