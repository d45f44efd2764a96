"""Which scenes of a data set have to be made, and what those that are there were made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ceco3d.data.scenes.processed import is_finished
from ceco3d.preprocessing.annotation import LABELS
from ceco3d.preprocessing.label_report import Labeled, names_of
from ceco3d.preprocessing.label_table import LABEL_TABLE, LabelTable
from ceco3d.preprocessing.record import Record, read_record


@dataclass(frozen=True)
class Job:
    """One scene to preprocess."""

    source: Path
    target: Path
    annotated: bool
    align: bool

    @property
    def needed(self) -> tuple[str, ...]:
        """The arrays of a finished scene."""
        return ("color", *LABELS) if self.annotated else ("color",)


@dataclass(frozen=True)
class Found:
    """The state of a processed root.

    pending  scenes that are missing, incomplete, or made from other files
    changed  number of those made from other files, by what has changed
    records  of the other scenes; None where it is not known what they were made from
    """

    pending: list[Job]
    changed: Counter[str]
    records: Mapping[Job, Record | None]

    def with_records(self, made: Iterable[Job]) -> Found:
        """The state after the scenes ``made``, without the pending ones."""
        records = {**self.records, **{job: read_record(job.target) for job in made}}
        return replace(self, pending=[], changed=Counter(), records=records)

    def labeled(self) -> list[Labeled]:
        """The annotated scenes whose objects are known."""
        return [
            Labeled(job.target.parent.name, job.target.name, record.objects)
            for job, record in self.records.items()
            if job.annotated and record is not None and record.objects is not None
        ]

    def complete_splits(self) -> list[Labeled]:
        """``labeled`` of those splits where the objects of all scenes are known."""
        other = {job.target.parent.name for job, record in self.records.items() if record is None}
        return [scene for scene in self.labeled() if scene.split not in other]

    def kept(self, table: LabelTable) -> list[str]:
        """A note on scenes that another label table made and that cannot be made anew, because the scans are gone."""
        names = [
            job.target.name
            for job, record in self.records.items()
            if record is not None and record.table_changed(table)
        ]
        if not names:
            return []
        return [
            f"{len(names)} scenes keep the labels of another {LABEL_TABLE}, because their raw scans are gone: "
            f"{names_of(names)}"
        ]


def look(jobs: Iterable[Job], table: LabelTable | None) -> Found:
    """Which of ``jobs`` are pending."""
    found = Found([], Counter(), {})
    records: dict[Job, Record | None] = {}
    for job in jobs:
        if not is_finished(job.target, job.needed):
            found.pending.append(job)
            continue
        record = read_record(job.target)
        why = None if record is None else record.changed(job.source, table)
        if why is None:
            records[job] = record
        else:
            found.pending.append(job)
            found.changed[why] += 1
    return replace(found, records=records)
