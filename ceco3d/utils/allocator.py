"""How memory is handed out, by the C library and, on a GPU, by torch."""

from __future__ import annotations

import ctypes
import os

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_GPU_SETTINGS = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")  # the second is the name of before torch 2.9


def keep_freed_memory() -> None:
    """Let malloc (glibc) reuse large blocks instead of returning them to the system at once.

    On the CPU the tensors of a training step are tens of megabytes each; fetching them from the system anew, page by
    page, cost a quarter of the step. The process then stays at its peak size until it ends.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, -1)  # never
        mallopt(_M_MMAP_THRESHOLD, 2**31 - 1)


def let_segments_grow() -> None:
    """Let torch's GPU memory grow in place; it has to be said before CUDA starts. Settings of the user's own stay.

    Every step has another number of voxels: blocks of fixed size would be cut into pieces that fit none of the next,
    and the memory taken from the GPU would creep up.
    """
    if not any(name in os.environ for name in _GPU_SETTINGS):
        os.environ[_GPU_SETTINGS[1]] = "expandable_segments:True"
