"""Jobs in worker processes, here or on a cluster, without stray processes or a flood of tracebacks after Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed, wait
from contextlib import contextmanager
from typing import TypeVar

from ceco3d.utils.allocator import keep_freed_memory
from ceco3d.utils.cluster import Cluster, WorkerDied
from ceco3d.utils.errors import UserError

Job = TypeVar("Job")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# How local workers start. Not by a fork of this process: its threads (torch, progress) would not survive.
START = "spawn"
MAX_SUSPECTS = 20  # jobs of a cluster whose workers died; more of them point to the machines rather than to single jobs


def run_parallel(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int | Cluster
) -> Iterator[tuple[Job, Future[Result]]]:
    """Run ``function`` on every job in worker processes; yield (job, future) as jobs finish.

    workers  number of single-threaded processes, or the cluster whose workers do the jobs

    ``function`` and jobs must be picklable. If the caller stops early (Ctrl-C, an error, a dead worker), running jobs
    finish and the others are dropped. When a local worker dies, the unfinished futures raise BrokenProcessPool; on a
    cluster only the job that kills its workers fails, with WorkerDied.
    """
    with _executor(workers) as pool:
        try:
            with _inherited_by_workers():
                job_of = {pool.submit(function, job): job for job in jobs}
            suspects: list[tuple[Job, Future[Result]]] = []
            for future in as_completed(job_of):
                job = job_of.pop(future)  # its result can then be freed
                if isinstance(future.exception(), WorkerDied):
                    suspects.append((job, future))
                    if len(suspects) > MAX_SUSPECTS:
                        raise UserError(f"{len(suspects)} jobs lost their workers (out of memory?): use larger workers")
                else:
                    yield job, future
            for job, future in suspects:
                if len(suspects) > 1:  # some may only have been beside the one that kills workers
                    future = pool.submit(function, job)
                    wait([future])
                yield job, future
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _executor(workers: int | Cluster) -> Executor:
    if isinstance(workers, Cluster):
        return workers.executor()
    return ProcessPoolExecutor(workers, multiprocessing.get_context(START), _start_worker)


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
