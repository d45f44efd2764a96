"""Memory errors and races of the Triton kernels, as compute-sanitizer sees them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.gpu import cases
from tests.helpers.sanitizer import SUMMARIES, faults, find_sanitizer

pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]
SCRIPT = ("-m", "tests.helpers.sanitized_kernels")


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("tool", SUMMARIES)
def test_the_sanitizer_finds_no_fault(tool):
    program = find_sanitizer()
    if program is None:
        pytest.skip("compute-sanitizer is missing: it comes with the CUDA toolkit")
    command = [program, "--tool", tool, sys.executable, *SCRIPT, "2000", "32", "64", "96"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    report = done.stdout + done.stderr
    assert "\nran\n" in f"\n{report}", report[-2000:]
    assert faults(tool, report) == 0, report[-2000:]  # None: nothing was checked


@cases("arguments", [["20", "16"]], [["2000", "32", "64", "96"]], slow=True)
def test_what_is_sanitized_runs(arguments):
    done = subprocess.run(
        [sys.executable, *SCRIPT, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.stdout == "ran\n", done.stderr


@pytest.mark.parametrize(
    ("tool", "report", "found"),
    [
        ("memcheck", "========= COMPUTE-SANITIZER\nran\n========= ERROR SUMMARY: 0 errors\n", 0),
        ("memcheck", "========= Invalid __global__ read of size 4\n========= ERROR SUMMARY: 1 error\n", 1),
        ("racecheck", "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n", 0),
        ("racecheck", "========= RACECHECK SUMMARY: 3 hazards displayed (2 errors, 1 warning)\n", 3),
        ("racecheck", "========= ERROR SUMMARY: 0 errors\n", None),
        ("memcheck", "ran\n", None),
        ("memcheck", "========= Error: Target application returned an error\n", None),
    ],
)
def test_reports_without_a_summary_count_as_unchecked(tool, report, found):
    assert faults(tool, report) == found
