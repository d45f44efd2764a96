"""Files that commands write: whole or not at all."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ceco3d.utils.errors import UserError

RETRY_SECONDS = 30.0  # between two attempts to write what could not be written
PATIENCE_SECONDS = 1800.0  # that a finished computation waits for its results to be written


def check_writable(folder: Path) -> None:
    """UserError unless ``folder`` can be made or written to. Creates nothing."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot write there ({existing} is not a writable folder); choose another folder")


def patiently(write: Callable[[], None]) -> None:
    """Call ``write``, again and again for half an hour while the disk is full or cannot be written, with warnings.

    For what a long computation has made. OSError after that.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return write()
        except OSError as error:
            if time.monotonic() > end:
                raise
            print(f"WARNING: {error}; next try in {RETRY_SECONDS:.0f} s", file=sys.stderr, flush=True)
            time.sleep(RETRY_SECONDS)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` for writing, making its folder: it gets its name at the end, and does not appear on an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, making its folder."""
    with whole_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, making its folder."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, making its folder."""
    write_text(path, json.dumps(content, indent=2) + "\n")
