"""Why a library fails, in one line, however much it prints."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# {what the error or the output contains: what to do about it}
REMEDIES = {
    r"(?i)nvrtc|cannot open source file|could not open source": (
        "its run-time compiler finds no CUDA headers: pip install nvidia-cuda-cccl-cu12 nvidia-cuda-runtime-cu12 and "
        "copy site-packages/nvidia/*/include/* into site-packages/cumm/include"
    ),
    r"no kernel image|unsupported gpu architecture": "it has no kernels for this GPU: install the build for its CUDA",
    r"(?i)out of memory": "the GPU has too little memory: fewer voxels=[...]",
}


@contextmanager
def captured_output() -> Iterator[Callable[[], str]]:
    """A context in which nothing that this process or its libraries print is seen; yields a function that reads it."""
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        sys.stderr.flush()
        kept = [(number, os.dup(number)) for number in (1, 2)]
        for number, _ in kept:
            os.dup2(file.fileno(), number)

        def read() -> str:
            sys.stdout.flush()
            sys.stderr.flush()
            file.seek(0)
            return file.read().decode(errors="replace")

        try:
            yield read
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in kept:
                os.dup2(copy, number)
                os.close(copy)


def reason(error: BaseException, output: str = "") -> str:
    """One line: the remedy if the error or what was printed before it is known, else the error's first line."""
    for pattern, remedy in REMEDIES.items():
        if re.search(pattern, f"{error}\n{output}"):
            return remedy
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
