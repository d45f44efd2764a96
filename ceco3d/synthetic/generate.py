"""rooms200 as a whole: splits, scenes and files, from one seed."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ceco3d.synthetic.allot import VERTICES_PER_M2, Plan, allot
from ceco3d.synthetic.catalog import ROOMS, SHELL
from ceco3d.synthetic.layout import furnish
from ceco3d.synthetic.names import annotate, write_table
from ceco3d.synthetic.scanner import scan
from ceco3d.synthetic.write import Annotation, write_scan
from ceco3d.utils.errors import UserError
from ceco3d.utils.parallel import run_parallel
from ceco3d.utils.progress import track

RESCAN = 8  # one train room in so many is scanned twice
SURE = 3  # classes with up to this many objects beyond the least are always annotated under a name of theirs
FLOOR_SHARE = 0.24  # floor area a room starts with, as share of the scan's surface


@dataclass(frozen=True)
class Job:
    """One scan to make: space and scan number, its split, what stands in the room and which names must be kept."""

    space: int
    number: int
    split: str
    plan: Plan
    certain: frozenset[str]

    @property
    def name(self) -> str:
        return f"scene{self.space:04d}_{self.number:02d}"


def generate_rooms(raw: Path, train: int, val: int, test: int, vertices: int, seed: int, workers: int) -> None:
    """Write a complete raw ScanNet-style data set of made-up rooms below ``raw``.

    train, val, test  number of scans; vertices: of one scan, about; the result depends on these and ``seed`` alone.
    Written: ``scans/<scene>/``, ``scans_test/<scene>/``, ``scannetv2-labels.combined.tsv`` and
    ``scannetv2_{train,val,test}.txt``, in ScanNet's own raw layout (metres, z up, arbitrary heading).
    ``raw`` appears only when everything is written. UserError when it exists already or a number makes no sense.
    """
    raw = Path(raw)
    if min(train, val, test) < 1 or vertices < 5000 or workers < 1:
        raise UserError(
            "rooms200 needs at least 1 scene in each split, 5000 vertices and 1 worker; change dataset.sizes"
        )
    if raw.exists():
        raise UserError(f"{raw} exists already; remove it to generate rooms200 again")
    jobs = _jobs(train, val, test, vertices, seed)
    partial_root = raw.with_name(raw.name + f".partial{os.getpid()}")
    try:
        partial_root.mkdir(parents=True)
        make = partial(_make, root=partial_root, vertices=vertices, seed=seed)
        for _ in track(_run(make, jobs, workers), len(jobs), "rooms200"):
            pass
        write_table(partial_root / "scannetv2-labels.combined.tsv")
        for split in ("train", "val", "test"):
            names = "".join(f"{job.name}\n" for job in jobs if job.split == split)
            (partial_root / f"scannetv2_{split}.txt").write_text(names)
        partial_root.rename(raw)
    finally:
        shutil.rmtree(partial_root, ignore_errors=True)


def _jobs(train: int, val: int, test: int, vertices: int, seed: int) -> list[Job]:
    """All scans: spaces are numbered through the splits; some train spaces have a second scan."""
    spaces = train - train // (RESCAN + 1)
    jobs = []
    for split, scenes, at_least in (("train", spaces, 2), ("val", val, 1), ("test", test, 1)):
        start = 1 + max((job.space for job in jobs), default=-1)
        rng = np.random.default_rng([seed, start, scenes])
        plans = allot(scenes, vertices, at_least, unseen=split == "train", rng=rng)
        count = Counter(name for plan in plans for name in plan.things)
        certain = frozenset(name for name in count if count[name] <= at_least + SURE) | set(SHELL)
        jobs += [Job(start + i, 0, split, plan, certain) for i, plan in enumerate(plans)]
    again = [Job(job.space, 1, job.split, job.plan, job.certain) for job in jobs[: train - spaces]]
    return sorted(jobs + again, key=lambda job: job.name)


def _run(make: partial, jobs: list[Job], workers: int) -> Iterator[None]:
    for _, future in run_parallel(make, jobs, workers):
        yield future.result()


def _make(job: Job, root: Path, vertices: int, seed: int) -> None:
    """Make one scan. The room depends on the space alone, so that a second scan sees the same room."""
    space_rng = np.random.default_rng([seed, job.space])
    room = furnish(job.plan.things, FLOOR_SHARE * vertices / VERTICES_PER_M2, space_rng)
    names = [annotate(item.name, space_rng, item.name in job.certain) for item in room.placed]
    rng = np.random.default_rng([seed, job.space, job.number + 1])
    angle = rng.integers(4) * np.pi / 2 + rng.uniform(0.17, 1.4)
    mesh = scan(room, vertices, angle, rng)
    folder = root / ("scans_test" if job.split == "test" else "scans") / job.name
    write_scan(folder, mesh, angle, Annotation(names, ROOMS[job.plan.room].title, rng), job.split != "test")
