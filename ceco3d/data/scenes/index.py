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

from ceco3d.data.scenes.labels import label_space
from ceco3d.utils.atomic import write_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_json

MAX_POINTS = 2**53
SETTLED = 2_000_000_000  # nanoseconds after its last change that a folder is taken to be complete


def read_index(root: Path, split: str) -> dict[str, Any]:
    """``{"changed": ns, "scenes": [name, ...], "frequency": {label space: [[scenes], [points]]}}``, names sorted."""
    folder = root / split
    changed = folder.stat().st_mtime_ns if folder.is_dir() else 0
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        index = read_json(_path(root, split))
        if index["changed"] == changed and _is_plain(index):
            return index
    names = sorted(path.name for path in folder.glob("[!.]*") if path.is_dir())
    index = {"changed": changed, "scenes": names, "frequency": {}}
    write_index(root, split, index)
    return index


def _is_plain(index: dict[str, Any]) -> bool:
    """Whether the names lead into the folder and the counts are some; the file may come from anywhere."""
    names = all(
        name.isprintable() and name[:1] not in ("", ".") and Path(name).name == name for name in index["scenes"]
    )
    shapes = all(
        [len(row) for row in counts] == [len(label_space(space))] * 2 for space, counts in index["frequency"].items()
    )
    numbers = (number for counts in index["frequency"].values() for row in counts for number in row)
    return names and shapes and all(type(number) is int and 0 <= number < MAX_POINTS for number in numbers)


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
