"""The classes of labeled scans: from a class file, or found in the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ceco3d.data.labels import IGNORE, LabelSpace, frequency_groups, read_classes, write_classes
from ceco3d.data.labels.label_space import LONGEST, MAX_CLASSES, as_raw, clean
from ceco3d.data.labels.palette import spread_colors
from ceco3d.preprocessing.labeled.findings import Findings
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

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
    ignored = LAS_NONE if las else ()
    raws = {as_raw(raw) for raw in points} - {IGNORE, "", *ignored}
    numbers = sorted(raw for raw in raws if isinstance(raw, int))
    names = sorted(raw for raw in raws if isinstance(raw, str))
    if not 0 < len(raws) <= MAX_CLASSES:
        raise UserError(f"the scans have {len(raws)} different labels, which are no classes")
    if numbers and names:
        raise UserError(
            f"labels are names, such as {one_line(names[0], 60)!r}, and numbers, such as {numbers[0]}, so a class file "
            "must have both"
        )
    wrong = next((name for name in names if len(name) > LONGEST or not name.isprintable()), None)
    if wrong is not None:
        raise UserError(f"the label {one_line(wrong, 60)!r} is no class name")
    spelled = {clean(raw): " ".join(raw.split()) for raw in sorted(points, reverse=True)}
    titles = [LAS_CLASSES.get(k, f"class {k}") if las else f"class {k}" for k in numbers]
    return LabelSpace(
        name=name,
        ids=tuple(numbers or range(len(names))),
        names=tuple(titles or (spelled[name] for name in names)),
        colors=spread_colors([None] * len(raws)),
        ignored=ignored,
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
    counts = [0] * len(space)
    for found in findings:
        for index in {*_indices(space, found.labels).values()} - {IGNORE}:
            counts[index] += 1
    return counts


def count_instances(space: LabelSpace, findings: Iterable[Findings]) -> list[int]:
    """Instances of each class."""
    return _count(space, (found.instances for found in findings))


def unknown_labels(space: LabelSpace, findings: Iterable[Findings]) -> dict[str, int]:
    """Points of every label that is neither a class nor ignored, most frequent first."""
    points = Counter[str]()
    for found in findings:
        points.update(found.labels)
    index = _indices(space, points)
    unknown = [(raw, n) for raw, n in points.most_common() if index[raw] == IGNORE and not space.is_ignored(raw)]
    return dict(unknown)


def _count(space: LabelSpace, tables: Iterable[Mapping[str, int]]) -> list[int]:
    total = Counter[str]()
    for table in tables:
        total.update(table)
    counts = [0] * len(space)
    for raw, index in _indices(space, total).items():
        if index != IGNORE:
            counts[index] += total[raw]
    return counts


def _indices(space: LabelSpace, raws: Iterable[str]) -> dict[str, int]:
    """The training index of each raw id or raw name in text; -1 for none."""
    listed = list(raws)
    return dict(zip(listed, space.index_of_names(np.array(listed, str)).tolist(), strict=True))
