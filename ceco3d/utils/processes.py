"""Identify processes beyond their number: the boot and container they run in, and when they started."""

from __future__ import annotations

import hashlib
import os
import platform
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process of any machine.

    host     name of the machine or container
    machine  hash of the machine's id; "" where it has none, as in most containers
    boot     id of the machine's boot; the containers of a machine share it
    space    namespace of process numbers, one for each container
    pid      process number in that namespace
    started  ticks from the boot to the start of the process; tells apart processes that got the same number. None where
             the system does not say.
    """

    host: str
    machine: str
    boot: str
    space: str
    pid: int
    started: int | None


def this_process() -> Process:
    """The running process."""
    return Process(platform.node(), _machine(), boot_id(), _space(), os.getpid(), start_time(os.getpid()))


def is_running(process: Process) -> bool | None:
    """Whether ``process`` still runs; None if it cannot be checked from here (another machine or container)."""
    if process.boot != boot_id() or process.space != _space():
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # it is another user's
    now = start_time(process.pid)
    return now == process.started if now is not None and process.started is not None else not _is_zombie(process.pid)


def start_time(pid: int) -> int | None:
    """When the process ``pid`` started, in ticks since the boot; None if the system does not say or it is dead."""
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 and fields[0] not in ("Z", "X") else None


def has_rebooted(process: Process) -> bool:
    """Whether ``process`` ran on this machine before its last boot; False if that is not certain."""
    same_machine = process.machine != "" and process.machine == _machine() and process.host == platform.node()
    return same_machine and process.boot != boot_id()


def _is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] in ("Z", "X")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name, which may contain anything."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


@cache
def _machine() -> str:
    try:
        identity = Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""
    return hashlib.sha256(f"ceco3d {identity}".encode()).hexdigest()[:16] if identity else ""  # the id is confidential


@cache
def boot_id() -> str:
    """The same for all processes of a machine until it boots again."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{platform.node()}-{uuid.getnode():x}"  # without /proc: the machine


def _space() -> str:
    try:
        return os.readlink(PROC / "self/ns/pid")
    except OSError:
        return ""
