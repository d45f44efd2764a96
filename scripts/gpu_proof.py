#!/usr/bin/env python
"""scripts/gpu_proof.py [--out DIR] [--minutes 8] [--only PART,...] [--dry]: all that only a GPU can show, in minutes.

Parts run in the order of their value, each with a time limit of its own; what does not fit into the minutes is named
and left out. DIR gets a log of each part as it goes, the files of the benchmarks, and summary.json after each part.
--dry does the same with small inputs on the CPU. Needs torch with CUDA, the packages of pyproject.toml, and for the
tests pytest and pytest-xdist; no network. ceco3d need not be installed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
GRACE = 15  # seconds to save and end after SIGTERM
DRY_PATIENCE = 10  # times the limit of a part, on a CPU that may be slow

ENGINES = "[triton-bf16,triton-fp16,triton-tf32,native-bf16]"
TIMES = "measure=[maps,forward,inference,training]"
REAL = ["dataset=rooms200", "dataset.size=large"]
DRY = ["dataset=rooms200", "dataset.size=tiny"]


@dataclass(frozen=True)
class Part:
    """One command: arguments of Python, and the seconds after which it gets SIGTERM; ``endless`` ones are meant to."""

    name: str
    command: Sequence[str]
    seconds: int
    endless: bool = False


def benchmark(
    out: Path, name: str, dry: bool, seconds: int, what: str, systems: str, *more: str, stem: int = 5
) -> Part:
    """A part of ``python -m ceco3d.benchmark`` on 960,000 voxels of 2 cm."""
    size = ["voxels=[960000]", "voxel_size=0.02", "model=minkunet34c", f"model.stem_kernel={stem}", *more]
    if dry:
        size = [
            "voxels=[1000]",
            "voxel_size=0.2",
            "model=minkunet14a",
            "model.stem_kernel=3",
            "repeats=1",
            "device=cpu",
        ]
        systems = "[native-fp32]"
    data = DRY if dry else REAL
    return Part(
        name,
        ["-m", "ceco3d.benchmark", *data, f"what={what}", f"systems={systems}", *size, f"out={out / name}"],
        seconds,
    )


def training(out: Path, dry: bool) -> list[str]:
    """Overrides of a training at 2 cm."""
    if dry:
        small = [
            "voxel_size=0.25",
            "model=minkunet14a",
            "trainer.batch_size=7",
            "trainer.epochs=2",
            "trainer.log_every=1",
        ]
        return [*DRY, *small, "device=cpu"]
    data = [*REAL, "voxel_size=0.02", "model=minkunet34c", "precision=bf16", "engine=triton"]
    return [*data, "trainer.batch_size=8", "trainer.augment_on=device", "trainer.epochs=100", "trainer.log_every=10"]


def all_parts(out: Path, dry: bool) -> list[Part]:
    """What runs, the most valuable first."""
    tests = ["-m", "pytest", "-p", "no:cacheprovider", "-v", f"--junitxml={out / 'tests.xml'}"]
    fast = ["-m", "gpu and not slow", "-n", "6", "tests/gpu"]
    slow = ["-m", "gpu and slow", "-n", "2", "tests/gpu"]
    toy = ["-n", "0", "tests/gpu/test_convolutions.py", "-k", "kernels_that_run"]
    run = f"run_dir={out / 'run'}"
    watched = ",".join(training(out, dry))
    parts = [
        Part("doctor", ["-m", "ceco3d.doctor"], 30),
        Part("rooms", ["-m", "ceco3d.preprocess", *(DRY if dry else REAL)], 90),
        benchmark(out, "engines-5", dry, 110, "engines", ENGINES, "repeats=7"),
        benchmark(out, "profile", dry, 40, "profile", "[triton-bf16]"),
        benchmark(out, "spconv-3", dry, 70, "engines", "[triton-fp16,spconv-fp16]", "repeats=7", stem=3),
        Part("tests", [*tests, *(toy if dry else fast)], 100),
        benchmark(out, "roofline", dry, 50, "roofline", "[triton-bf16]"),
        Part("train", ["-m", "ceco3d.train", *training(out, dry), run, "loss=ce"], 50, endless=not dry),
        benchmark(out, "ocnn-3", dry, 60, "engines", "[triton-fp16,ocnn-fp16]", TIMES, stem=3),
        benchmark(out, "spconv-5", dry, 90, "engines", "[triton-fp16,spconv-fp16]", TIMES),
        Part("slow-tests", [*tests, *(toy if dry else slow)], 150),
        benchmark(out, "tune", dry, 200, "profile" if dry else "tune", "[triton-bf16]"),
        benchmark(out, "spconv-triton-3", dry, 200, "engines", "[triton-fp16,spconv-triton-fp16]", TIMES, stem=3),
    ]
    if not dry:  # nothing runs on a GPU in a dry run
        busy = [*REAL, "what=utilization", f"utilization.train=[{watched}]", f"out={out / 'utilization'}"]
        parts.insert(8, Part("utilization", ["-m", "ceco3d.benchmark", *busy], 60))
    return parts


def environment(out: Path) -> dict[str, str]:
    """That of the parts: kernels are compiled anew and kept for the later ones; the checkout is what is imported."""
    python_path = [str(ROOT)]
    try:
        from importlib.metadata import version

        version("ceco3d")
    except ModuleNotFoundError:  # commands ask for the version of the installed package
        number = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert number is not None
        info = out / "site" / f"ceco3d-{number[1]}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ceco3d\nVersion: {number[1]}\n")
        python_path.append(str(info.parent))
    before = os.environ.get("PYTHONPATH")
    python_path += [before] if before else []
    caches = {"TRITON_CACHE_DIR": str(out / "triton-cache"), "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **caches, "PYTHONPATH": os.pathsep.join(python_path)}


def run_part(part: Part, out: Path, limit: float) -> dict[str, Any]:
    """Run ``part`` for at most ``limit`` seconds: {"status", "seconds", "code"}."""
    start = time.monotonic()
    command, variables = [sys.executable, *part.command], environment(out)
    with (out / f"{part.name}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log, start_new_session=True)
        ended = False
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            ended = True
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    good = ended if part.endless else process.returncode == 0
    status = "ok" if good else f"over {limit:.0f} s" if ended else "failed"
    return {"status": status, "seconds": round(time.monotonic() - start, 1), "code": process.returncode}


def throughput(out: Path) -> dict[str, float]:
    """The median of the voxels per second that the training logged, without the first, which compiles."""
    path = out / "run" / "metrics.csv"
    rows = list(csv.DictReader(path.open(newline=""))) if path.exists() else []
    rates = [float(row["voxels_per_second"]) for row in rows if row.get("voxels_per_second")]
    return {"voxels_per_second": statistics.median(rates[1:] or rates)} if rates else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; exit code 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "gpu_proof")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", default="", help="names of parts, separated by commas")
    parser.add_argument("--dry", action="store_true", help="small inputs on the CPU")
    options = parser.parse_args(arguments)
    out, end = options.out.resolve(), time.monotonic() + 60 * options.minutes
    parts = all_parts(out, options.dry)
    only = [name for name in options.only.split(",") if name]
    if unknown := set(only) - {part.name for part in parts}:
        parser.error(f"--only: no part {', '.join(unknown)}; choose of {', '.join(part.name for part in parts)}")
    out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, dict[str, Any]] = {}
    for part in parts:
        if only and part.name not in only:
            continue
        left = end - time.monotonic() - GRACE
        limit = min(part.seconds * (DRY_PATIENCE if options.dry else 1), left)
        result = run_part(part, out, limit) if left > 5 else {"status": "left out: no time"}
        if part.name == "train":
            result |= throughput(out)
        summary[part.name] = result
        (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        print(f"{part.name:16} {result['status']:12} {result.get('seconds', 0):6.1f} s", flush=True)
    return int(any(result["status"] != "ok" for result in summary.values()))


if __name__ == "__main__":
    sys.exit(main())
