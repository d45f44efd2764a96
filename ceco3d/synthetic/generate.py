"""The whole data set: splits, scenes and files, from one seed."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ceco3d.synthetic.allocation import VERTICES_PER_M2, ScenePlan, allocate
from ceco3d.synthetic.catalog.classes import ROOM_SHELL
from ceco3d.synthetic.catalog.room_types import ROOM_TYPES
from ceco3d.synthetic.layout import furnish_room
from ceco3d.synthetic.longtail import LongTail, share_out
from ceco3d.synthetic.raw_categories import draw_raw_name, write_label_table
from ceco3d.synthetic.scanner import scan_room
from ceco3d.synthetic.scannet_files import Annotation, write_scan
from ceco3d.synthetic.style import EDGE, PLAIN_LOOK, Look, Style, style_named
from ceco3d.utils.errors import UserError
from ceco3d.utils.parallel import run_parallel
from ceco3d.utils.progress import track

RESCAN = 8  # one in this many training rooms is scanned twice
RARE = 3  # classes with at most this many objects above the minimum always get a raw name of their own
EXAMPLES = 40  # rooms among which the objects of an example are shared out
TOGETHER = 40  # single rooms among which objects are shared out
FLOOR_SHARE = 0.24  # initial floor area of a room as a share of the scan's surface


@dataclass(frozen=True)
class ScanJob:
    """One scan to make.

    space    number of the room; ``number``: of the scan of this room
    plan     what is in the room
    certain  classes whose objects are always annotated under a name of their own
    """

    space: int
    number: int
    split: str
    plan: ScenePlan
    certain: frozenset[str]

    @property
    def name(self) -> str:
        return f"scene{self.space:04d}_{self.number:02d}"


def generate_rooms(
    raw: Path,
    train: int,
    val: int,
    test: int,
    vertices: int,
    seed: int,
    workers: int,
    style: str = "plain",
    long_tail: LongTail | None = None,
) -> None:
    """Write a complete data set of generated rooms in ScanNet's raw layout to the new folder ``raw``.

    train, val, test  number of scans
    vertices          of one scan, about
    workers           processes; they do not change the result
    style             plain | coarse | real, see ``synthetic.style``
    long_tail         what is in the rooms; None: as in ScanNet

    Writes ``scans/<scene>/``, ``scans_test/<scene>/``, ``scannetv2-labels.combined.tsv`` and
    ``scannetv2_{train,val,test}.txt`` (meters, z up, arbitrary heading). ``raw`` appears once everything is written.
    UserError if it exists or a number is out of range.
    """
    raw = Path(raw)
    if min(train, val, test) < 1 or vertices < 5000 or workers < 1:
        raise UserError(
            "rooms200 needs at least 1 scene in each split, 5000 vertices and 1 worker; change dataset.sizes"
        )
    if raw.exists():
        raise UserError(f"{raw} exists already; delete it to generate rooms200 again")
    surface = round(vertices * style_named(style).area)
    if long_tail is None:
        jobs = _plan_scans(train, val, test, surface, seed)
    else:
        jobs = _plan_long_tail(train, val, test, surface, seed, long_tail)
    partial_root = raw.with_name(raw.name + f".partial-{uuid.uuid4().hex}")
    try:
        partial_root.mkdir(parents=True)
        make = partial(_make_scan, root=partial_root, vertices=vertices, seed=(seed,), style=style)
        for _ in track(_run(make, jobs, workers), len(jobs), "rooms200"):
            pass
        write_label_table(partial_root / "scannetv2-labels.combined.tsv")
        for split in ("train", "val", "test"):
            names = "".join(f"{job.name}\n" for job in jobs if job.split == split)
            (partial_root / f"scannetv2_{split}.txt").write_text(names)
        try:
            partial_root.rename(raw)
        except OSError:
            if not raw.is_dir():  # else another process has generated the same rooms meanwhile
                raise
    finally:
        shutil.rmtree(partial_root, ignore_errors=True)


def example_scan(seed: int = 0, vertices: int = 60000, style: str = "real") -> tuple[np.ndarray, np.ndarray]:
    """One generated scan to try things on: (N, 3) float64 coordinates in meters, z up, and (N, 3) uint8 colors.

    Rooms of other seeds are others; N is about ``vertices``.
    """
    kind, rng = style_named(style), np.random.default_rng([seed, EXAMPLES])
    plans = allocate(EXAMPLES, round(vertices * kind.area), 1, unseen=False, rng=rng)
    room = furnish_room(plans[0].objects, FLOOR_SHARE * vertices / VERTICES_PER_M2 * kind.area, rng, kind)
    mesh = scan_room(room, vertices, 0.3, rng, replace(PLAIN_LOOK, spacing=EDGE * kind.area**0.5))
    return mesh.coord, mesh.color


def make_room(folder: Path, vertices: int, seed: tuple[int, ...], number: int, style: str = "plain") -> Path:
    """Write the raw files of one annotated training scan of a room to ``folder`` and return the folder of the scan.

    (``seed``, ``number``) decide everything. Rooms of one seed share ScanNet's class counts, TOGETHER at a time, rare
    classes by chance.
    """
    group, place = divmod(number, TOGETHER)
    plan = _plans(round(vertices * style_named(style).area), seed, group)[place]
    job = ScanJob(number, 0, "train", plan, frozenset(ROOM_SHELL))
    _make_scan(job, folder, vertices, seed, style)
    return folder / "scans" / job.name


@lru_cache(maxsize=128)  # an epoch of 5,000 rooms, in any order
def _plans(vertices: int, seed: tuple[int, ...], group: int) -> list[ScenePlan]:
    return allocate(TOGETHER, vertices, 0, unseen=True, rng=np.random.default_rng([*seed, group]))


def _plan_scans(train: int, val: int, test: int, vertices: int, seed: int) -> list[ScanJob]:
    """All scans, by name. Rooms are numbered consecutively over the splits; some training rooms have a second scan."""
    spaces = train - train // (RESCAN + 1)
    jobs: list[ScanJob] = []
    for split, scenes, at_least in (("train", spaces, 2), ("val", val, 1), ("test", test, 1)):
        start = 1 + max((job.space for job in jobs), default=-1)
        rng = np.random.default_rng([seed, start, scenes])
        plans = allocate(scenes, vertices, at_least, unseen=split == "train", rng=rng)
        count = Counter(name for plan in plans for name in plan.objects)
        certain = frozenset(name for name in count if count[name] <= at_least + RARE) | set(ROOM_SHELL)
        jobs += [ScanJob(start + i, 0, split, plan, certain) for i, plan in enumerate(plans)]
    again = [ScanJob(job.space, 1, job.split, job.plan, job.certain) for job in jobs[: train - spaces]]
    return sorted(jobs + again, key=lambda job: job.name)


def _plan_long_tail(train: int, val: int, test: int, vertices: int, seed: int, long_tail: LongTail) -> list[ScanJob]:
    """All scans, by name: one of each room, and every object is annotated under a name of its class."""
    counts = {"train": long_tail.training(), "val": long_tail.validation(), "test": long_tail.test(test, val)}
    certain = frozenset(long_tail.names) | set(ROOM_SHELL)
    jobs: list[ScanJob] = []
    for split, rooms in (("train", train), ("val", val), ("test", test)):
        plans = share_out(counts[split], rooms, vertices, np.random.default_rng([seed, len(jobs), rooms]))
        jobs += [ScanJob(len(jobs) + i, 0, split, plan, certain) for i, plan in enumerate(plans)]
    return jobs


def _run(make: Callable[[ScanJob], None], jobs: list[ScanJob], workers: int) -> Iterator[None]:
    for _, future in run_parallel(make, jobs, workers):
        yield future.result()


def _make_scan(job: ScanJob, root: Path, vertices: int, seed: tuple[int, ...], style: str) -> None:
    """Make one scan. The room depends on its number alone: a second scan sees the same room."""
    space_rng = np.random.default_rng([*seed, job.space])
    kind = style_named(style)
    look = _look(job, kind, seed)
    room = furnish_room(job.plan.objects, FLOOR_SHARE * vertices / VERTICES_PER_M2 / look.density, space_rng, kind)
    names = [draw_raw_name(item.name, space_rng, item.name in job.certain) for item in room.objects]
    rng = np.random.default_rng([*seed, job.space, job.number + 1])
    angle = rng.integers(4) * np.pi / 2 + rng.uniform(0.17, 1.4)
    mesh = scan_room(room, vertices, angle, rng, look)
    folder = root / ("scans_test" if job.split == "test" else "scans") / job.name
    write_scan(folder, mesh, angle, Annotation(names, ROOM_TYPES[job.plan.room_type].title, rng), job.split != "test")


def _look(job: ScanJob, style: Style, seed: tuple[int, ...]) -> Look:
    """The look of a scan. All scans of a room are equally dense, since the size of the room goes by that."""
    first, own = (style.look(np.random.default_rng([*seed, job.space, 1000 + number])) for number in (0, job.number))
    return replace(own, spacing=first.spacing)
