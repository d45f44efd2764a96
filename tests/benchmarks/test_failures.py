"""Libraries that fail are reported in one line, whatever they print."""

import os
import sys

import pytest

from ceco3d.benchmarks.failures import captured_output, reason


@pytest.mark.parametrize(
    ("error", "printed", "line"),
    [
        (RuntimeError("nvrtc: error: failed\n" * 100), "", "pip install nvidia-cuda-cccl-cu12"),
        (
            RuntimeError("failed"),
            "kernel.cu(3): catastrophic error: cannot open source file 'cuda/std/cassert'",
            "cccl",
        ),
        (RuntimeError("CUDA error: no kernel image is available"), "", "no kernels for this GPU"),
        (RuntimeError("CUDA out of memory. Tried"), "", "fewer voxels"),
        (ValueError("ocnn has no 5^3 kernels\nmore"), "", "ValueError: ocnn has no 5^3 kernels"),
    ],
)
def test_the_remedy_or_the_first_line(error, printed, line):
    found = reason(error, printed)
    assert line in found
    assert "\n" not in found


def test_what_is_printed_is_kept_from_the_screen(capfd):
    with captured_output() as output:
        print("from Python")
        sys.stdout.flush()
        os.write(1, b"from a library\n")
        os.write(2, b"and its errors\n")
        assert "from a library\nand its errors\n" in output()
    os.write(1, b"after\n")
    captured = capfd.readouterr()
    assert captured.out == "after\n" or captured.out == "from Python\nafter\n"  # pytest may hold Python's own stream
    assert captured.err == ""
