"""The classes of labeled scans: from a class file, or found in the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ceco3d.data.labels import IGNORE, LabelSpace, frequency_groups, read_classes, write_classes
from ceco3d.data.labels.label_space import MAX_CLASSES
from ceco3d.data.labels.palette import spread_colors
from ceco3d.preprocessing.labeled.findings import Findings
from ceco3d.utils.errors import UserError

CLASSES = "classes"  # stem of a class file in the raw or in the processed folder
ENDINGS = (".csv", ".yaml", ".yml")
AUTO = "auto"
# LAS 1.4, table 17: what the numbers of the dimension classification mean. Points of 0 and 1 have no class.
LAS_CLASSES = {
    **{2: "ground", 3: "low vegetation", 4: "medium vegetation", 5: "high vegetation", 6: "building", 7: "low noise"},
    **{8: "model key point", 9: "water", 10: "rail", 11: "road surface", 12: "overlap", 13: "wire guard"},
    **{14: "wire conductor", 15: "transmission tower", 16: "wire connector", 17: "bridge deck", 18: "high noise"},
}
LAS_NONE = (0, 1)


def find_class_file(raw: Path | None, root: Path) -> Path | None:
    """``classes.csv`` or ``classes.yaml`` in the raw folder, else in the processed one; None if there is neither."""
    folders = [folder for folder in (raw, root) if folder is not None]
    return next((p for folder in folders for e in ENDINGS if (p := folder / f"{CLASSES}{e}").is_file()), None)


def found_classes(name: str, findings: Sequence[Findings], las: bool) -> LabelSpace:
    """The label space of all labels that occur: -1 is ignored, every other number or name is a class.

    las  whether the numbers are LAS classifications, which have names
    UserError if no scan has labels, or there are too many to be classes.
    """
    points = Counter[str]()
    for found in findings:
        points.update(found.labels)
    if not points:
        raise UserError("none of the scans has labels")
    text = any(found.names for found in findings)
    ignored = {str(IGNORE), ""} | ({str(number) for number in LAS_NONE} if las else set())
    raws = [raw for raw in points if raw not in ignored]
    if not raws or len(raws) > MAX_CLASSES:
        raise UserError(f"{len(raws)} different labels: are they classes? name their column with dataset.labels=")
    if text:
        names = sorted(raws)
        ids = tuple(range(len(names)))
    else:
        ids = tuple(sorted(map(int, raws)))
        names = [LAS_CLASSES.get(k, f"class {k}") if las else f"class {k}" for k in ids]
    return LabelSpace(
        name=name,
        ids=ids,
        names=tuple(names),
        colors=spread_colors([None] * len(ids)),
        ignored=tuple(k for k in LAS_NONE if las and str(k) in points),
    )


def write_found(path: Path, space: LabelSpace, findings: Mapping[str, Sequence[Findings]]) -> None:
    """Write found classes for editing, with the number of points and scans of each."""
    everything = [found for scans in findings.values() for found in scans]
    counts = {"points": count_points(space, everything), "scans": count_scans(space, everything)}
    write_classes(path, space, counts)


def read_class_file(path: Path, name: str) -> LabelSpace:
    """The classes in a file, as the label space ``name``."""
    return replace(read_classes(path), name=name)


def with_groups(space: LabelSpace, train: Sequence[Findings]) -> LabelSpace:
    """``space`` with head, common and tail as thirds of the classes by frequency in train, unless it has groups.

    By instances if the scans have them, else by points.
    """
    if space.groups:
        return space
    instances = count_instances(space, train)
    what, counts = ("instances", instances) if any(instances) else ("points", count_points(space, train))
    groups = frequency_groups(counts)
    note = f"Head, common and tail are thirds of the classes by {what} in train."
    return replace(space, groups=groups, grouping=note if groups else "")


def count_points(space: LabelSpace, findings: Iterable[Findings]) -> list[int]:
    """Points of each class."""
    return _count(space, (found.labels for found in findings))


def count_scans(space: LabelSpace, findings: Iterable[Findings]) -> list[int]:
    """Scans with each class."""
    return _count(space, (dict.fromkeys(found.labels, 1) for found in findings))


def count_instances(space: LabelSpace, findings: Iterable[Findings]) -> list[int]:
    """Instances of each class."""
    return _count(space, (found.instances for found in findings))


def class_of(space: LabelSpace, raw: str) -> int:
    """The training index of a raw id or raw name in text; -1 for none."""
    return int(space.index_of_names(np.array([raw]))[0])


def unknown_labels(space: LabelSpace, findings: Iterable[Findings]) -> dict[str, int]:
    """Points of every label that is neither a class nor ignored, most frequent first."""
    points = Counter[str]()
    for found in findings:
        points.update({raw: count for raw, count in found.labels.items() if class_of(space, raw) == IGNORE})
    return {raw: count for raw, count in points.most_common() if not _ignored(space, raw)}


def _ignored(space: LabelSpace, raw: str) -> bool:
    number = int(raw) if raw.lstrip("-").isdigit() else None
    return space.is_ignored(raw) or (number is not None and space.is_ignored(number))


def _count(space: LabelSpace, tables: Iterable[Mapping[str, int]]) -> list[int]:
    counts = [0] * len(space)
    for table in tables:
        per_class = Counter[int]()
        for raw, count in table.items():
            index = class_of(space, raw)
            if index >= 0:
                per_class[index] += count
        for index, count in per_class.items():
            counts[index] += count
    return counts
