"""What loading the CPU kernels does to malloc."""

import platform
import re
from pathlib import Path

import pytest
import torch

from ceco3d.sparse.cpp.build import library

MIB = 2**20


def resident() -> int:
    """Bytes of this process in memory."""
    (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kib) * 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems have no such setting")
@pytest.mark.skipif(library() is None, reason="no C++ compiler")
def test_freed_memory_stays_with_the_process():
    tensor = torch.ones(64 * MIB // 4)
    held = resident()
    del tensor
    assert resident() > held - 32 * MIB
