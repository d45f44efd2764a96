#!/usr/bin/env python3
"""Five networks of other people on MinkowskiEngine 0.5.4 and on ``ceco3d.minkowski``: same weights, same numbers?

    python scripts/minkowski_networks.py                     their repositories from GitHub
    python scripts/minkowski_networks.py --sources FOLDER    git repositories FOLDER/FCGF, FOLDER/Mask3D, ...
    python scripts/minkowski_networks.py --timings           then times too, at 100,000 voxels

Each network is built from its own files, in a process of each engine, with weights made from the names of its parameters, and
sees two scenes of surfaces: as voxels in eval and train mode, and as points through a TensorField. Outputs are compared by
coordinates. Errors are relative: the greatest difference over the greatest value, of each output, parameter's gradient
and running statistic; a gradient's greatest value counts as at least 1/1000 of the greatest of all, as some are rounding
alone. Exits with 1 if a float64 error is above 1e-8 or a float32 error above 1e-4 and ten times MinkowskiEngine's own.

Needs MinkowskiEngine (scripts/install_minkowski.sh). Nothing of the repositories stays on disk.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import torch
from minkowski_network import NETWORKS, Network
from torch import Tensor

WORKER = Path(__file__).with_name("minkowski_network.py")
CASES = ("eval", "train", "points")
ENGINES = ("real", "ceco3d")


def fetch(network: Network, sources: Path | None, into: Path) -> Path:
    """The network's files of its commit, in ``into``, with its edits; from a local repository or GitHub."""
    name = network.repository.partition("/")[2]
    if sources is None:
        repository = into / f"{name}.git"
        if not repository.exists():
            url = f"https://github.com/{network.repository}"
            subprocess.run(["git", "init", "--quiet", "--bare", repository], check=True)
            subprocess.run(["git", "-C", repository, "fetch", "--quiet", "--depth=1", url, network.commit], check=True)
    else:
        repository = sources / name
    package = str(Path(network.folder) / network.module.partition(".")[0])
    archive = subprocess.run(["git", "-C", repository, "archive", network.commit, package], check=True, capture_output=True)
    folder = into / name
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    for path in (folder / package).rglob("*.py"):
        text = path.read_text()
        for old, new in network.edits:
            text = text.replace(old, new)
        path.write_text(text)
    return folder


def compute(network: Network, folder: Path, voxels: int, engine: str) -> dict[str, Any]:
    """What ``minkowski_network.compute`` returns, from a process of its own."""
    out = folder / f"{engine}.pt"
    command = [sys.executable, "-W", "ignore", WORKER, engine, network.name, folder, out, f"--voxels={voxels}"]
    subprocess.run(command, check=True)
    return torch.load(out)


def by_coordinates(output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Coordinates and features with rows in the order of the coordinates."""
    coordinates, features = output
    order = torch.arange(len(coordinates))
    for axis in range(coordinates.shape[1] - 1, -1, -1):
        order = order[coordinates[order, axis].argsort(stable=True)]
    return coordinates[order], features[order]


def difference(ours: Tensor, theirs: Tensor, least: float = 0.0) -> float:
    """The greatest difference over the greatest value; inf for another shape or NaN."""
    if ours.shape != theirs.shape:
        return float("inf")
    scale = max(theirs.double().abs().max().item(), least)
    value = (ours.double() - theirs.double()).abs().max().item()
    return value / scale if scale and value == value else float(value != 0) * float("inf")


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """The greatest relative error of outputs, gradients and statistics of one case; inf where the two do not fit."""
    if len(ours["outputs"]) != len(theirs["outputs"]):
        return dict.fromkeys(("outputs", "gradients", "statistics"), float("inf"))
    outputs = 0.0
    for output, other in zip(ours["outputs"], theirs["outputs"], strict=True):
        (places, features), (places2, features2) = by_coordinates(output), by_coordinates(other)
        same = torch.equal(places.double(), places2.double())
        outputs = max(outputs, difference(features, features2) if same else float("inf"))
    errors = {"outputs": outputs}
    for kind in ("gradients", "statistics"):
        a, b = ours[kind], theirs[kind]
        known = [name for name, value in b.items() if value is not None]
        if known != [name for name, value in a.items() if value is not None]:
            errors[kind] = float("inf")
            continue
        least = 1e-3 * max((b[name].abs().max().item() for name in known), default=0.0)
        errors[kind] = max((difference(a[name], b[name], least) for name in known), default=0.0)
    return errors


def errors_of(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """Errors by name: float64, float32, and float32 of MinkowskiEngine against its own float64."""
    worst: dict[str, float] = {}
    for case in CASES:
        double, single = f"{case} torch.float64", f"{case} torch.float32"
        for label, a, b in (
            ("float64", ours[double], theirs[double]),
            ("float32", ours[single], theirs[single]),
            ("rounding", theirs[single], theirs[double]),
        ):
            for kind, error in compare(a, b).items():
                worst[f"{label} {kind}"] = max(worst.get(f"{label} {kind}", 0.0), error)
    return worst


def passes(errors: dict[str, float]) -> bool:
    """Whether the engines agree."""
    return all(
        errors[f"float64 {kind}"] <= 1e-8
        and errors[f"float32 {kind}"] <= max(1e-4, 10 * errors[f"rounding {kind}"])
        for kind in ("outputs", "gradients", "statistics")
    )


def times(network: Network, folder: Path, voxels: int, rounds: int) -> dict[str, float]:
    """Median seconds of forward and step on each engine, in turns; the first of each is not counted."""
    workers = {
        engine: subprocess.Popen(
            [sys.executable, "-W", "ignore", WORKER, engine, network.name, folder, "--times", f"--voxels={voxels}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for engine in ENGINES
    }
    seconds: dict[str, list[float]] = {}
    for worker in workers.values():
        print(f"  {network.name}: voxels, threads: {worker.stdout.readline().strip()}", flush=True)
    for _ in range(rounds + 1):
        for what in ("forward", "step"):
            for engine, worker in workers.items():
                worker.stdin.write(f"{what}\n")
                worker.stdin.flush()
                seconds.setdefault(f"{engine} {what}", []).append(float(worker.stdout.readline()))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all if none")
    parser.add_argument("--sources", type=Path, help="folder of git repositories, instead of GitHub")
    parser.add_argument("--voxels", type=int, default=2000, help="of the comparison, about")
    parser.add_argument("--timings", action="store_true")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each kind")
    arguments = parser.parse_args()
    chosen = [NETWORKS[name] for name in arguments.names or NETWORKS]
    agree = True
    with tempfile.TemporaryDirectory() as place:
        folders = {network.name: fetch(network, arguments.sources, Path(place) / str(i)) for i, network in enumerate(chosen)}
        kinds = ("outputs", "gradients", "statistics")
        row("network", "commit", "parameters", *(f"{label} {kind}" for label in ("float64", "float32", "rounding") for kind in kinds))
        row(*["---"] * 12)
        for network in chosen:
            theirs, ours = (compute(network, folders[network.name], arguments.voxels, engine) for engine in ENGINES)
            errors = errors_of(ours, theirs)
            agree &= passes(errors)
            row(network.name, network.commit[:7], f"{theirs['parameters']:,}", *(f"{error:.0e}" for error in errors.values()))
        if arguments.timings:
            for network in chosen:
                found = times(network, folders[network.name], 100_000, arguments.rounds)
                row(network.name, *(f"{name} {value:.2f} s" for name, value in found.items()))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
