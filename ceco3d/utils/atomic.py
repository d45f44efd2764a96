"""Atomic file writes: a file is complete under its name, or it is not there."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ceco3d.utils.errors import UserError

RETRY_SECONDS = 30.0  # between two attempts to write results
PATIENCE_SECONDS = 1800.0  # after which a finished computation gives up writing its results

logger = logging.getLogger(__name__)


def check_writable(folder: Path) -> None:
    """UserError unless ``folder`` is writable or can be created. Creates nothing."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot write there ({existing} is not a writable folder); choose another folder")


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

    Creates the folder. The temporary file is ``<path>.part``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically; creates its folder."""
    with whole_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; creates the folder."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; creates the folder."""
    write_text(path, json.dumps(content, indent=2) + "\n")
