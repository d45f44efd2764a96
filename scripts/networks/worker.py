"""One network on one engine in a process of its own; what it does is told on stdin.

    python scripts/networks/worker.py ENGINE NAME FOLDER VOXELS

ENGINE is ``real`` (MinkowskiEngine 0.5.4) or ``ceco3d`` (``ceco3d.minkowski`` under its name); FOLDER holds the
network's files. Prints voxels, threads and parameters, then answers each line of stdin (tabs between words):

    compute CASE DTYPE DRAW OUT.pt  outputs, gradients and running statistics for the features of a draw: "done"
    forward | step                  from coordinates and features to the output, or to new weights: seconds, and of CPU
"""

from __future__ import annotations

import codecs
import collections
import collections.abc
import sys
import time
import types
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from sources import NETWORKS, Network

Outputs = list[tuple[Tensor, Tensor]]


def install(engine: str) -> Any:
    """Make ``import MinkowskiEngine`` give the engine, and return it."""
    # What the programs expect of the Pythons and the packages that they were written for.
    setattr(collections, "Sequence", collections.abc.Sequence)  # noqa: B010  # a name that mypy does not know
    codecs.register(lambda name: codecs.lookup("utf-8") if name == "future_fstrings" else None)
    if engine == "real":
        import ceco3d.sparse.minkowski  # noqa: F401
    else:
        from ceco3d.minkowski import install

        install()
    return import_module("MinkowskiEngine")


def build(network: Network, folder: Path) -> nn.Module:
    """The network, with values made from the names of its state dict."""
    package = types.ModuleType(network.module.partition(".")[0])
    package.__path__ = [str(folder / network.folder / package.__name__)]
    sys.modules[package.__name__] = package
    module = import_module(network.program or network.module)
    builder = module.build if network.program else getattr(module, network.builder)
    config = () if network.config is None else (_nested(network.config),)
    model: nn.Module = builder(*network.channels, *config, D=network.dimension, **network.arguments)
    model.load_state_dict({name: _values(name, value) for name, value in model.state_dict().items()})
    return model


def _nested(config: dict[str, Any]) -> types.SimpleNamespace:
    """{"a.b": 1} as an object with a.b == 1."""
    top = types.SimpleNamespace()
    for key, value in config.items():
        *groups, name = key.split(".")
        group = top
        for part in groups:
            group.__dict__.setdefault(part, types.SimpleNamespace())
            group = getattr(group, part)
        setattr(group, name, value)
    return top


def _values(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return torch.zeros_like(value)
    random = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if value.ndim > 1:
        inputs = value.shape[:-1].numel()
        return torch.randn(value.shape, generator=random) * (3 / inputs) ** 0.5
    if name.endswith(("bn.weight", "running_var")):
        return torch.rand(value.shape, generator=random) + 0.5
    return torch.randn(value.shape, generator=random) * 0.1


def rooms(voxels: int, dimension: int = 3) -> Tensor:
    """(N, 1 + dimension) int32 ``[scene, x, ...]``: floor, walls and a ball of two rooms, about ``voxels`` in all."""
    side = max(4, int((voxels / 7.1 / (3 if dimension == 4 else 1)) ** 0.5))
    u, v = torch.cartesian_prod(torch.arange(side), torch.arange(side)).T
    bump = (2 * torch.sin(u / 7) * torch.cos(v / 5)).round().long()
    angle, height = u * (2 * torch.pi / side), v * (torch.pi / side)
    ball = torch.stack([angle.cos() * height.sin(), angle.sin() * height.sin(), height.cos()], 1) * (side / 3.5)
    faces = [torch.stack(face, 1) for face in ((u, v, bump), (bump, u, v), (u, bump, v))]
    surface = torch.cat([*faces, (ball + side / 2).round().long()])
    scenes = []
    for scene, shift in enumerate((-side // 3, 5)):  # one scene has negative coordinates
        kept = torch.rand(len(surface), generator=torch.Generator().manual_seed(scene)) < 0.9
        space = torch.unique(surface[kept] + shift, dim=0)
        if dimension == 4:
            space = torch.cat([torch.cat([space, torch.full((len(space), 1), step)], 1) for step in (-1, 0, 1)])
        space = space[torch.randperm(len(space), generator=torch.Generator().manual_seed(2))]
        scenes.append(torch.cat([torch.full((len(space), 1), scene), space], 1))
    return torch.cat(scenes).int()


def _tensors(outputs: Any) -> list[Any]:
    return [t for output in outputs for t in _tensors(output)] if isinstance(outputs, (list, tuple)) else [outputs]


def loss_of(outputs: Outputs) -> Tensor:
    """A weighted mean of the outputs, whose weights are functions of place and channel: rows may have any order."""
    total = outputs[0][1].new_zeros(())
    for places, features in outputs:
        phases = places.double() @ torch.arange(1, places.shape[1] + 1).double().sqrt()
        weights = torch.cos(phases[:, None] + torch.arange(features.shape[1]) * 1.3)
        total = total + (features * weights.to(features.dtype)).mean()
    return total


class Worker:
    """The network, its input, and the commands."""

    def __init__(self, engine: str, name: str, folder: str, voxels: str) -> None:
        self.engine, self.network = install(engine), NETWORKS[name]
        self.program = import_module(self.network.program) if self.network.program else None
        self.model = build(self.network, Path(folder))
        self.initial = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.coordinates = rooms(int(voxels), self.network.dimension)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)

    def features(self, draw: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """(N, channels) of the standard normal distribution."""
        random = torch.Generator().manual_seed(draw)
        return torch.randn(len(self.coordinates), self.network.channels[0], generator=random).to(dtype)

    def outputs(self, features: Tensor) -> Outputs:
        """(coordinates, features) of each sparse tensor that the network returns."""
        tensor = self.engine.SparseTensor(features, self.coordinates)
        if self.program:
            return self.program.call(self.model, tensor)
        return [(out.C, out.F) for out in _tensors(self.model(tensor))]

    def outputs_at_points(self, features: Tensor) -> Outputs:
        """(rows, features) of outputs at stride 1, sliced to two random points in each voxel; of others as above."""
        random = torch.Generator().manual_seed(4)
        places = self.coordinates.repeat(2, 1).to(features.dtype)
        places[:, 1:] += torch.rand(len(places), self.network.dimension, generator=random).to(features.dtype) * 0.9
        points = self.engine.TensorField(torch.cat([features, features.flip(0)]), places)
        rows = torch.arange(len(places))[:, None]
        return [
            (rows, out.slice(points).F) if set(out.tensor_stride) == {1} else (out.C, out.F)
            for out in _tensors(self.model(points.sparse()))
        ]

    def compute(self, case: str, dtype: str, draw: str, out: str) -> str:
        features = self.features(int(draw), getattr(torch, dtype))
        self.model.to(features.dtype).load_state_dict(self.initial)
        self.model.train(case != "eval").zero_grad()
        outputs = self.outputs_at_points(features) if case == "points" else self.outputs(features)
        loss_of(outputs).backward()
        result = {
            "outputs": [(places.clone(), values.detach().clone()) for places, values in outputs],
            "gradients": {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None},
            "statistics": {name: v for name, v in self.model.named_buffers() if v.is_floating_point()},
        }
        torch.save(result, out)
        return "done"

    def forward(self) -> str:
        with Stopwatch() as watch, torch.no_grad():
            self.model.eval()
            self.outputs(self.features(0))
        return watch.seconds

    def step(self) -> str:
        with Stopwatch() as watch:
            self.model.train().zero_grad()
            torch.stack([values.square().mean() for _, values in self.outputs(self.features(0))]).sum().backward()
            self.optimizer.step()
        return watch.seconds


class Stopwatch:
    """``seconds`` after its block: those that passed, and those of the processor."""

    def __enter__(self) -> Stopwatch:
        self.start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        passed, used = time.perf_counter() - self.start[0], time.process_time() - self.start[1]
        self.seconds = f"{passed} {used}"


def main() -> None:
    worker = Worker(*sys.argv[1:])
    parameters = sum(value.numel() for value in worker.model.parameters())
    print(len(worker.coordinates), torch.get_num_threads(), parameters, flush=True)
    for line in sys.stdin:
        command, *arguments = line.rstrip("\n").split("\t")
        print(getattr(worker, command)(*arguments), flush=True)


if __name__ == "__main__":
    main()
