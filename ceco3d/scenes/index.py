"""What is known of a split without walking through its folders: scene names and class counts, kept in one file.

``<root>/.index-<split>.json`` holds for as long as no scene is added to, removed from or replaced in
``<root>/<split>``, which changes the time of that folder. It is made anew when it is missing or out of date.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ceco3d.files import read_json
from ceco3d.output import write_text

SETTLED = 2_000_000_000  # nanoseconds after its last change that a folder is taken to be complete


def read_index(root: Path, split: str) -> dict[str, Any]:
    """``{"changed": ns, "scenes": [name, ...], "frequency": {label space: [[scenes], [points]]}}``, names sorted."""
    folder = root / split
    changed = folder.stat().st_mtime_ns if folder.is_dir() else 0
    with suppress(OSError, ValueError, KeyError, TypeError, IndexError):
        index = read_json(_path(root, split))
        if index["changed"] == changed and all("/" not in name and name[0] != "." for name in index["scenes"]):
            return index
    names = sorted(path.name for path in folder.glob("[!.]*") if path.is_dir())
    index = {"changed": changed, "scenes": names, "frequency": {}}
    write_index(root, split, index)
    return index


def write_index(root: Path, split: str, index: dict[str, Any]) -> None:
    """Keep ``index``, where there are scenes and the root can be written.

    Not while the folder is being filled: file systems may give two changes soon after each other the same time.
    """
    if index["scenes"] and time.time_ns() - index["changed"] > SETTLED:
        with suppress(OSError):
            write_text(_path(root, split), json.dumps(index) + "\n")


def split_of(folders: Sequence[Path]) -> tuple[Path, str] | None:
    """(root, split) of which ``folders`` are all scenes, or None."""
    if not folders or len({folder.parent for folder in folders}) != 1:
        return None
    split = folders[0].parent
    names = read_index(split.parent, split.name)["scenes"]
    return (split.parent, split.name) if names == [folder.name for folder in folders] else None


def _path(root: Path, split: str) -> Path:
    return root / f".index-{split}.json"
