"""Memory allocator settings: malloc, and torch's allocator on a GPU."""

from __future__ import annotations

import ctypes
import os

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4

_GPU_SETTINGS = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")  # the second is the name before torch 2.9


def keep_freed_memory() -> None:
    """Make glibc's malloc reuse large blocks instead of returning them to the system at once.

    On the CPU the tensors of a training step take tens of megabytes each, and getting them from the system anew, page
    by page, cost a quarter of the step. In return, the process keeps its peak size until it ends. The CPU kernels of
    ``ceco3d.sparse`` do the same when they are loaded; this is for processes without them, and needs no torch.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, -1)  # never
        if not mallopt(_M_MMAP_THRESHOLD, 2**31 - 1):  # old versions refuse large thresholds
            mallopt(_M_MMAP_MAX, 0)


def let_segments_grow() -> None:
    """Make torch's GPU memory segments expandable. Call before CUDA starts; the user's own settings take precedence.

    The number of voxels differs from step to step. Fixed segments would fragment, and GPU memory would grow slowly.
    """
    if not any(name in os.environ for name in _GPU_SETTINGS):
        os.environ[_GPU_SETTINGS[1]] = "expandable_segments:True"
