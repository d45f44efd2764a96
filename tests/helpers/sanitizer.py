"""Reports of NVIDIA's compute-sanitizer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

SUMMARIES = {
    "memcheck": r"ERROR SUMMARY: (\d+) errors?",
    "racecheck": r"RACECHECK SUMMARY: (\d+) hazards? displayed",
}


def find_sanitizer() -> str | None:
    """The program, on the path or in the folder of a CUDA toolkit; None where there is none."""
    installed = sorted(Path("/usr/local").glob("cuda*/bin/compute-sanitizer"))
    return shutil.which("compute-sanitizer") or (str(installed[-1]) if installed else None)


def faults(tool: str, report: str) -> int | None:
    """The number of faults that a report counts; None if it has no summary, so that nothing was checked."""
    found = re.findall(SUMMARIES[tool], report)
    return sum(map(int, found)) if found else None
