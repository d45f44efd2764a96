"""The whole comparison of engines: measured, and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ceco3d.benchmarks.convolutions import convolutions
from ceco3d.benchmarks.engines import measure, peak_memory, working
from ceco3d.benchmarks.systems import System, float32_products
from ceco3d.benchmarks.timing import Times, gemm_rate
from ceco3d.benchmarks.workload import Work
from ceco3d.utils.device import PRECISIONS

HEADER = ("system", "maps", "forward", "training", "voxels/s", "peak GiB")


def compare(work: Work, systems: Sequence[System], repeats: int, what: Sequence[str]) -> dict[str, Any]:
    """Everything measured on one input, as it goes into the JSON file; times in seconds, memory in GiB."""
    systems = working(work, systems)
    layers = convolutions(work).values()
    operations = sum(layer.operations for layer in layers)
    neighbours = next(layer.pairs / layer.voxels for layer in reversed(layers) if layer.volume == 27)
    memory = peak_memory(work, systems, what) if "memory" in what else {}
    times = measure(work, systems, repeats, what)
    rates = gemm_rates([system.precision for system in systems], work.device)
    return {
        "voxels": len(work),
        "neighbours": neighbours,
        "forward_gflop": operations / 1e9,
        "gemm_gflops": {name: rate / 1e9 for name, rate in rates.items()},
        "systems": {
            str(system): {
                "seconds": {name: list(found[str(system)].seconds) for name, found in times.items()},
                "median": {name: found[str(system)].median for name, found in times.items()},
                "peak_gib": {name: found[str(system)] for name, found in memory.items()},
                "gemm_share": {
                    name: factor * operations / times[name][str(system)].median / rates[system.precision]
                    for name, factor in (("forward", 1), ("training", 3))
                    if name in times
                },
                "maps_share": times["maps"][str(system)].median / times["training"][str(system)].median
                if {"maps", "training"} <= times.keys()
                else None,
            }
            for system in systems
        },
    }


def gemm_rates(precisions: Sequence[str], device: torch.device) -> dict[str, float]:
    """{precision: floating-point operations per second of a product of large matrices}."""
    rates = {}
    for name in dict.fromkeys(precisions):
        with float32_products(name):
            rates[name] = gemm_rate(PRECISIONS[name], device)
    return rates


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row per system: times with half their range, then how many times faster than the last system, then maps as a
    share of the training step or the share of the machine's GEMM rate; voxels trained on per second."""
    systems = result["systems"]
    last = systems[list(systems)[-1]]
    rows = []
    for name, found in systems.items():
        cells = []
        for key in ("maps", "forward", "training"):
            if key not in found["seconds"]:
                cells.append("-")
                continue
            ratio = last["median"][key] / found["median"][key]
            share = f"; {100 * found['gemm_share'][key]:.0f} % GEMM" if key in found["gemm_share"] else ""
            if key == "maps" and found["maps_share"] is not None:
                share = f"; {100 * found['maps_share']:.1f} % of step"
            cells.append(f"{Times(tuple(found['seconds'][key]))}; {ratio:.1f}x{share}")
        trained = found["median"].get("training")
        cells.append("-" if trained is None else f"{result['voxels'] / trained:,.0f}")
        cells.append("; ".join(f"{gib:.2f} {key}" for key, gib in found["peak_gib"].items()) or "-")
        rows.append((name, *cells))
    return rows


def describe(result: dict[str, Any]) -> str:
    """The line above the table."""
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in result["gemm_gflops"].items())
    return (
        f"{result['voxels']:,} voxels, {result['neighbours']:.1f} neighbours per voxel, "
        f"{result['forward_gflop']:.0f} GFLOP forward; GEMM rate in GFLOP/s: {rates}"
    )
