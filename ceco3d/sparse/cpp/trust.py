"""Open folders and files only if nobody else can change them: what is read from them runs as code.

A folder or file is trusted if it belongs to this user or root, and its mode lets nobody else write. The same holds for
every folder above it, because whoever can write there can rename it. Folders above may have the sticky bit instead, as
/tmp has: there only the owner can rename an entry. Files are checked after they are opened, and ``load_library`` loads
that very file, so a file renamed in between has no effect.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path

ROOT = 0
DESCRIPTORS = Path("/proc/self/fd")  # of Linux


class UntrustedError(OSError):
    """A folder or file that somebody else could have changed; the text says which, why, and what to do."""


def weakness(status: os.stat_result, user: int, parent: bool = False) -> str | None:
    """Why something with this ``status`` is not trusted by ``user``; None if it is.

    parent  whether it is a folder above the one that is used: others may write to it if it has the sticky bit
    """
    if status.st_uid not in (user, ROOT):
        return f"belongs to user {status.st_uid}"
    sticky = parent and status.st_mode & stat.S_ISVTX
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        return "can be written to by others"
    return None


def make_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it, for this user alone."""
    for path in reversed([folder, *folder.parents]):
        try:
            path.mkdir(mode=0o700)
        except OSError:
            if not path.is_dir():
                raise


def open_folder(folder: Path, parents: bool = True) -> int:
    """The descriptor of a trusted folder. UntrustedError if it is not trusted, another OSError if it cannot be opened.

    parents  whether the folders above must be trusted too
    """
    folder = folder.resolve()
    above = reversed(folder.parents) if parents else ()  # from the root: nobody can swap what is below a trusted one
    for path in above:
        _check(path, os.lstat(path), parent=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    return _checked(descriptor, folder)


def open_file(folder: int, path: Path) -> int:
    """The descriptor of the trusted file with the name of ``path`` in an open folder; errors as of ``open_folder``."""
    try:
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UntrustedError(f"{path} is a link; delete it") from None
        raise
    return _checked(descriptor, path, stat.S_ISREG(os.fstat(descriptor).st_mode))


def load_library(descriptor: int, path: Path) -> ctypes.CDLL:
    """Load an open library. Where files cannot be loaded by descriptor, by ``path``, whose folders are trusted.

    The descriptor stays open: the loader knows libraries by name, and another library must not get the same one.
    """
    opened = DESCRIPTORS / str(descriptor)
    try:
        return ctypes.CDLL(str(opened if opened.exists() else path))
    except OSError:
        os.close(descriptor)
        raise


def find_weakness(folder: Path) -> str | None:
    """Why ``folder`` or a file in it is not trusted, in one line; None if it is, or does not exist yet."""
    try:
        descriptor = open_folder(folder)
        try:
            for name in sorted(os.listdir(descriptor)):
                _check(folder / name, os.lstat(folder / name))
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        return str(error)
    return None


def _checked(descriptor: int, path: Path, right_kind: bool = True) -> int:
    try:
        if not right_kind:
            raise UntrustedError(f"{path} is not a file; delete it")
        _check(path, os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, status: os.stat_result, parent: bool = False) -> None:
    found = weakness(status, os.getuid(), parent)
    if found is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        remedy = "delete it"
    elif status.st_uid == os.getuid():
        remedy = f"chmod go-w {path}"
    else:
        remedy = "choose a folder of your own"
    raise UntrustedError(f"{path} {found}; {remedy}")
