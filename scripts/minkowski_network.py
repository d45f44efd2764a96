#!/usr/bin/env python3
"""One network of ``minkowski_networks.py`` in a process of its own, on one of the two engines.

    python scripts/minkowski_network.py ENGINE NAME FOLDER OUT.pt     compute all cases, save outputs and gradients
    python scripts/minkowski_network.py ENGINE NAME FOLDER --voxels N --times
        time on demand: a line "forward" or "step" on stdin answers the seconds on stdout

ENGINE is ``real`` (MinkowskiEngine 0.5.4) or ``ceco3d`` (``ceco3d.minkowski`` under its name). FOLDER holds the network's files.
"""

from __future__ import annotations

import argparse
import codecs
import collections
import collections.abc
import sys
import time
import types
import zlib
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


@dataclass(frozen=True)
class Network:
    """Where a network's files are, and how its own training program builds it.

    folder  in the repository: what its programs put on sys.path
    module  of the class; its package's own __init__.py is not run, as it imports CUDA extensions
    config  what the class reads of its configuration; None: the arguments go to the class
    edits   (old, new) text in the files, in memory, for both engines
    """

    name: str
    repository: str
    commit: str
    folder: str
    module: str
    builder: str
    channels: tuple[int, int]
    arguments: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    dimension: int = 3
    edits: tuple[tuple[str, str], ...] = ()


MINKUNET = {"conv1_kernel_size": 5, "bn_momentum": 0.02, "dilations": (1, 1, 1, 1)}
API_04 = (  # MinkowskiEngine 0.4's names -> those of 0.5
    ("RegionType.HYPERCUBE", "RegionType.HYPER_CUBE"),
    ("RegionType.HYPERCROSS", "RegionType.HYPER_CROSS"),
    ("RegionType.HYBRID", "RegionType.HYPER_CUBE"),  # of a 3D network: cubic in each axis
    ("axis_types=axis_types", "axis_types=None"),
    ("{m.value: m for m in ME.RegionType}", "{}"),  # not used by the network
    ("has_bias=", "bias="),
    ("coords_key=contrastive.coords_key", "coordinate_map_key=contrastive.coordinate_map_key"),
    ("coords_manager=contrastive.coords_man", "coordinate_manager=contrastive.coordinate_manager"),
)
NO_AXIS_TYPES = (("axis_types=axis_types", "axis_types=None"),)  # 0.5.4 refuses them for cubes; here all are cubic
CSC = ("facebookresearch/ContrastiveSceneContexts", "83515bef4754b3d90fc3b3a437fa939e0e861af8")
STS = ("chrischoy/SpatioTemporalSegmentation", "5af74cbc57c8c431851223963886d39f724e4b14")  # branch v0.5
LANGUAGE = ("RozDavid/LanguageGroundedSemseg", "3af87e933064414e7801dba82932b9f1a3440ae0")
MASK3D = ("JonasSchult/Mask3D", "11bd5ff94477ff7194e9a7c52e9fae54d73ac3b5")
FCGF = ("chrischoy/FCGF", "fe00128cc15bab393df00f311b90817b2503ae15")  # branch v0.5
NETWORKS = {
    network.name: network
    for network in (
        Network(
            "ContrastiveSceneContexts",
            *CSC,
            "pretrain/contrastive_scene_contexts",
            "model.res16unet",
            "Res16UNet34C",
            (3, 32),
            config={
                "net": types.SimpleNamespace(conv1_kernel_size=3, normalize_feature=True),
                "opt": types.SimpleNamespace(bn_momentum=0.05),
            },
            edits=API_04,
        ),
        Network(
            "SpatioTemporalSegmentation", *STS, "", "models.res16unet", "Res16UNet34C", (3, 20), config=MINKUNET
        ),
        Network(
            "LanguageGroundedSemseg", *LANGUAGE, "", "models.clip_models", "Res16UNet34D", (3, 200), config=MINKUNET
        ),
        Network(
            "Mask3D backbone",
            *MASK3D,
            "",
            "models.res16unet",
            "Res16UNet34C",
            (3, 200),
            {"out_fpn": True},
            MINKUNET,
        ),
        Network(
            "FCGF",
            *FCGF,
            "",
            "model.resunet",
            "ResUNetBN2C",
            (1, 32),
            {"bn_momentum": 0.05, "normalize_feature": True, "conv1_kernel_size": 5},
        ),
    )
}


def install(engine: str) -> Any:
    """Make ``import MinkowskiEngine`` give the engine; returns it."""
    # What the programs expect of the Pythons they were written for.
    setattr(collections, "Sequence", collections.abc.Sequence)  # noqa: B010
    codecs.register(lambda name: codecs.lookup("utf-8") if name == "future_fstrings" else None)
    if engine == "real":
        from ceco3d.sparse.minkowski import ME

        return ME
    from ceco3d.minkowski import install

    install()
    return import_module("MinkowskiEngine")


def build(network: Network, folder: Path) -> nn.Module:
    """The network with the weights of its parameters' names."""
    package = types.ModuleType(network.module.partition(".")[0])
    package.__path__ = [str(folder / network.folder / package.__name__)]
    sys.modules[package.__name__] = package
    builder = getattr(import_module(network.module), network.builder)
    config = () if network.config is None else (types.SimpleNamespace(**network.config),)
    model: nn.Module = builder(*network.channels, *config, D=network.dimension, **network.arguments)
    model.load_state_dict({name: _values(name, value) for name, value in sorted(model.state_dict().items())})
    return model


def _values(name: str, value: Tensor) -> Tensor:
    """Values of the tensor ``name`` of a state dict, a function of its name and shape."""
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
    """(N, 1 + dimension) int32 ``[scene, x, ...]``: floors, walls and balls of two rooms, about ``voxels`` in all."""
    side = max(4, int((voxels / 6.6) ** 0.5))
    grid = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    u, v = grid[:, 0], grid[:, 1]
    bump = (2 * torch.sin(u / 7) * torch.cos(v / 5)).round().long()
    angle, height = u * (2 * torch.pi / side), v * (torch.pi / side)
    ball = torch.stack([angle.cos() * height.sin(), angle.sin() * height.sin(), height.cos()], 1) * (side / 3.5)
    faces = [(u, v, bump), (bump, u, v), (u, bump, v)]
    surface = torch.cat([*(torch.stack(face, 1) for face in faces), (ball + side / 2).round().long()])
    scenes = []
    for scene, shift in enumerate((-side // 3, 5)):  # one scene has negative coordinates
        keep = torch.rand(len(surface), generator=torch.Generator().manual_seed(scene)) < 0.9
        space = torch.unique(surface[keep] + shift, dim=0)
        if dimension == 4:
            space = torch.cat([torch.cat([space, torch.full((len(space), 1), t)], 1) for t in range(-1, 2)])
        scenes.append(torch.cat([torch.full((len(space), 1), scene), space], 1))
    rows = torch.cat(scenes)
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(2))].int()


def inputs(coordinates: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """(N, channels) random features."""
    random = torch.Generator().manual_seed(3)
    return torch.randn(len(coordinates), channels, generator=random).to(dtype)


def tensors(outputs: Any) -> list[Any]:
    """The sparse tensors of what a network returns, in order."""
    if isinstance(outputs, (list, tuple)):
        return [tensor for output in outputs for tensor in tensors(output)]
    return [outputs]


def loss_of(outputs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """A weighted mean of the outputs. The weights are functions of coordinate and channel, so rows may have any order."""
    total = outputs[0][1].new_zeros(())
    for coordinates, features in outputs:
        places = coordinates.double() @ torch.arange(1, coordinates.shape[1] + 1).double().sqrt()
        weights = torch.cos(places[:, None] + torch.arange(features.shape[1]) * 1.3)
        total = total + (features * weights.to(features.dtype)).mean()
    return total


def run(engine: Any, model: nn.Module, coordinates: Tensor, features: Tensor, points: bool) -> list[tuple[Tensor, Tensor]]:
    """(coordinates, features) of each output; with ``points`` through a TensorField and back to its points."""
    if not points:
        return [(out.C, out.F) for out in tensors(model(engine.SparseTensor(features, coordinates)))]
    random = torch.Generator().manual_seed(4)
    places = coordinates.repeat(2, 1).double()
    places[:, 1:] += torch.rand(len(places), places.shape[1] - 1, generator=random) * 0.98 + 0.01
    places = places.to(features.dtype)
    values = features.repeat(2, 1) + inputs(places, features.shape[1], features.dtype)
    cloud = engine.TensorField(values, places)
    outputs = tensors(model(cloud.sparse()))
    return [(places, out.slice(cloud).F) for out in outputs if set(out.tensor_stride) == {1}]


def compute(engine: Any, network: Network, model: nn.Module, voxels: int) -> dict[str, Any]:
    """Outputs, gradients and running statistics of each case."""
    results: dict[str, Any] = {"parameters": sum(value.numel() for value in model.parameters())}
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    coordinates = rooms(voxels, network.dimension)
    results["voxels"] = len(coordinates)
    for dtype in (torch.float64, torch.float32):
        for case in ("eval", "train", "points"):
            model.to(dtype).load_state_dict(initial)
            model.train(case != "eval").zero_grad()
            features = inputs(coordinates, network.channels[0], dtype)
            outputs = run(engine, model, coordinates, features, case == "points")
            loss_of(outputs).backward()
            results[f"{case} {dtype}"] = {
                "outputs": [tuple(tensor.detach().clone() for tensor in output) for output in outputs],
                "gradients": {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()},
                "statistics": {n: v.clone() for n, v in model.named_buffers() if v.is_floating_point()},
            }
    return results


def answer_times(engine: Any, network: Network, model: nn.Module, voxels: int) -> None:
    """Time what stdin asks for, from coordinates and features to the output, or to the updated weights."""
    coordinates = rooms(voxels, network.dimension)
    features = inputs(coordinates, network.channels[0], torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    print(len(coordinates), torch.get_num_threads(), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        if line.strip() == "forward":
            with torch.no_grad():
                run(engine, model.eval(), coordinates, features, False)
        else:
            optimizer.zero_grad()
            sum(out.square().mean() for _, out in run(engine, model.train(), coordinates, features, False)).backward()
            optimizer.step()
        print(time.perf_counter() - start, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["real", "ceco3d"])
    parser.add_argument("name", choices=list(NETWORKS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--voxels", type=int, default=2000)
    parser.add_argument("--times", action="store_true")
    arguments = parser.parse_args()
    engine = install(arguments.engine)
    network = NETWORKS[arguments.name]
    model = build(network, arguments.folder)
    if arguments.times:
        answer_times(engine, network, model, arguments.voxels)
    else:
        torch.save(compute(engine, network, model, arguments.voxels), arguments.out)


if __name__ == "__main__":
    main()
