"""What preprocessing says about labels: names that the table lacks, scenes and whole splits without labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ceco3d.preprocessing.annotation import Objects
from ceco3d.preprocessing.label_table import LABEL_TABLE, LabelTable, has_class
from ceco3d.preprocessing.split_lists import listed_twice
from ceco3d.utils.untrusted import one_line

MAX_NAMES = 10  # of objects or scenes in one line


@dataclass(frozen=True)
class Labeled:
    """The objects of one annotated scene."""

    split: str
    scene: str
    objects: Objects

    def labels(self, space: str | None) -> int:
        """Vertices with a class of a label space; None: the space with the most."""
        return max(self.objects.labeled.values()) if space is None else self.objects.labeled[space]


def names_of(names: Sequence[str], most: int = MAX_NAMES) -> str:
    """The first ``most`` names and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(one_line(name, 60) for name in names[:most]) + more


def label_notes(scenes: Sequence[Labeled], path: Path, table: LabelTable, space: str | None) -> list[str]:
    """One line for each thing about the labels that a user should know; ``path`` is that of the label table."""
    notes = []
    unknown = _unknown(scenes)
    if unknown:
        objects, vertices = (sum(counts) for counts in zip(*unknown.values(), strict=True))
        names = [f"{name!r} ({_size(*counts)})" for name, counts in unknown.items()]
        notes.append(
            f"{path} lacks {_count(len(unknown), 'object name')}, so {_size(objects, vertices)} stay unlabeled: "
            f"{names_of(names)}{_nearest(unknown, table)}"
        )
    if table.conflicts:
        notes.append(
            f"{path} has rows that disagree about {_count(len(table.conflicts), 'object name')}; the first counts: "
            f"{names_of(table.conflicts)}"
        )
    lost = [scene for scene in scenes if scene.objects.lost]
    if lost:
        notes.append(
            f"{_count(sum(scene.objects.lost for scene in lost), 'object')} in aggregation.json consist of segments "
            f"that segs.json lacks, which stay unlabeled: {names_of([scene.scene for scene in lost])}"
        )
    bare = [f"{scene.split}/{scene.scene}" for scene in scenes if not scene.labels(space)]
    if bare:
        classes = "" if space is None else f" of {space}"
        notes.append(f"{_count(len(bare), 'scene')} without any labeled vertex{classes}: {names_of(bare)}")
    return notes


def twice_notes(splits: dict[str, list[str]]) -> list[str]:
    """A line about scenes that several splits list."""
    names = listed_twice(splits)
    if not names:
        return []
    where = " and ".join(splits)
    return [f"scenes that several of {where} list, so scores are not of unseen scenes: {names_of(names)}"]


def why_unlabeled(scenes: Sequence[Labeled], path: Path, table: LabelTable, space: str | None) -> str | None:
    """Why no vertex of a split is labeled, and what to do; None if every split has labels or no scenes."""
    for split in dict.fromkeys(scene.split for scene in scenes):
        part = [scene for scene in scenes if scene.split == split]
        if not any(scene.labels(space) for scene in part):
            return f"no vertex of the {_count(len(part), 'scene')} of {split} has a label: " + _cause(
                part, path, table, space
            )
    return None


def _cause(scenes: Sequence[Labeled], path: Path, table: LabelTable, space: str | None) -> str:
    names = Counter(name for scene in scenes for name in scene.objects.ids)
    if not names:
        return "their aggregation.json list no objects; download them again"
    right = f"is it the right {LABEL_TABLE}? Replace it and run again; the scenes are then made anew"
    first = [name for name, _ in names.most_common()]
    known = [name for name in first if any(scene.objects.ids.get(name) for scene in scenes)]
    shown = names_of([repr(name) for name in first], 3)
    if not known:
        near = _nearest(_unknown(scenes), table)
        return f"{path} knows none of {_count(len(names), 'object name')} ({shown}){near}; {right}"
    spaces = ("scannet200", "scannet20") if space is None else (space,)
    ids = [(name, table.ids(name) or (0, 0)) for name in known]
    if not any(has_class(both, choice) for _, both in ids for choice in spaces):
        name, both = ids[0]
        return (
            f"{path} gives none of {_count(len(names), 'object name')} a class of {' or '.join(spaces)} "
            f"({name!r} has id {both[0]}, nyu40id {both[1]}); {right}"
        )
    return "their aggregation.json and segs.json do not fit each other; download them again"


def _unknown(scenes: Sequence[Labeled]) -> dict[str, tuple[int, int]]:
    """(objects, vertices) of the names that the table lacks, the most frequent first."""
    objects: Counter[str] = Counter()
    vertices: Counter[str] = Counter()
    for scene in scenes:
        for name, (number, points) in scene.objects.unknown.items():
            objects[name] += number
            vertices[name] += points
    return {name: (objects[name], vertices[name]) for name in sorted(objects, key=lambda name: (-objects[name], name))}


def _nearest(unknown: Mapping[str, tuple[int, int]], table: LabelTable) -> str:
    """A hint at the row that is spelled most like the most frequent of the unknown names."""
    name = next(iter(unknown))
    near = get_close_matches(name.strip().lower(), table.raw_id, 1)
    return f" (for {one_line(name, 60)!r} it has {one_line(near[0], 60)!r})" if near else ""


def _size(objects: int, vertices: int) -> str:
    return f"{_count(objects, 'object')}, {_count(vertices, 'vertex', 'vertices')}"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
