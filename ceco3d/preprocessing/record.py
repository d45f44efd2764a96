"""What a processed scene was made from: another label table or raw scan makes it anew.

``<root>/.made/<split>/<scene>.json`` remembers it. Scenes without that file, made by Pointcept or by an older version,
count as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ceco3d.preprocessing.annotation import AGGREGATION, SEGMENTS, SPACES, Objects
from ceco3d.preprocessing.label_table import LabelTable
from ceco3d.preprocessing.scannet import INFO, MESH
from ceco3d.utils.atomic import write_text
from ceco3d.utils.untrusted import read_json

FOLDER = ".made"
TABLE_CHANGED, SCAN_CHANGED = "label table", "raw scan"


@dataclass(frozen=True)
class Record:
    """What a scene was made from.

    files    (bytes, modification time in ns) of the raw files, by the end of their name
    objects  None for a scene without annotation
    """

    files: Mapping[str, tuple[int, int]]
    objects: Objects | None

    def write(self, target: Path) -> None:
        """Remember it for the processed scene ``target``, right before that appears: a scene is never older."""
        write_text(_path(target), json.dumps(asdict(self)) + "\n")

    def changed(self, source: Path, table: LabelTable | None) -> str | None:
        """What has changed since: TABLE_CHANGED or SCAN_CHANGED; None if nothing, or if the raw scan is gone."""
        if not source.is_dir():
            return None
        if self.table_changed(table):
            return TABLE_CHANGED
        now = raw_files(source)
        same = all(
            now[end][0] == size and now[end][1] <= changed for end, (size, changed) in self.files.items() if end in now
        )
        return None if same else SCAN_CHANGED

    def table_changed(self, table: LabelTable | None) -> bool:
        """Whether ``table`` gives other ids to the objects of the scene."""
        if table is None or self.objects is None:
            return False
        return any(table.ids(name) != ids for name, ids in self.objects.ids.items())


def raw_files(source: Path) -> dict[str, tuple[int, int]]:
    """(bytes, modification time in ns) of those files that a raw scene is read from, by the end of their name."""
    files = {}
    for end in (MESH, INFO, SEGMENTS, AGGREGATION):
        with suppress(OSError):
            status = (source / f"{source.name}{end}").stat()
            files[end] = status.st_size, status.st_mtime_ns
    return files


def read_record(target: Path) -> Record | None:
    """The record of the processed scene ``target``; None without a valid one."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        stored = read_json(_path(target))
        files = {str(end): _pair(values) for end, values in stored["files"].items()}
        found = stored["objects"]
        if found is None:
            return Record(files, None)
        objects = Objects(
            ids={str(name): None if ids is None else _pair(ids) for name, ids in found["ids"].items()},
            unknown={str(name): _pair(counts) for name, counts in found["unknown"].items()},
            labeled={space: int(found["labeled"][space]) for space in SPACES},
            lost=int(found["lost"]),
        )
        return Record(files, objects)
    return None


def _path(target: Path) -> Path:
    return target.parent.parent / FOLDER / target.parent.name / f"{target.name}.json"


def _pair(values: list[int]) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)
