"""A run at work in its folder: one process, whose output is also kept in ``run.log``."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ceco3d.runs.lock import FolderLock
from ceco3d.utils.errors import UserError
from ceco3d.utils.processes import this_process
from ceco3d.utils.transcript import Transcript, transcribed

LOG = "run.log"
CONFIG = "config.yaml"  # marks a folder that holds a run
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

_logs: dict[Path, Transcript] = {}


@contextmanager
def locked_folder(folder: Path, key: str = "run_dir", wait: bool = False) -> Iterator[None]:
    """In the body, no other process works in ``folder``; see ``FolderLock``.

    Signals that end the process end the body first, so that the folder is given back.
    """
    lock = FolderLock(folder, key, wait)
    try:
        with _signals_end_the_body():
            yield
    finally:
        lock.release()


@contextmanager
def open_run(run_dir: Path, wait: bool = False) -> Iterator[None]:
    """``locked_folder`` for a run, which also appends what is printed to ``run_dir/run.log`` (``begin_log``).

    Does nothing if this process has opened the run already.
    """
    folder = run_dir.resolve()
    if folder in _logs:
        yield
        return
    with transcribed(run_dir / LOG, _title()) as log, locked_folder(run_dir, wait=wait):
        _logs[folder] = log
        try:
            yield
        except BaseException as error:
            if (run_dir / CONFIG).is_file():
                log.begin()
            for line in _last_words(error):
                log.line(line)
            raise
        finally:
            del _logs[folder]


def begin_log(run_dir: Path) -> None:
    """Write ``run.log`` from now on. Before, an attempt that ends leaves an empty folder as it was."""
    log = _logs.get(run_dir.resolve())
    if log is not None:
        log.begin()


def _title() -> str:
    process = this_process()
    when = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return f"==== {when}, process {process.pid} on {process.host}: {shlex.join(sys.orig_argv)}"


def _last_words(error: BaseException) -> list[str]:
    """What the command prints about ``error`` after the log is closed."""
    if isinstance(error, UserError):
        return [f"error: {' '.join(str(error).split())}"]
    if isinstance(error, KeyboardInterrupt):
        return ["interrupted"]
    if isinstance(error, SystemExit):
        return [f"exit code {error.code}"] if error.code else []
    return "".join(traceback.format_exception(error)).splitlines()


@contextmanager
def _signals_end_the_body() -> Iterator[None]:
    """Turn signals that would kill this process into SystemExit with the same exit code, 128 + number."""
    process = os.getpid()

    def leave(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != process:  # a forked child, which cleans nothing up
            os._exit(128 + number)
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    changed = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
