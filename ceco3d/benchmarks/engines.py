"""One network on several systems: kernel maps, forward pass, training step, peak memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ceco3d.benchmarks.systems import System
from ceco3d.benchmarks.timing import Times, alternate, clock
from ceco3d.benchmarks.workload import Work
from ceco3d.models.blocks import BasicBlock
from ceco3d.models.minkunet import MinkUNet, Variant
from ceco3d.sparse import SparseTensor
from ceco3d.utils.allocator import keep_freed_memory
from ceco3d.utils.parallel import run_parallel

# The levels and kernels of the family with next to no arithmetic.
_THIN = Variant(BasicBlock, (1,) * 8, (1,) * 8)


def working(work: Work, systems: Sequence[System]) -> list[System]:
    """``systems`` without the peers that cannot take a training step on ``work``, with a line that says why.

    Each is tried in a process of its own: where their binaries do not suit the GPU, they end it.
    """
    peers, broken = [system for system in systems if system.peer], set()
    peak = partial(_peak, work=work.to("cpu"), device=work.device, name="training")
    for system, future in run_parallel(peak, peers, 1):
        if (error := future.exception()) is not None:
            broken.add(system)
            print(f"leaving out {system}: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
    return [system for system in systems if system not in broken]


def measure(work: Work, systems: Sequence[System], repeats: int, what: Sequence[str]) -> dict[str, dict[str, Times]]:
    """{"maps" | "forward" | "training": {system: times}} for those named in ``what``."""
    results = {}
    if "maps" in what:
        runs = {system.engine: map_clock(work, system) for system in systems}
        times = alternate(runs, repeats)
        results["maps"] = {str(system): times[system.engine] for system in systems}
    for name, function in PASSES.items():
        if name in what:
            runs = {
                str(system): partial(clock, partial(function, network(work, system, name), work, system), work.device)
                for system in systems
            }
            results[name] = alternate(runs, repeats)
    return results


def network(work: Work, system: System, name: str) -> MinkUNet:
    """The network for one of PASSES."""
    return work.network(system, inference=name == "forward")


def forward(network: MinkUNet, work: Work, system: System) -> Tensor:
    """Logits (N, K) in evaluation mode, with everything that a new scene costs."""
    network.eval()
    with torch.inference_mode(), system.products(), system.autocast(work.device):
        return network(work.tensor(system)).features


def training_step(network: MinkUNet, work: Work, system: System) -> None:
    """Forward, cross-entropy and backward."""
    network.train()
    network.zero_grad(set_to_none=True)
    with system.products():
        with system.autocast(work.device):
            logits = network(work.tensor(system)).features
        F.cross_entropy(logits.float(), work.labels).backward()


PASSES: dict[str, Callable] = {"forward": forward, "training": training_step}


def peak_memory(work: Work, systems: Sequence[System], what: Sequence[str]) -> dict[str, dict[str, float]]:
    """{"forward" | "training": {system: GiB}}: the most that a process of its own takes when it does it twice.

    On a GPU that is what torch allocates there, else the whole process with its libraries (Linux).
    """
    results: dict[str, dict[str, float]] = {name: {} for name in PASSES if name in what}
    for name, found in results.items():
        peak = partial(_peak, work=work.to("cpu"), device=work.device, name=name)
        for system in systems:
            for _, future in run_parallel(peak, [system], 1):
                found[str(system)] = future.result()
    return results


def _peak(system: System, work: Work, device: torch.device, name: str) -> float:
    keep_freed_memory()
    work = work.to(device)  # a GPU's tensors cannot always be given to another process
    model = network(work, system, name)
    for _ in range(2):
        PASSES[name](model, work, system)
    if work.device.type == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 2**20


def map_clock(work: Work, system: System) -> Callable[[], float]:
    """What returns the seconds that voxel levels and kernel maps take, made anew, for training.

    ceco3d makes them ahead. MinkowskiEngine: a first pass of a thin network less a second one, which has them. spconv
    times itself in a pass of the whole network.
    """
    if system.peer:
        return partial(_spconv_map_seconds, work.network(system).train(), work, system)
    layers, stem = system.layers(), work.model["stem_kernel"]
    thin = MinkUNet(_THIN, 1, 1, stem_kernel=stem, engine=layers).to(work.device).eval()
    features = torch.zeros(len(work), 1, device=work.device)

    def make() -> None:
        thin.build_maps(layers.SparseTensor(features, work.coordinates))

    if system.engine == "minkowski":
        return partial(_minkowski_map_seconds, thin, features, work)
    return partial(clock, torch.inference_mode()(make), work.device)


@torch.inference_mode()
def _minkowski_map_seconds(thin: MinkUNet, features: Tensor, work: Work) -> float:
    from ceco3d.sparse.minkowski import MinkowskiTensor  # needs MinkowskiEngine

    tensors = []

    def first() -> None:
        tensors.append(MinkowskiTensor.of(SparseTensor(features, work.coordinates)))
        thin(tensors[-1])

    return clock(first, work.device) - clock(lambda: thin(tensors[-1]), work.device)


@torch.no_grad()
def _spconv_map_seconds(network: MinkUNet, work: Work, system: System) -> float:
    x = work.tensor(system)
    x.sparse.benchmark = True
    with system.products():
        network(x)
    return sum(sum(record["indice_gen_time"]) for record in x.sparse.benchmark_record.values())
