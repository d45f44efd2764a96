"""Run a function of bytes in a child process with little memory and time, so that no input can harm the caller."""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import resource
import signal
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from ceco3d.utils.errors import UserError

MEMORY = 96 * 2**20  # bytes on top of what the process has at its start
SECONDS = 5.0  # of CPU time per input
SILENCE = 120.0  # seconds without an answer, whatever the CPU time
LIFETIME = 5000  # inputs per process, because memory fragments
MESSAGE = 1000  # longest message that still counts as a line, in characters


@dataclass(frozen=True)
class Outcome:
    """The outcome of one input: "accepted", "refused" with a proper UserError, or a "finding": where, and details."""

    kind: str
    finding: str = ""
    detail: str = ""


class Sandbox:
    """Runs ``read`` in a child process, which is replaced if it dies. Errors must name one of ``names``."""

    def __init__(self, read: Callable[[bytes], object], names: Sequence[str]) -> None:
        self._read, self._names = read, tuple(names)
        self._process: multiprocessing.Process | None = None
        self._done = 0

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, inputs: Sequence[bytes]) -> list[Outcome]:
        """The outcome of each input."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(inputs):
            if self._process is None:
                self._start()
            rest = inputs[len(outcomes) :]
            try:
                self._connection.send(rest)
                for _ in rest:
                    if not self._connection.poll(SILENCE):
                        raise EOFError
                    outcomes.append(self._connection.recv())
            except (EOFError, OSError):
                self._process.join(1.0)
                outcomes.append(Outcome("finding", self._stop()))
        self._done += len(inputs)
        if self._done >= LIFETIME:
            self._stop()
        return outcomes

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, inner = context.Pipe()
        self._process = context.Process(target=_serve, args=(inner, self._read, self._names), daemon=True)
        self._process.start()
        inner.close()
        self._done = 0

    def _stop(self) -> str:
        """End the child; returns how it ended."""
        if self._process is None:
            return ""
        self._connection.close()
        self._process.kill()
        self._process.join()
        code, self._process = self._process.exitcode, None
        return f"killed by {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"


def _serve(connection: Connection, read: Callable[[bytes], object], names: Sequence[str]) -> None:
    faulthandler.disable()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            inputs = connection.recv()
        except EOFError:
            return
        for data in inputs:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process
            outcome = _judge(read, data, names)
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send(outcome)


def _judge(read: Callable[[bytes], object], data: bytes, names: Sequence[str]) -> Outcome:
    try:
        read(data)
    except UserError as error:
        text = str(error)
        if _lacked_memory(error):
            return Outcome("finding", f"more memory than there is, {_where(error)}", text)
        if not text.isprintable() or len(text) > MESSAGE:
            return Outcome("finding", f"message is not one printable line, {_where(error)}", repr(text))
        if not any(name in text for name in names):
            return Outcome("finding", f"message names no file, {_where(error)}", text)
        return Outcome("refused")
    except BaseException as error:  # any other exception is a finding
        return Outcome("finding", f"{type(error).__name__}, {_where(error)}", repr(error))
    return Outcome("accepted")


def _lacked_memory(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, is a failed allocation."""
    while error is not None:
        if isinstance(error, MemoryError) or _about_memory(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _about_memory(text: str) -> bool:
    """Torch and the C++ library report it as text."""
    return any(words in text for words in ("can't allocate memory", "not enough memory", "bad_alloc", "out of memory"))


def _where(error: BaseException) -> str:
    """The last line of this project in the traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "tests" not in frame.filename]
    own = [f for f in frames if "ceco3d" in f.filename or "scripts" in f.filename] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "nowhere"
