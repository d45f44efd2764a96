"""A cache of the scene names, class counts and missing features of a split, so that its folders need not be searched.

``<root>/.index-<split>.json`` is valid until a scene is added, removed or replaced in ``<root>/<split>``, which changes
the modification time of that folder. A missing or outdated index is rebuilt.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ceco3d.utils.atomic import write_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_json

MAX_POINTS = 2**53
SETTLED = 2_000_000_000  # nanoseconds without a change after which a folder counts as complete


def read_index(root: Path, split: str) -> dict[str, Any]:
    """``{"changed": ns, "scenes": [name, ...], "frequency": {array of labels: [[scenes], [points]]}}``, names sorted.

    ``"missing": {feature: [name, ...]}`` may name the scenes without colors or normals, see ``scenes.missing``.
    Reads the index of the split, or builds and stores it.
    """
    folder = root / split
    changed = folder.stat().st_mtime_ns if folder.is_dir() else 0
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        stored: dict[str, Any] = read_json(_path(root, split))
        if stored["changed"] == changed and _is_plain(stored):
            return stored
    names = sorted(path.name for path in folder.glob("[!.]*") if path.is_dir())
    index = {"changed": changed, "scenes": names, "frequency": {}}
    write_index(root, split, index)
    return index


def _is_plain(index: dict[str, Any]) -> bool:
    """Whether names stay inside the folder and counts are valid; the file may come from anywhere."""
    names = all(
        name.isprintable() and name[:1] not in ("", ".") and Path(name).name == name for name in index["scenes"]
    )
    shapes = all(len(counts) == 2 and len(counts[0]) == len(counts[1]) for counts in index["frequency"].values())
    numbers = (number for counts in index["frequency"].values() for row in counts for number in row)
    missing = all(isinstance(name, str) for names in index.get("missing", {}).values() for name in names)
    return names and shapes and missing and all(type(number) is int and 0 <= number < MAX_POINTS for number in numbers)


def write_index(root: Path, split: str, index: dict[str, Any]) -> None:
    """Store ``index`` if it has scenes and the root is writable.

    Skipped while the folder is being filled: file systems may give two changes in quick succession the same time.
    """
    if index["scenes"] and time.time_ns() - index["changed"] > SETTLED:
        with suppress(OSError):
            write_text(_path(root, split), json.dumps(index) + "\n")


def split_of(folders: Sequence[Path]) -> tuple[Path, str] | None:
    """The (root, split) that consists of exactly ``folders``, or None."""
    if not folders or len({folder.parent for folder in folders}) != 1:
        return None
    split = folders[0].parent
    if not split.name:  # names without a folder
        return None
    names = read_index(split.parent, split.name)["scenes"]
    return (split.parent, split.name) if names == [folder.name for folder in folders] else None


def _path(root: Path, split: str) -> Path:
    return root / f".index-{split}.json"
