"""One network on several systems: kernel maps, forward pass, training step, peak memory."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ceco3d.benchmarks.failures import captured_output, reason
from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.timing import Times, alternate, clock
from ceco3d.benchmarks.workload import Workload
from ceco3d.models.blocks import BasicBlock
from ceco3d.models.fold import fold_batch_norms
from ceco3d.models.minkunet import MinkUNet, Variant
from ceco3d.sparse import SparseTensor
from ceco3d.utils.allocator import keep_freed_memory
from ceco3d.utils.parallel import run_parallel

logger = logging.getLogger(__name__)

# The levels and kernels of the MinkUNets with almost no arithmetic.
_THIN = Variant(BasicBlock, (1,) * 8, (1,) * 8)


def working(workload: Workload, systems: Sequence[System]) -> list[System]:
    """``systems`` without the baselines that fail to take a training step on ``workload``; logs the reason.

    Each baseline runs in its own process, because a binary that does not suit the GPU may kill it. Those that tune
    their kernels do so here, untimed, and keep what they find on disk.
    """
    baselines, broken = [system for system in systems if system.is_baseline], set()
    probe = partial(_failure, workload=workload.to("cpu"), device=workload.device)
    for system, future in run_parallel(probe, baselines, 1):
        error = future.exception()
        if why := future.result() if error is None else reason(error):
            broken.add(system)
            logger.info(f"skipping {system}: {why}")
    return [system for system in systems if system not in broken]


def _failure(system: System, workload: Workload, device: torch.device) -> str | None:
    """Why ``system`` cannot take a training step, or None; what it prints is not shown."""
    with captured_output() as output:
        try:
            _peak(system, workload, device, "training")
        except Exception as error:
            return reason(error, output())
    return None


def measure(
    workload: Workload, systems: Sequence[System], repeats: int, what: Sequence[str]
) -> dict[str, dict[str, Times]]:
    """{"maps" | name of PASSES: {system: times}} for the names in ``what``."""
    results = {}
    if "maps" in what:
        times = alternate({system.engine: map_clock(workload, system) for system in systems}, repeats)
        results["maps"] = {str(system): times[system.engine] for system in systems}
    for name, function in PASSES.items():
        if name in what:
            runs = {
                str(system): partial(
                    clock,
                    partial(function, network(workload, system, name), workload, system),
                    workload.device,
                )
                for system in systems
            }
            results[name] = alternate(runs, repeats)
    return results


def network(workload: Workload, system: System, name: str) -> MinkUNet:
    """The network for one of PASSES: for inference with folded batch norms, which baselines have no way to fold."""
    model = workload.network(system, inference=name != "training")
    return fold_batch_norms(model) if name == "inference" and not system.is_baseline else model


def forward(network: MinkUNet, workload: Workload, system: System) -> Tensor:
    """Logits (N, K) in evaluation mode, including everything that a new scene costs."""
    network.eval()
    with torch.inference_mode(), system.matmul_precision(), system.autocast(workload.device):
        logits: Tensor = network(workload.tensor(system)).features
        return logits


def training_step(network: MinkUNet, workload: Workload, system: System) -> None:
    """Forward pass, cross-entropy and backward pass."""
    network.train()
    network.zero_grad(set_to_none=True)
    with system.matmul_precision():
        with system.autocast(workload.device):
            logits = network(workload.tensor(system)).features
        torch.autograd.backward(F.cross_entropy(logits.float(), workload.labels))


PASSES: dict[str, Callable[[MinkUNet, Workload, System], object]] = {
    "forward": forward,
    "inference": forward,
    "training": training_step,
}


def peak_memory(workload: Workload, systems: Sequence[System], what: Sequence[str]) -> dict[str, dict[str, float]]:
    """{name of PASSES: {system: GiB}}: the peak of a process that does it twice and nothing else.

    On a GPU, the memory that torch allocates there; on a CPU, the whole process with its libraries (Linux).
    """
    results: dict[str, dict[str, float]] = {name: {} for name in PASSES if name in what}
    for name, gib in results.items():
        peak = partial(_peak, workload=workload.to("cpu"), device=workload.device, name=name)
        for system in systems:
            for _, future in run_parallel(peak, [system], 1):
                gib[str(system)] = future.result()
    return results


def _peak(system: System, workload: Workload, device: torch.device, name: str) -> float:
    keep_freed_memory()
    workload = workload.to(device)  # here, since GPU tensors cannot always be sent to another process
    model = network(workload, system, name)
    for _ in range(2):
        PASSES[name](model, workload, system)
    if workload.device.type == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() / 2**30
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kib) / 2**20


def map_clock(workload: Workload, system: System) -> Callable[[], float]:
    """A function that builds voxel levels and kernel maps anew, as training needs them, and returns the seconds.

    ceco3d builds them before the pass. MinkowskiEngine does so inside it: a first pass of a thin network minus a second
    one that reuses them. spconv times itself in a pass of the whole network. ocnn builds its octree with the tensor.
    """
    if system.engine == "ocnn":
        return partial(clock, partial(workload.tensor, system), workload.device)
    if system.is_baseline:
        return partial(_spconv_map_seconds, workload.network(system).train(), workload, system)
    layers, stem = system.layers(), workload.model["stem_kernel"]
    thin = MinkUNet(_THIN, 1, 1, stem_kernel=stem, engine=layers).to(workload.device).eval()
    features = torch.zeros(len(workload), 1, device=workload.device)

    @torch.inference_mode()
    def build() -> None:
        thin.build_maps(layers.SparseTensor(features, workload.coordinates))

    if system.engine == "minkowski":
        return partial(_minkowski_map_seconds, thin, features, workload)
    return partial(clock, build, workload.device)


@torch.inference_mode()
def _minkowski_map_seconds(thin: MinkUNet, features: Tensor, workload: Workload) -> float:
    from ceco3d.sparse.minkowski import MinkowskiTensor  # needs MinkowskiEngine

    tensors = []

    def first() -> None:
        tensors.append(MinkowskiTensor.of(SparseTensor(features, workload.coordinates)))
        thin(tensors[-1])

    return clock(first, workload.device) - clock(lambda: thin(tensors[-1]), workload.device)


@torch.no_grad()
def _spconv_map_seconds(network: MinkUNet, workload: Workload, system: System) -> float:
    x: Any = workload.tensor(system)  # an SpconvTensor
    x.sparse.benchmark = True
    with system.matmul_precision():
        network(x)
    return float(sum(sum(record["indice_gen_time"]) for record in x.sparse.benchmark_record.values()))
