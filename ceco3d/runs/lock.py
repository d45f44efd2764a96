"""One process for each folder: a lock file that says who holds it, and tells dead holders from living ones."""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import shlex
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter

from ceco3d.utils.atomic import check_writable, lock_file
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_text import visible
from ceco3d.utils.processes import Process, has_rebooted, is_running, this_process

NAME = "run.lock"
SETTLING_SECONDS = 0.3  # after which two processes that took over at once know which of them holds the lock
NEW_SECONDS = 5.0  # a younger file without content is being written
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # of a file system

logger = logging.getLogger(__name__)


class HeldError(UserError):
    """Another process holds the folder, or may hold it; ``alive`` where that is certain."""

    def __init__(self, text: str, alive: bool) -> None:
        super().__init__(text)
        self.alive = alive


@dataclass(frozen=True)
class Holder:
    """The content of a lock file.

    token    of this lock alone
    since    local time, as text
    folder   inode of the folder, which a copy of the folder does not have
    job      id of the Slurm job, "" outside of Slurm; ``restarts`` counts how often it was requeued
    locked   whether the file also has a lock of the operating system, which ends with the process
    """

    process: Process
    token: str
    since: str
    command: str
    folder: int
    job: str
    restarts: int
    locked: bool

    def __str__(self) -> str:
        return f"process {self.process.pid} on {self.process.host} since {self.since}"


class FolderLock:
    """Holds ``folder`` for this process until ``release``, with the file ``run.lock`` in it.

    key   of the folder, for messages
    wait  wait for a living holder instead of raising

    HeldError, before anything else is written, while another process holds the folder, or if it cannot be known whether
    it still runs. A lock whose holder is dead is taken over. Forked children neither hold nor release it.
    """

    def __init__(self, folder: Path, key: str = "run_dir", wait: bool = False) -> None:
        check_writable(folder)
        self.folder, self.path, self._key = folder, folder / NAME, key
        self._token, self._pid = secrets.token_hex(8), os.getpid()
        self._made: list[Path] = []
        try:
            self._file = self._acquire(wait)
        except OSError as error:
            self._remove_folders()
            raise UserError(f"{self.path}: cannot be written ({error.strerror}); choose another {key}") from error
        except BaseException:
            self._remove_folders()
            raise
        os.register_at_fork(after_in_child=self._file.close)  # else a child would keep the lock of a killed parent

    def release(self) -> None:
        """Give the folder back; removes the folders that were made for it if they are still empty."""
        if os.getpid() != self._pid:
            return
        with suppress(OSError):  # the folder or its disk may be gone
            if (holder := read_holder(self.path)) is not None and holder.token == self._token:
                self.path.unlink()
        self._file.close()
        self._remove_folders()

    def _acquire(self, wait: bool) -> BinaryIO:
        told = False
        while True:
            try:
                file = self._try()
            except HeldError as error:
                if not (wait and error.alive):
                    raise
                if not told:
                    logger.warning(f"waiting: {error}")
                told = True
                time.sleep(1.0)
                continue
            except FileNotFoundError:  # another process has just removed the folder that it had made
                file = None
            if file is not None:
                return file
            time.sleep(0.05)

    def _try(self) -> BinaryIO | None:
        """The open lock file, or None if it must be tried again."""
        self._make_folders()
        draft = self.path.with_name(f".{NAME}.{secrets.token_hex(8)}")
        file = draft.open("x+b")
        try:
            locked = lock_file(file) is True
            file.write(_content(self.folder, self._token, locked))
            file.flush()
            if (linked := _link(draft, self.path, file)) is not None:
                return linked
            if self._take_over(draft):
                return file
            file.close()
            return None
        except BaseException:
            file.close()
            raise
        finally:
            draft.unlink(missing_ok=True)

    def _take_over(self, draft: Path) -> bool:
        """Replace the lock of a dead holder by ``draft``; False if it is to be tried again. HeldError if not dead."""
        try:
            old = _open(self.path)
        except FileNotFoundError:
            return False  # just released
        with old:
            free = lock_file(old)  # as long as we have it, no other process takes over; None: there are no such locks
            holder = read_holder(self.path)
            if holder is None and time.time() - os.fstat(old.fileno()).st_mtime < NEW_SECONDS:
                return False
            self._check_dead(holder, free)
            if free is False or not _is_at(old, self.path):
                return False
            logger.warning(f"{self.folder}: taking over from {holder or 'a process'}, which ended without cleaning up")
            os.replace(draft, self.path)
            if free is None:
                time.sleep(SETTLING_SECONDS)
        found = read_holder(self.path)
        return found is not None and found.token == self._token

    def _check_dead(self, holder: Holder | None, free: bool | None) -> None:
        other = f"or choose another {self._key}"
        if holder is None:
            if not free:
                text = f"{self.path}: cannot be read; if no other process uses the folder, delete this file, {other}"
                raise HeldError(text, alive=False)
            return
        alive = is_alive(holder, free, self.folder)
        if alive:
            raise HeldError(f"{self.folder}: in use by {holder}; wait for it or stop it, {other}", alive=True)
        if alive is None:
            text = f"{self.folder}: in use by {holder}, as far as can be told from here: if that has ended, delete "
            raise HeldError(f"{text}{self.path} and start again; else wait for it, {other}", alive=False)

    def _make_folders(self) -> None:
        missing = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        for path in reversed(missing):
            with suppress(FileExistsError):
                path.mkdir()
                self._made.insert(0, path)

    def _remove_folders(self) -> None:
        for path in self._made:
            with suppress(OSError):
                path.rmdir()


def is_alive(holder: Holder, free: bool | None, folder: Path) -> bool | None:
    """Whether the holder of the lock in ``folder`` still runs; None if that cannot be known from here.

    free  whether its lock of the operating system could be had; None: the file system has none
    """
    job, restarts = _slurm()
    if job and holder.job == job and holder.restarts < restarts:
        return False  # Slurm ends a job before it starts it again
    alive = is_running(holder.process)
    if alive is not None:
        copied = holder.locked and free is True and holder.folder != folder.stat().st_ino
        return alive and not copied
    if free is False:
        return True
    if has_rebooted(holder.process):
        return False
    if holder.locked and free and holder.process.boot == this_process().boot:
        return False  # another container of this machine: the lock is the kernel's, and it is free
    return None


def read_holder(path: Path) -> Holder | None:
    """The content of a lock file; None if it is missing or has no sense."""
    try:
        return TypeAdapter(Holder).validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _content(folder: Path, token: str, locked: bool) -> bytes:
    job, restarts = _slurm()
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    command = visible(shlex.join(sys.orig_argv))  # names that are not text are not JSON either
    holder = Holder(this_process(), token, since, command, folder.stat().st_ino, job, restarts, locked)
    return json.dumps(asdict(holder), indent=2).encode() + b"\n"


def _slurm() -> tuple[str, int]:
    restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
    return os.environ.get("SLURM_JOB_ID", ""), int(restarts) if restarts.isdigit() else 0


def _link(draft: Path, path: Path, file: BinaryIO) -> BinaryIO | None:
    """Give the open file ``draft`` the name ``path`` as well; None if that exists."""
    try:
        os.link(draft, path)
        return file
    except FileExistsError:
        return None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    try:
        created = path.open("x+b")
    except FileExistsError:
        return None
    lock_file(created)
    created.write(draft.read_bytes())
    created.flush()
    file.close()
    return created


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("r+b")  # some network disks lock only what may be written
    except PermissionError:
        return path.open("rb")


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the open ``file`` is still the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
