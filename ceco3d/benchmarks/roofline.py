"""The convolutions of a training step, level by level, against their roofline.

The floor of a layer in one direction is the larger of operations / GEMM rate and bytes / copy bandwidth, both measured
in the same run (Williams et al., Roofline, CACM 2009). The floor of a level is the sum over its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ceco3d.benchmarks.compare import gemm_rates
from ceco3d.benchmarks.convolutions import DIRECTIONS, ConvolutionSize, measure_convolutions
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.timing import alternate, clock, copy_rate
from ceco3d.benchmarks.workload import Workload
from ceco3d.sparse import SparseTensor

HEADER = ("stride: voxels", "direction", "GFLOP", "MB", "bound by", "floor ms", "ms", "roofline")
GPU_CALLS = 20  # calls timed together: the host then hides behind the GPU, as in a whole pass

Layers = dict[str, ConvolutionSize]
LayerTimes = dict[ConvolutionSize, dict[str, float]]  # median seconds by direction


def time_roofline(workload: Workload, systems: Sequence[System], repeats: int) -> dict[str, Any]:
    """Seconds, bytes and operations of ``systems`` on ``workload``, a line for every level and direction."""
    layers = measure_convolutions(workload)
    rates, bandwidth = gemm_rates([system.precision for system in systems], workload.device), copy_rate(workload.device)
    return {
        "voxels": len(workload),
        "gemm_rate": rates,
        "bandwidth": bandwidth,
        "systems": {
            str(system): _levels(
                layers,
                time_layers(workload, system, layers, repeats),
                system.dtype,
                rates[system.precision],
                bandwidth,
            )
            for system in systems
        },
    }


def time_layers(workload: Workload, system: System, layers: Layers, repeats: int) -> LayerTimes:
    """Median seconds of each size of convolution. Layers of one size are timed once; the stem has no input gradient."""
    network = workload.network(system)
    inputs = _layer_inputs(network, workload, system, layers)
    calls = GPU_CALLS if workload.device.type == "cuda" else 1
    times: LayerTimes = {}
    stem = next(iter(layers))
    for name, size in layers.items():
        if size in times:
            continue
        directions = [direction for direction in DIRECTIONS if name != stem or direction != "input grad"]
        with system.matmul_precision():
            runs = _runs(network.get_submodule(name), size, inputs[name], system, directions)
            clocks = {direction: partial(clock, run, workload.device, calls) for direction, run in runs.items()}
            times[size] = {direction: found.median for direction, found in alternate(clocks, repeats).items()}
    return times


def _layer_inputs(network: nn.Module, workload: Workload, system: System, layers: Layers) -> dict[str, SparseTensor]:
    """{layer name: its input in a forward pass, with the kernel maps but without features}."""
    inputs: dict[str, SparseTensor] = {}

    def keep(name: str, _: nn.Module, args: tuple[SparseTensor]) -> None:
        (x,) = args
        inputs[name] = x.with_rows(x.rows.new_empty(len(x), 0))

    hooks = [network.get_submodule(name).register_forward_pre_hook(partial(keep, name)) for name in layers]
    with torch.no_grad(), system.matmul_precision(), system.autocast(workload.device):
        network(workload.tensor(system))
    for hook in hooks:
        hook.remove()
    return inputs


def _runs(
    layer: nn.Module, size: ConvolutionSize, x: SparseTensor, system: System, directions: Sequence[str]
) -> dict[str, Callable[[], object]]:
    """{direction: a function that computes that direction of ``layer`` alone}, on random rows."""
    device = x.rows.device
    rows = torch.randn(len(x), size.in_channels, device=device).to(system.dtype)

    def forward(rows: Tensor) -> Tensor:
        with system.autocast(device):
            out: Tensor = layer(x.with_rows(rows)).rows
            return out

    def gradient(of: Tensor, rows: Tensor) -> Callable[[], object]:
        layer.requires_grad_(False)
        of.requires_grad_(True)
        out = forward(rows)
        return partial(torch.autograd.grad, out, of, torch.randn_like(out), retain_graph=True)

    runs: dict[str, Callable[[], object]] = {"forward": lambda: torch.no_grad()(forward)(rows)}
    if "input grad" in directions:
        leaf = rows.clone()
        runs["input grad"] = gradient(leaf, leaf)
    runs["weight grad"] = gradient(layer.get_parameter("kernel"), rows)
    return runs


def _levels(
    layers: Layers, times: LayerTimes, dtype: torch.dtype, rate: float, bandwidth: float
) -> list[dict[str, Any]]:
    """A line for every level and direction, then one for each direction over all levels ("stride": None)."""
    lines = []
    for stride in (*sorted({layer.stride for layer in layers.values()}), None):
        members = [layer for layer in layers.values() if stride in (layer.stride, None)]
        for direction in DIRECTIONS:
            timed = [layer for layer in members if direction in times[layer]]
            traffic = [layer.traffic(direction, dtype) for layer in timed]
            arithmetic = [layer.operations / rate for layer in timed]
            memory = [moved / bandwidth for moved in traffic]
            lines.append(
                {
                    "stride": stride,
                    "voxels": None if stride is None else members[0].voxels,
                    "direction": direction,
                    "operations": sum(layer.operations for layer in timed),
                    "bytes": sum(traffic),
                    "floor": sum(map(max, arithmetic, memory)),
                    "bound": "arithmetic" if sum(arithmetic) > sum(memory) else "memory",
                    "seconds": sum(times[layer][direction] for layer in timed),
                }
            )
    return lines


def roofline_title(result: dict[str, Any], system: str) -> str:
    """The title of one system's table."""
    rate = result["gemm_rate"][System.named(system).precision]
    return (
        f"{system}, {result['voxels']:,} voxels; GEMM {rate / 1e9:,.0f} GFLOP/s, "
        f"copies {result['bandwidth'] / 1e9:,.0f} GB/s"
    )


def roofline_rows(lines: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The table of one system, under HEADER."""
    return [
        (
            "all" if line["stride"] is None else f"{line['stride']}: {line['voxels']:,}",
            line["direction"],
            f"{line['operations'] / 1e9:.1f}",
            f"{line['bytes'] / 1e6:.1f}",
            line["bound"],
            f"{1e3 * line['floor']:.2f}",
            f"{1e3 * line['seconds']:.2f}",
            f"{100 * line['floor'] / line['seconds']:.0f} %",
        )
        for line in lines
    ]
