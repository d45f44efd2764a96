"""What runs on a worker of a Dask cluster: a job, its log lines, and the answers to its caller."""

from __future__ import annotations

import logging
import platform
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import ceco3d
from ceco3d.utils.errors import UserError

T = TypeVar("T")

_lock = threading.Lock()
_active: Counter[str] = Counter()  # jobs that run in this process, by run
_stopped: set[str] = set()  # runs that were stopped: jobs that arrive late do nothing


@dataclass(frozen=True)
class Returned(Generic[T]):
    """What a job logged, and its result or its UserError."""

    records: list[logging.LogRecord]
    result: T | None
    error: UserError | None

    def unpack(self) -> T:
        """Log the records and return the result; raises the error."""
        for record in self.records:
            logging.getLogger(record.name).handle(record)
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # None only if T has it


@dataclass(frozen=True)
class Task(Generic[T]):
    """A function for the jobs of one run; ``level``: of the messages that its caller shows."""

    function: Callable[..., T]
    run: str
    level: int

    def __call__(self, *args: Any) -> Returned[T]:
        with _counted(self.run), _collected(self.level) as records:
            try:
                return Returned(records, self.function(*args), None)
            except UserError as error:
                return Returned(records, None, UserError(str(error)))


def stop(run: str) -> int:
    """Keep the jobs of ``run`` in this process from starting; returns how many are still running."""
    with _lock:
        _stopped.add(run)
        return _active[run]


@contextmanager
def _counted(run: str) -> Iterator[None]:
    with _lock:
        if run in _stopped:
            raise UserError("the run was stopped")
        _active[run] += 1
    try:
        yield
    finally:
        with _lock:
            _active[run] -= 1


class _Collector(logging.Handler):
    """Keeps what one thread logs."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self.records, self.thread = records, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread:
            record.msg, record.args, record.exc_info = record.getMessage(), None, None
            self.records.append(record)


@contextmanager
def _collected(level: int) -> Iterator[list[logging.LogRecord]]:
    logger = logging.getLogger("ceco3d")
    logger.setLevel(level)
    records: list[logging.LogRecord] = []
    collector = _Collector(records)
    logger.addHandler(collector)
    try:
        yield records
    finally:
        logger.removeHandler(collector)


def versions() -> dict[str, str]:
    """What must be the same on all machines."""
    import distributed

    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "distributed": distributed.__version__, "ceco3d": ceco3d.__version__}


def check_visible(*paths: Path) -> None:
    """UserError that names this machine if a path cannot be seen from it."""
    for path in paths:
        try:
            path.stat()
        except OSError as error:
            raise UserError(
                f"{path}: not visible on worker {platform.node()} ({error.strerror}); "
                "all machines need the same disk under the same path"
            ) from None


def absolute(value: Any) -> Any:
    """``value``, with its paths absolute if it is a path or a dataclass with paths."""
    if isinstance(value, Path):
        return value.absolute()
    if is_dataclass(value) and not isinstance(value, type):
        paths = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{name: path.absolute() for name, path in paths.items() if isinstance(path, Path)})
    return value
