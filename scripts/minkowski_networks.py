#!/usr/bin/env python3
"""Networks of other people on MinkowskiEngine 0.5.4 and on ``ceco3d.minkowski``: same weights, same numbers?

    python scripts/minkowski_networks.py                     five networks; their repositories come from GitHub
    python scripts/minkowski_networks.py --sources FOLDER    from the git repositories FOLDER/FCGF, FOLDER/Mask3D, ...
    python scripts/minkowski_networks.py "STS ResNet50"      others: --help lists them
    python scripts/minkowski_networks.py --timings           seconds (and of CPU) instead, at 100,000 voxels

Each network is built from its own files, in a process on each engine, with values made from the names of its state
dict. It sees two scenes of surfaces as voxels, in eval and in train mode, and as points through a TensorField. Outputs
are compared by coordinates. An error is the greatest difference over the greatest value of one output, one running
statistic or one parameter's gradient; of gradients the latter counts as at least 1/1000 of the greatest in the
network, as some are zero but for rounding.

Rounding turns a ReLU on or off in some inputs, mostly in float32, and gradients jump. So features are drawn again, up
to eight times, until the errors are below 1e-10 in float64 and 1e-4 in float32; "redrawn" counts it. Exit code 1 if
they never are. Needs MinkowskiEngine (scripts/install_minkowski.sh).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent / "networks"))
from sources import FIVE, NETWORKS, Network, fetch

from ceco3d.cli.endings import fail
from ceco3d.utils.errors import UserError

WORKER = Path(__file__).with_name("networks") / "worker.py"
ENGINES = ("real", "ceco3d")
CASES = ("eval", "train", "points")
KINDS = ("outputs", "gradients", "statistics")
LIMITS = {"float64": 1e-10, "float32": 1e-4}
DRAWS = 8


class Process:
    """A worker: one network on one engine. ``hello``: voxels, threads, parameters."""

    def __init__(self, engine: str, network: Network, folder: Path, voxels: int) -> None:
        command = [sys.executable, "-W", "ignore", WORKER, engine, network.name, folder, str(voxels)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = [int(word) for word in self._answer().split()]

    def ask(self, *words: object) -> str:
        """The answer to one command. RuntimeError if the worker ends, which has printed why."""
        assert self.process.stdin
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(map(str, self.process.args[3:]))}: ended")
        return line.strip()

    def close(self) -> None:
        self.process.communicate()


def by_coordinates(output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Coordinates and features with rows in the order of the coordinates."""
    coordinates, features = output
    order = torch.arange(len(coordinates))
    for axis in range(coordinates.shape[1] - 1, -1, -1):
        order = order[coordinates[order, axis].argsort(stable=True)]
    return coordinates[order], features[order]


def difference(ours: Tensor, theirs: Tensor, least: float = 0.0) -> float:
    """The greatest difference over the greatest value; inf for NaN or another shape."""
    if ours.shape != theirs.shape or not (ours.isfinite().all() and theirs.isfinite().all()):
        return float("inf")
    gap, scale = (ours - theirs).abs().max().item(), max(theirs.abs().max().item(), least)
    return gap / scale if gap else 0.0


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """The greatest error of each kind; inf where the two do not fit."""
    errors = dict.fromkeys(KINDS, float("inf"))
    if len(ours["outputs"]) == len(theirs["outputs"]):
        pairs = [
            (by_coordinates(a), by_coordinates(b)) for a, b in zip(ours["outputs"], theirs["outputs"], strict=True)
        ]
        same = all(torch.equal(a, b) for (a, _), (b, _) in pairs)
        errors["outputs"] = max(difference(a, b) for (_, a), (_, b) in pairs) if same else float("inf")
    for kind in KINDS[1:]:
        a, b = ours[kind], theirs[kind]
        if a.keys() == b.keys():
            least = 1e-3 * max((value.abs().max().item() for value in b.values()), default=0.0)
            errors[kind] = max((difference(a[name], b[name], least) for name in b), default=0.0)
    return errors


def errors_of(processes: dict[str, Process], cases: Sequence[str], place: Path) -> tuple[dict[str, float], int]:
    """The greatest error of all cases by "dtype kind", and how often features were redrawn."""
    worst = {f"{dtype} {kind}": 0.0 for dtype in LIMITS for kind in KINDS}
    redrawn = 0
    for dtype, case in product(LIMITS, cases):
        for draw in range(DRAWS):
            errors = errors_in(processes, case, dtype, draw, place / "result.pt")
            if max(errors.values()) <= LIMITS[dtype]:
                break
        redrawn += draw
        worst |= {f"{dtype} {kind}": max(worst[f"{dtype} {kind}"], errors[kind]) for kind in KINDS}
    return worst, redrawn


def errors_in(processes: dict[str, Process], case: str, dtype: str, draw: int, file: Path) -> dict[str, float]:
    """The errors of one draw of features."""
    results = []
    for process in processes.values():
        process.ask("compute", case, dtype, draw, file)
        results.append(torch.load(file))
    theirs, ours = results
    return compare(ours, theirs)


def times_of(processes: dict[str, Process], rounds: int) -> list[str]:
    """Medians of "seconds (CPU)" of forward and step on each engine, in turns; the first of each is not counted."""
    seconds: dict[tuple[str, str], list[list[float]]] = {}
    for _ in range(rounds + 1):
        for what in ("forward", "step"):
            for engine, process in processes.items():
                answer = [float(word) for word in process.ask(what).split()]
                seconds.setdefault((what, engine), []).append(answer)
    medians = ([statistics.median(column) for column in zip(*rows[1:], strict=True)] for rows in seconds.values())
    return [f"{passed:.2f} ({used:.2f})" for passed, used in medians]


def row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def _name(text: str) -> str:
    if text not in NETWORKS:
        raise argparse.ArgumentTypeError(f"{text}: not one of {', '.join(NETWORKS)}")
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", type=_name, help=f"of {', '.join(NETWORKS)}; the first five if none"
    )
    parser.add_argument("--sources", type=Path, help="folder of git repositories, instead of GitHub")
    parser.add_argument("--voxels", type=int, help="about so many; 1000, 100,000 for timings")
    parser.add_argument("--timings", action="store_true")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each kind")
    given = parser.parse_args()
    chosen = [NETWORKS[name] for name in given.names] or FIVE
    columns = (
        [f"{what} {engine}, s" for what in ("forward", "step") for engine in ENGINES]
        if given.timings
        else [f"{dtype} {kind}" for dtype in LIMITS for kind in KINDS] + ["redrawn"]
    )
    row("network", "commit", "parameters", "voxels", "threads", *columns)
    row(*["---"] * (5 + len(columns)))
    agree = True
    for network in chosen:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            files = fetch(network, given.sources, place)
            voxels = given.voxels or (100_000 if given.timings else 1000)
            processes = {engine: Process(engine, network, files, voxels) for engine in ENGINES}
            voxels, threads, parameters = processes["real"].hello
            if given.timings:
                cells = times_of(processes, given.rounds)
            else:
                errors, redrawn = errors_of(processes, CASES[:2] if network.program else CASES, place)
                agree &= all(error <= LIMITS[name.split()[0]] for name, error in errors.items())
                cells = [*(f"{error:.0e}" for error in errors.values()), str(redrawn)]
            row(network.name, network.commit[:7], f"{parameters:,}", f"{voxels:,}", threads, *cells)
            for process in processes.values():
                process.close()
    return 0 if agree else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (UserError, subprocess.CalledProcessError, RuntimeError) as error:  # git or a worker has said why
        fail(error)
