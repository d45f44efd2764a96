"""Files that commands write: whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ceco3d.errors import UserError


def check_writable(folder: Path) -> None:
    """UserError unless ``folder`` can be made or written to. Creates nothing."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot write there ({existing} is not a writable folder); choose another folder")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, making its folder."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, making its folder."""
    write_text(path, json.dumps(content, indent=2) + "\n")
