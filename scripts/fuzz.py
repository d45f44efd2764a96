#!/usr/bin/env python3
"""Feed broken files to every reader of untrusted files and print the outcomes.

    python scripts/fuzz.py [INPUTS] [--only NAME] [--seed 0] [--keep FOLDER] [--raw FOLDER]

INPUTS is the number of broken files per reader (a tenth for slow readers). They are made from valid files by edits
that know the format, and read in a child process with 96 MiB of spare memory and 5 seconds of CPU time each. A reader
returns a value or raises UserError with one line that names the file. Anything else is a finding: another exception, a
crash, a hang, or an allocation that a file of this size cannot need. FOLDER gets one file per distinct finding.
Exits with code 1 if there are findings.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from ceco3d.synthetic import generate_rooms
from tests.helpers.fuzz_readers import Reader, all_readers, broken_files
from tests.helpers.sandbox import Sandbox

BATCH = 100


@dataclass
class Result:
    """Counts of outcomes by kind, and the shortest input and the details of each distinct finding."""

    counts: Counter = field(default_factory=Counter)
    findings: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    seconds: float = 0.0


def fuzz(reader: Reader, count: int, seed: int) -> Result:
    """Run ``reader`` on ``count`` broken files."""
    result, begin, inputs = Result(), time.monotonic(), broken_files(reader, count, seed)
    with Sandbox(reader, reader.names) as sandbox:
        while batch := [data for _, data in zip(range(BATCH), inputs, strict=False)]:
            for data, outcome in zip(batch, sandbox.run(batch), strict=True):
                result.counts[outcome.kind] += 1
                if outcome.kind == "finding":
                    known = result.findings.get(outcome.finding)
                    if known is None or len(data) < len(known[0]):
                        result.findings[outcome.finding] = (data, outcome.detail)
    result.seconds = time.monotonic() - begin
    return result


def main(arguments: list[str]) -> int:
    """Fuzz, print the table, keep the inputs of findings; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=int, nargs="?", default=1000)
    parser.add_argument("--only", default="", help="run only readers whose name contains this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs of findings")
    parser.add_argument("--raw", type=Path, help="raw root with valid files; default: generate rooms200")
    given = parser.parse_args(arguments)
    logging.disable()  # readers warn about thousands of files
    table, found = Table("reader", "inputs", "accepted", "refused", "findings", "a second"), 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        raw = given.raw or Path(folder) / "raw"
        if given.raw is None:
            generate_rooms(raw, train=1, val=1, test=1, vertices=5000, seed=0, workers=1)
        for reader in all_readers(Path(folder), raw):
            if given.only not in reader.name:
                continue
            result = fuzz(reader, given.inputs // (10 if reader.slow else 1), given.seed)
            counts, total = result.counts, result.counts.total()
            row = (total, counts["accepted"], counts["refused"], counts["finding"], round(total / result.seconds))
            table.add_row(reader.name, *(f"{value:,}" for value in row))
            found += counts["finding"]
            for number, (finding, (data, detail)) in enumerate(result.findings.items()):
                print(f"{reader.name}: {finding}: {' '.join(detail.split())[:200]}", flush=True)
                if given.keep:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / f"{re.sub(r'[^a-z]+', '-', reader.name)}-{number}").write_bytes(data)
    Console(width=120).print(table)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
