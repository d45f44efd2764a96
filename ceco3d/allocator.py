"""How the C library hands out memory."""

from __future__ import annotations

import ctypes

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Let malloc (glibc) reuse large blocks instead of returning them to the system at once.

    On the CPU the tensors of a training step are tens of megabytes each; fetching them from the system anew, page by
    page, cost a quarter of the step. The process then stays at its peak size until it ends.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, -1)  # never
        mallopt(_M_MMAP_THRESHOLD, 2**31 - 1)
