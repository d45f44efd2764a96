"""What was measured on this machine: JSON files in the cache folder that nobody else can change."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from ceco3d.sparse.cpp.trust import make_folder, open_file, open_folder


def read_stored(path: Path) -> Any:
    """The content of a file; {} without one. OSError if others could have changed it, ValueError if it is no JSON."""
    try:
        folder = open_folder(path.parent)
    except FileNotFoundError:
        return {}
    try:
        with open(open_file(folder, path)) as file:
            return json.load(file)
    except FileNotFoundError:
        return {}
    finally:
        os.close(folder)


def write_stored(path: Path, content: Any) -> None:
    """Write a file at once; OSError where that is not possible."""
    make_folder(path.parent)
    part = path.with_suffix(f".{uuid.uuid4().hex}.part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(content, indent=1))
    part.replace(path)
