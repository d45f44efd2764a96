"""One network on several engines: kernel maps, forward pass, training step, peak memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ceco3d.allocator import keep_freed_memory
from ceco3d.benchmarks.timing import Times, alternate, clock
from ceco3d.config import PRECISIONS
from ceco3d.models.blocks import BasicBlock
from ceco3d.models.minkunet import MinkUNet, Variant, build_model, engine_layers
from ceco3d.parallel import run_parallel
from ceco3d.sparse import Convolution, SparseTensor, TransposedConvolution

# The levels and kernels of the family with next to no arithmetic.
_THIN = Variant(BasicBlock, (1,) * 8, (1,) * 8)


@dataclass(frozen=True)
class System:
    """What is compared: an engine, and what its convolutions compute in."""

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.engine}-{self.precision}"


@dataclass(frozen=True)
class Work:
    """The input and the network that all systems get.

    coordinates (N, 4) int32, features (N, C) float32, labels (N,) int64
    """

    coordinates: Tensor
    features: Tensor
    labels: Tensor
    model: Mapping[str, Any]  # arguments of build_model
    classes: int
    device: torch.device

    def __len__(self) -> int:
        return len(self.coordinates)

    def tensor(self) -> SparseTensor:
        return SparseTensor(self.features, self.coordinates)

    def network(self, system: System) -> MinkUNet:
        torch.manual_seed(0)
        channels = self.features.shape[1]
        return build_model(**self.model, in_channels=channels, out_channels=self.classes, engine=system.engine).to(
            self.device
        )


def measure(work: Work, systems: Sequence[System], repeats: int, what: Sequence[str]) -> dict[str, dict[str, Times]]:
    """{"maps" | "forward" | "training": {system: times}} for those named in ``what``."""
    results = {}
    if "maps" in what:
        runs = {system.engine: partial(_map_seconds, work, system.engine) for system in systems}
        times = alternate(runs, repeats)
        results["maps"] = {str(system): times[system.engine] for system in systems}
    networks = {system: work.network(system) for system in systems}
    for name, function in (("forward", forward), ("training", training_step)):
        if name in what:
            runs = {
                str(system): partial(clock, partial(function, network, work, system), work.device)
                for system, network in networks.items()
            }
            results[name] = alternate(runs, repeats)
    return results


def forward(network: MinkUNet, work: Work, system: System) -> Tensor:
    """Logits (N, K) in evaluation mode, with everything that a new scene costs."""
    network.eval()
    with torch.inference_mode(), _autocast(work, system):
        return network(work.tensor()).features


def training_step(network: MinkUNet, work: Work, system: System) -> None:
    """Forward, cross-entropy and backward."""
    network.train()
    network.zero_grad(set_to_none=True)
    with _autocast(work, system):
        logits = network(work.tensor()).features
    F.cross_entropy(logits.float(), work.labels).backward()


def peak_memory(work: Work, systems: Sequence[System], what: Sequence[str]) -> dict[str, dict[str, float]]:
    """{"forward" | "training": {system: GiB}}: the most that a process of its own takes when it does it twice.

    On a GPU that is what torch allocates there, else the whole process with its libraries (Linux).
    """
    names = [name for name in ("forward", "training") if name in what]
    results: dict[str, dict[str, float]] = {name: {} for name in names}
    for name in names:
        for system in systems:
            for _, future in run_parallel(partial(_peak, work=work, name=name), [system], 1):
                results[name][str(system)] = future.result()
    return results


def _peak(system: System, work: Work, name: str) -> float:
    keep_freed_memory()
    network = work.network(system)
    for _ in range(2):
        {"forward": forward, "training": training_step}[name](network, work, system)
    if work.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 2**20


def _map_seconds(work: Work, engine: str) -> float:
    """Seconds for voxel levels and kernel maps: a first pass of a thin network less a second one, which has them."""
    layers = engine_layers(engine)
    network = MinkUNet(_THIN, 1, 1, layers=layers).to(work.device).eval()
    features = torch.zeros(len(work), 1, device=work.device)
    tensors: list[SparseTensor] = []

    def first() -> None:
        x = SparseTensor(features, work.coordinates)
        tensors.append(x if engine == "native" else layers.MinkowskiTensor.of(x))
        network(tensors[-1])

    with torch.inference_mode():
        return clock(first, work.device) - clock(lambda: network(tensors[-1]), work.device)


def forward_operations(work: Work) -> tuple[float, float]:
    """(floating-point operations of all convolutions of a forward pass, neighbours per voxel in a 3^3 kernel)."""
    network = work.network(System("native", "fp32")).eval()
    total, neighbours = 0.0, 0.0

    def count(layer: nn.Module, inputs: tuple[SparseTensor], out: SparseTensor) -> None:
        nonlocal total, neighbours
        (x,) = inputs
        pairs = len(x)
        if layer.kernel_size > 1:
            pairs = x.manager.kernel_map(
                min(x.stride, out.stride), max(x.stride, out.stride), layer.kernel_size
            ).num_pairs
            if layer.kernel_size == 3 and x.stride == 1:
                neighbours = pairs / len(x)
        total += 2.0 * pairs * layer.in_channels * layer.out_channels

    for layer in network.modules():
        if isinstance(layer, Convolution | TransposedConvolution):
            layer.register_forward_hook(count)
    forward(network, work, System("native", "fp32"))
    return total, neighbours


def _autocast(work: Work, system: System) -> torch.autocast:
    dtype = PRECISIONS[system.precision]
    return torch.autocast(work.device.type, dtype, enabled=dtype != torch.float32)
