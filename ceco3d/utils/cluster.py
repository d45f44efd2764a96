"""The workers of a Dask cluster, behind the interface of local worker processes: ``concurrent.futures.Executor``."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ceco3d.utils.cluster_task import Returned, Task, absolute, stop, versions
from ceco3d.utils.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

PATIENCE_SECONDS = 10.0  # for the scheduler to answer, and for a first worker
WATCH_SECONDS = 30.0  # between two looks whether there still are workers
POLL_SECONDS = 0.2  # between two looks whether the last jobs of a stopped run have ended

T = TypeVar("T")

logger = logging.getLogger(__name__)
_current: Cluster | None = None


class WorkerDied(UserError):
    """A job whose workers died, one after another."""


def current() -> Cluster | None:
    """The cluster of the enclosing ``connected``, if there is one."""
    return _current


@contextmanager
def connected(address: str | None) -> Iterator[Cluster | None]:
    """Connect to a Dask scheduler; in the body it is ``current``. Does nothing where ``address`` is None.

    UserError if distributed is not installed, no scheduler answers, it has no workers, or they run other versions.
    """
    global _current
    if address is None:
        yield None
        return
    client = _connect(address)
    try:
        _check_workers(client, address)
        _current = Cluster(client, address)
        yield _current
    finally:
        _current = None
        with suppress(Exception):  # the scheduler may be gone
            client.close(timeout=2)


def _connect(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError:
        raise UserError("executor=dask: the package distributed is missing: pip install 'ceco3d[cluster]'") from None
    for name in ("distributed", "distributed.client"):  # errors are reported here, in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions are compared below
            return Client(address, timeout=PATIENCE_SECONDS, set_as_default=False)
    except ImportError as error:  # how distributed refuses another version
        raise UserError(f"scheduler={address}: other versions there: {_line(error)}") from None
    except (OSError, asyncio.TimeoutError, ValueError, TypeError) as error:
        raise UserError(
            f"scheduler={address}: no Dask scheduler answers there ({_line(error)}); "
            "start one with `dask scheduler`, see docs/cluster.md"
        ) from None


def _check_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
    except asyncio.TimeoutError:
        raise UserError(f"scheduler={address}: it has no workers; start some with `dask worker {address}`") from None
    here = versions()
    for worker, found in sorted(client.run(versions, on_error="return").items()):
        if isinstance(found, BaseException):
            raise UserError(f"scheduler={address}: worker {worker} cannot import ceco3d ({_line(found)}): install it")
        for name, version in found.items():
            if version != here[name]:
                raise UserError(
                    f"scheduler={address}: worker {worker} runs {name} {version}, here it is {here[name]}: "
                    "install the same versions"
                )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class Cluster:
    """A Dask cluster that answers."""

    def __init__(self, client: Client, address: str) -> None:
        self.client, self.address = client, address

    def executor(self) -> ClusterExecutor:
        """An executor for the jobs of one run."""
        return ClusterExecutor(self)


class ClusterExecutor(Executor):
    """Runs jobs on the workers of a cluster.

    Functions and jobs must be picklable. Paths that are fields of a job become absolute, because workers have other
    working folders. What a job logs is logged here. Jobs of workers that die run on others; one whose workers die again
    and again ends with ``WorkerDied``.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._run = cluster, uuid.uuid4().hex
        self._pool = cluster.client.get_executor(pure=False)
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See ``Executor``."""
        level = logging.getLogger("ceco3d").getEffectiveLevel()
        inner = self._pool.submit(Task(partial(fn, **kwargs), self._run, level), *map(absolute, args))
        outer: Future[T] = Future()
        outer.set_running_or_notify_cancel()
        inner.add_done_callback(partial(self._finish, outer))
        return outer

    def _finish(self, outer: Future[T], inner: Future[Returned[T]]) -> None:
        from distributed import KilledWorker

        try:
            outer.set_result(inner.result().unpack())
        except CancelledError:
            gone = f"scheduler={self._cluster.address}: lost the connection; run again, what is finished is kept"
            outer.set_exception(UserError(gone))
        except KilledWorker:
            outer.set_exception(WorkerDied("its worker process died (killed, or out of memory?)"))
        except BaseException as error:
            outer.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See ``Executor``. Jobs that wait are dropped with ``cancel_futures``; those that run are waited for."""
        if self._ended.is_set():
            return
        self._ended.set()
        with suppress(Exception):  # the scheduler may be gone
            self._pool.shutdown(wait=wait and not cancel_futures)  # without waiting: drops all
            client = self._cluster.client
            while wait and cancel_futures and any(client.run(stop, self._run, on_error="ignore").values()):
                time.sleep(POLL_SECONDS)

    def _watch(self) -> None:
        """Say so when the last worker has left: Dask waits for others."""
        waiting = False
        while not self._ended.wait(WATCH_SECONDS):
            with suppress(Exception):  # a lost connection ends the futures
                none = not self._cluster.client.scheduler_info()["workers"]
                if none and not waiting:
                    logger.warning(f"scheduler={self._cluster.address}: all workers have left; waiting for new ones")
                waiting = none
