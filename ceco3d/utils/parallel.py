"""Jobs in worker processes, without stray processes or a flood of tracebacks after Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

from ceco3d.utils.allocator import keep_freed_memory

Job = TypeVar("Job")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_parallel(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int
) -> Iterator[tuple[Job, Future[Result]]]:
    """Run ``function`` on every job in ``workers`` single-threaded processes; yield (job, future) as jobs finish.

    ``function`` and jobs must be picklable. If the caller stops early (Ctrl-C, an error, a dead worker), running jobs
    finish and the others are dropped.
    """
    # spawn, because threads of this process (torch, progress) do not survive a fork
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker) as pool:
        try:
            with _inherited_by_workers():
                job_of = {pool.submit(function, job): job for job in jobs}
            for future in as_completed(job_of):
                yield job_of[future], future
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def _inherited_by_workers() -> Iterator[None]:
    """Make processes started in the body single-threaded and immune to Ctrl-C from the start; this one handles it."""
    before = {name: os.environ.get(name) for name in THREADS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker() -> None:
    """Set up a worker: keep freed memory, and exit as soon as the parent is gone, even if it was killed."""
    keep_freed_memory()
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
