"""Atomic file writes: a file is complete under its name, or it is not there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from ceco3d.utils.errors import DiskFullError, UserError
from ceco3d.utils.processes import boot_id

RETRY_SECONDS = 30.0  # between two attempts to write results
PATIENCE_SECONDS = 1800.0  # after which a finished computation gives up writing its results
ABANDONED_SECONDS = 86400.0  # after which a temporary file of another machine counts as abandoned
NAME_BYTES = 255  # longest name of a file
PART = re.compile(r"\.([0-9a-f]{4})[0-9a-f]{8}\.part")  # ends the names of temporary files
PART_BYTES = 18  # of that ending
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # why no more can be written

logger = logging.getLogger(__name__)


def check_writable(folder: Path) -> None:
    """UserError unless ``folder`` is writable or can be created. Leaves nothing behind."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".ceco3d-", dir=existing))  # permissions do not tell, such as those of /proc
    except OSError:
        reason = f"{existing} is not a writable folder"
        raise UserError(f"{folder}: cannot write there ({reason}); choose another folder") from None


@contextmanager
def full_disk_ends(folder: Path) -> Iterator[None]:
    """DiskFullError if the body cannot write into ``folder`` because its disk is full."""
    try:
        yield
    except OSError as error:
        cut_short = error.errno is None and "requested and" in str(error)  # NumPy does not say why
        if not cut_short and error.errno not in FULL:
            raise
        reason = "No space left on device" if error.errno is None else error.strerror
        raise DiskFullError(
            f"{folder}: cannot be written ({reason}): free some space and run again; what is finished is kept"
        ) from error


def retry_on_disk_error(write: Callable[[], None]) -> None:
    """Call ``write`` until it succeeds, for up to PATIENCE_SECONDS, with a warning for every OSError.

    A full disk or an unreachable folder must not cost the results of a long computation. Raises the last OSError.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return write()
        except OSError as error:
            if time.monotonic() > end:
                raise
            logger.warning("%s; next try in %.0f s", error, RETRY_SECONDS)
            time.sleep(RETRY_SECONDS)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file for writing and rename it to ``path`` at the end; on an error ``path`` stays as it was.

    Creates the folder. The temporary file lies beside ``path`` under a name of its own, so any number of processes may
    write the same path: the last one to finish wins. Removes the temporary files of writers of ``path`` that were
    killed. UserError if ``path`` is a folder; an OSError because the disk is full names ``path``.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, where a file is to be written: remove or rename it")
    try:
        with _part_of(path) as file:
            yield file
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def _part_of(path: Path) -> Iterator[BinaryIO]:
    """The temporary file of ``whole_file``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    part, file = _open_part(path)
    lock = os.dup(file.fileno())  # it stays locked until it has its name: no other writer takes it for abandoned
    try:
        with file:
            yield file
        os.replace(part, path)  # after closing, which can be when a network disk reports that it is full
    finally:
        os.close(lock)
        part.unlink(missing_ok=True)


def _open_part(path: Path) -> tuple[Path, BinaryIO]:
    """Create a temporary file for ``path``, named ``<name>.<machine><random>.part``, and lock it."""
    while True:
        suffix = f".{_machine()}{secrets.token_hex(4)}.part"
        name = os.fsdecode(os.fsencode(path.name)[: NAME_BYTES - len(suffix)])
        part = path.with_name(name + suffix)
        file = part.open("xb")
        held = lock_file(file) is False  # by another writer that takes it for abandoned
        with suppress(OSError):
            if not held and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return part, file
        file.close()  # between open and lock, another writer took it for abandoned
        part.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files of ``path`` whose writers are gone.

    Their locks end with the writers. File systems may keep locks within one machine, or have none, so other files must
    also be old.
    """
    stem = os.fsdecode(os.fsencode(path.name)[: NAME_BYTES - PART_BYTES])
    with suppress(OSError):
        for entry in list(os.scandir(path.parent)):
            if entry.name.startswith(stem) and (found := PART.fullmatch(entry.name, len(stem))):
                with suppress(OSError), open(entry.path, "r+b") as file:
                    old = time.time() - os.fstat(file.fileno()).st_mtime > ABANDONED_SECONDS
                    locked = lock_file(file)
                    if (locked and found[1] == _machine()) or (old and locked is not False):
                        os.unlink(entry.path)


def lock_file(file: BinaryIO) -> bool | None:
    """Lock an open file until it is closed; False if it is locked already, None if the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@cache
def _machine() -> str:
    return hashlib.sha256(boot_id().encode()).hexdigest()[:4]


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: they get their names in this order, once all are complete, or none does."""
    with ExitStack() as stack:
        for path, content in reversed(list(contents.items())):  # the last one opened is the first to get its name
            file = stack.enter_context(whole_file(path))
            file.write(content)
            file.flush()  # the disk is full now, or not at all


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically; creates its folder."""
    write_files({path: content})


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; creates the folder. See ``encoded``."""
    write_bytes(path, encoded(text))


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; creates the folder."""
    write_bytes(path, json_bytes(content))


def encoded(text: str) -> bytes:
    """``text`` in UTF-8; lone surrogates, which stand for names of files that are no text, become escapes."""
    return text.encode(errors="backslashreplace")


def json_bytes(content: Any) -> bytes:
    """``content`` as the JSON of a file."""
    return encoded(json.dumps(content, indent=2) + "\n")
