"""The limit of open files: batches in shared memory are files, and so is every worker process."""

from __future__ import annotations

import resource
from contextlib import suppress

ENOUGH = 65536


def allow_many_open_files() -> None:
    """Raise this process's limit of open files, often 1024, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
