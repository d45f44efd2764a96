"""The comparison of engines and baselines, measured and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ceco3d.benchmarks.convolutions import measure_convolutions
from ceco3d.benchmarks.engines import PASSES, measure, peak_memory, working
from ceco3d.benchmarks.systems import System, float32_matmul_precision
from ceco3d.benchmarks.timing import Times, gemm_rate
from ceco3d.benchmarks.workload import Workload
from ceco3d.utils.device import PRECISIONS

HEADER = ("system", "maps", *PASSES, "voxels/s", "peak GiB", "first call")


def compare_engines(workload: Workload, systems: Sequence[System], repeats: int, what: Sequence[str]) -> dict[str, Any]:
    """All measurements on one workload, as written to JSON; times in seconds, memory in GiB.

    ``what`` selects among "maps", the names of PASSES and "memory".
    """
    systems = working(workload, systems)
    sizes = measure_convolutions(workload).values()
    operations = sum(size.operations for size in sizes)
    times = measure(workload, systems, repeats, what)  # before memory, whose processes leave compiled kernels on disk
    memory = peak_memory(workload, systems, what) if "memory" in what else {}
    rates = gemm_rates([system.precision for system in systems], workload.device)
    return {
        "voxels": len(workload),
        "neighbors": next(size.pairs / size.voxels for size in reversed(sizes) if size.volume == 27),
        "forward_gflop": operations / 1e9,
        "gemm_gflops": {name: rate / 1e9 for name, rate in rates.items()},
        "systems": {
            str(system): _summary(
                {name: by_system[str(system)] for name, by_system in times.items()},
                {name: by_system[str(system)] for name, by_system in memory.items()},
                operations,
                rates[system.precision],
            )
            for system in systems
        },
    }


def _summary(times: dict[str, Times], memory: dict[str, float], operations: float, rate: float) -> dict[str, Any]:
    """The measurements of one system; a training step counts as three forward passes of operations."""
    return {
        "seconds": {name: list(measured.seconds) for name, measured in times.items()},
        "first": {name: measured.first for name, measured in times.items()},
        "median": {name: measured.median for name, measured in times.items()},
        "peak_gib": memory,
        "gemm_share": {
            name: (3 if name == "training" else 1) * operations / times[name].median / rate
            for name in PASSES
            if name in times
        },
        "maps_share": times["maps"].median / times["training"].median if {"maps", "training"} <= times.keys() else None,
    }


def gemm_rates(precisions: Sequence[str], device: torch.device) -> dict[str, float]:
    """{precision: floating-point operations per second of a product of large matrices}."""
    rates = {}
    for name in dict.fromkeys(precisions):
        with float32_matmul_precision(name):
            rates[name] = gemm_rate(PRECISIONS[name], device)
    return rates


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row per system, under HEADER.

    Each time comes with its spread and the speedup over the last system, then the maps' share of the training step or
    the share of the machine's GEMM rate. Voxels per second are those of training.
    """
    systems = result["systems"]
    last = systems[list(systems)[-1]]
    rows = []
    for name, measured in systems.items():
        cells = []
        for key in ("maps", *PASSES):
            if key not in measured["seconds"]:
                cells.append("-")
                continue
            speedup = last["median"][key] / measured["median"][key]
            share = f"; {100 * measured['gemm_share'][key]:.0f} % GEMM" if key in measured["gemm_share"] else ""
            if key == "maps" and measured["maps_share"] is not None:
                share = f"; {100 * measured['maps_share']:.1f} % of step"
            cells.append(f"{Times(tuple(measured['seconds'][key]))}; {speedup:.1f}x{share}")
        training = measured["median"].get("training")
        cells.append("-" if training is None else f"{result['voxels'] / training:,.0f}")
        cells.append("; ".join(f"{gib:.2f} {key}" for key, gib in measured["peak_gib"].items()) or "-")
        firsts = [f"{measured['first'][key]:.1f} s {key}" for key in PASSES if key in measured["first"]]
        cells.append("; ".join(firsts) or "-")
        rows.append((name, *cells))
    return rows


def describe(result: dict[str, Any]) -> str:
    """The title of the table."""
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in result["gemm_gflops"].items())
    return (
        f"{result['voxels']:,} voxels, {result['neighbors']:.1f} neighbors per voxel, "
        f"{result['forward_gflop']:.0f} GFLOP forward; GEMM rate in GFLOP/s: {rates}"
    )
