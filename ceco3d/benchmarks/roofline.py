"""The convolutions of a training step, level by level, beside the least time that the machine would need for them.

The floor of a layer in one direction is the larger of operations / GEMM rate and bytes / copy bandwidth, both measured
here (Williams et al., Roofline, CACM 2009); that of a level is the sum over its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from ceco3d.benchmarks.compare import gemm_rates
from ceco3d.benchmarks.convolutions import DIRECTIONS, Counted, convolutions
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.timing import alternate, clock, copy_rate
from ceco3d.benchmarks.workload import Work
from ceco3d.sparse import SparseTensor

HEADER = ("stride: voxels", "direction", "GFLOP", "MB", "bound by", "floor ms", "ms", "roofline")
GPU_CALLS = 20  # of a layer, timed together: the host's part then hides behind the GPU's as in a whole pass


def roofline(work: Work, systems: Sequence[System], repeats: int) -> dict[str, Any]:
    """What ``systems`` reach on ``work``: a line for every level and direction; seconds, bytes, operations."""
    layers = convolutions(work)
    rates, bandwidth = gemm_rates([system.precision for system in systems], work.device), copy_rate(work.device)
    return {
        "voxels": len(work),
        "gemm_rate": rates,
        "bandwidth": bandwidth,
        "systems": {
            str(system): _levels(layers, time_layers(work, system, layers, repeats), system, rates, bandwidth)
            for system in systems
        },
    }


def time_layers(
    work: Work, system: System, layers: dict[str, Counted], repeats: int
) -> dict[Counted, dict[str, float]]:
    """{layer: {direction: median seconds}}; layers of one size are timed once. The stem has no input gradient."""
    network, inputs = work.network(system), {}

    def keep(name: str, layer: nn.Module, x: SparseTensor) -> None:
        inputs[name] = x.with_rows(x.rows.new_empty(len(x), 0))  # the maps without the features

    hooks = [
        network.get_submodule(name).register_forward_pre_hook(lambda layer, args, name=name: keep(name, layer, *args))
        for name in layers
    ]
    with torch.no_grad(), system.products(), system.autocast(work.device):
        network(work.tensor(system))
    for hook in hooks:
        hook.remove()
    calls = GPU_CALLS if work.device.type == "cuda" else 1
    times: dict[Counted, dict[str, float]] = {}
    stem = next(iter(layers))
    for name, counted in layers.items():
        if counted in times:
            continue
        directions = [direction for direction in DIRECTIONS if name != stem or direction != "input grad"]
        with system.products():
            runs = _runs(network.get_submodule(name), inputs[name], system, directions)
            found = alternate(
                {direction: partial(clock, run, work.device, calls) for direction, run in runs.items()}, repeats
            )
        times[counted] = {direction: found[direction].median for direction in directions}
    return times


def _runs(
    layer: nn.Module, x: SparseTensor, system: System, directions: Sequence[str]
) -> dict[str, Callable[[], object]]:
    """What computes one direction of ``layer`` and no other, on random rows."""
    device = x.rows.device
    rows = torch.randn(len(x), layer.in_channels, device=device).to(system.dtype)

    def forward(rows: torch.Tensor) -> torch.Tensor:
        with system.autocast(device):
            return layer(x.with_rows(rows)).rows

    def gradient(of: torch.Tensor, rows: torch.Tensor) -> Callable[[], object]:
        layer.requires_grad_(False)
        of.requires_grad_(True)
        out = forward(rows)
        return partial(torch.autograd.grad, out, of, torch.randn_like(out), retain_graph=True)

    runs = {"forward": lambda: torch.no_grad()(forward)(rows)}
    if "input grad" in directions:
        leaf = rows.clone()
        runs["input grad"] = gradient(leaf, leaf)
    runs["weight grad"] = gradient(layer.kernel, rows)
    return runs


def _levels(
    layers: dict[str, Counted],
    times: dict[Counted, dict[str, float]],
    system: System,
    rates: dict[str, float],
    bandwidth: float,
) -> list[dict[str, Any]]:
    """A line for every level and direction, then one for each direction of all levels ("stride": None)."""
    lines = []
    for stride in (*sorted({layer.stride for layer in layers.values()}), None):
        members = [layer for layer in layers.values() if stride in (layer.stride, None)]
        for direction in DIRECTIONS:
            timed = [layer for layer in members if direction in times[layer]]
            traffic = [layer.traffic(direction, system.dtype) for layer in timed]
            arithmetic = [layer.operations / rates[system.precision] for layer in timed]
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
    """The line above the table of one system."""
    rate = result["gemm_rate"][System.named(system).precision]
    return (
        f"{system}, {result['voxels']:,} voxels; GEMM {rate / 1e9:,.0f} GFLOP/s, "
        f"copies {result['bandwidth'] / 1e9:,.0f} GB/s"
    )


def roofline_rows(lines: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The lines of one system as a table with HEADER."""
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
