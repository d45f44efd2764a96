"""Faults of the machine for tests: processes killed at a chosen moment, full disks, low limits."""

from __future__ import annotations

import ctypes
import os
import resource
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import pytest
import torch

from ceco3d.utils import parallel

# Events of Python (sys.addaudithook) that change what is in a folder, and which of their arguments are paths.
CHANGES = {"os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2}
CLONE_NEWNS = 0x20000  # of unshare(2): mounts of its own
NOT_ALLOWED = 77  # exit code where a fault cannot be made


@dataclass(frozen=True)
class Ended:
    """How a child process ended: its exit code, that of a signal being negative, and what it printed."""

    code: int
    out: str
    err: str


def in_child(function: Callable[[], object], before: Callable[[], object] = lambda: None) -> Ended:
    """Run ``function`` in a forked process, after ``before``; its exit code is that of Python."""
    pipes = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(_run(function, before, [writer for _, writer in pipes]))
    for _, writer in pipes:
        os.close(writer)
    with ThreadPoolExecutor() as pool:
        out, err = pool.map(_read, [reader for reader, _ in pipes])
    return Ended(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out, err)


def command(name: str, *arguments: object) -> Callable[[], None]:
    """``python -m ceco3d.NAME ARGUMENTS``, for ``in_child``."""

    def run() -> None:
        sys.argv = [name, *map(str, arguments)]
        runpy.run_module(f"ceco3d.{name}", run_name="__main__", alter_sys=True)

    return run


def _run(function: Callable[[], object], before: Callable[[], object], writers: list[int]) -> int:
    """``function`` with its output in pipes, which have no limits; the exit code."""
    code: object = 0
    for number, writer in enumerate(writers, start=1):
        os.dup2(writer, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    torch.set_num_threads(1)
    parallel.START = "spawn"  # the fork server belongs to the parent
    try:
        before()
        function()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    return code if isinstance(code, int) else 1


def _read(number: int) -> str:
    with open(number, "rb") as file:
        return file.read().decode()


def watch_changes(folder: Path, act: Callable[[int], object]) -> None:
    """In this process, call ``act(n)`` before the n-th change (from 0) of what is in ``folder``."""
    number = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal number
        if event == "open":
            changing = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            paths = arguments[:1] if changing else ()
        else:
            paths = arguments[: CHANGES.get(event, 0)]
        if any(isinstance(path, (str, bytes, os.PathLike)) and is_in(path, folder) for path in paths):
            number += 1
            act(number - 1)

    sys.addaudithook(hook)  # for good: only in children


def is_in(path: str | bytes | os.PathLike, folder: Path) -> bool:
    return os.path.abspath(os.fsdecode(path)).startswith(str(folder))


def kill_at(folder: Path, moment: int) -> Callable[[], None]:
    """``before`` of ``in_child``: SIGKILL right before a change of ``folder``."""

    def act(number: int) -> None:
        if number == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: watch_changes(folder, act)


def killed_everywhere(function: Callable[[], object], folder: Path, stride: int = 1) -> Iterator[int]:
    """Run ``function``, killed before its first, second, ... change of ``folder``; yields after each kill.

    The caller then puts the folder into the state from which the next run is to start. Ends when a run is not killed.
    """
    moment = 0
    while True:
        ended = in_child(function, kill_at(folder, moment))
        if ended.code != -signal.SIGKILL:
            assert ended.code == 0, ended.err
            return
        yield moment
        moment += stride


def limit_file_size(size: int) -> Callable[[], None]:
    """``before`` of ``in_child``: files cannot grow beyond ``size`` bytes, as with ulimit -f."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def limit_open_files(more: int) -> Callable[[], None]:
    """``before`` of ``in_child``: as with ulimit -n, no more open files than now and ``more``."""

    def change() -> None:
        used = set(map(int, os.listdir("/proc/self/fd")))
        limit = next(islice((number for number in count() if number not in used), more, None))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    return change


def small_shared_memory(size: int) -> Callable[[], None]:
    """``before`` of ``in_child``: a /dev/shm of its own with ``size`` bytes; the child ends with NOT_ALLOWED if not."""

    def change() -> None:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", "/dev/shm"]
        private = ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
        if not private or any(
            subprocess.run(command).returncode for command in (["mount", "--make-rprivate", "/"], mount)
        ):
            sys.exit(NOT_ALLOWED)

    return change


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of ``size`` bytes at ``folder``; skips the test where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def files_in(folder: Path) -> dict[str, bytes]:
    """The content of every file, by its path in ``folder``."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
