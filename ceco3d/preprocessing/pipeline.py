"""Preprocess the scenes that a processed root lacks, in parallel. An interrupted run resumes where it stopped."""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from ceco3d.data.scenes.processed import is_finished, remove_temporary, write_scene
from ceco3d.preprocessing import scannet
from ceco3d.preprocessing.jobs import Found, Job, look
from ceco3d.preprocessing.label_report import label_notes, twice_notes, why_unlabeled
from ceco3d.preprocessing.label_table import LABEL_TABLE, LabelTable, read_label_table
from ceco3d.preprocessing.raw_root import RAW_FOLDER, check_raw, choose_scenes
from ceco3d.preprocessing.record import Record, raw_files
from ceco3d.preprocessing.summary import Summary
from ceco3d.utils import cluster
from ceco3d.utils.atomic import full_disk_ends, write_text
from ceco3d.utils.cluster_task import check_visible
from ceco3d.utils.errors import DiskFullError, UserError
from ceco3d.utils.parallel import run_parallel
from ceco3d.utils.progress import track
from ceco3d.utils.untrusted import one_line, read_json

AnyJob = TypeVar("AnyJob", bound=Hashable)

logger = logging.getLogger(__name__)

OPTIONS = "preprocess.json"
FORMAT = 1  # of the arrays; increase it when the same raw scene would give other values
MAX_DEATHS = 5  # of worker processes; more of them point to the machine rather than to single scenes


def preprocess_scenes(
    raw: Path | None,
    root: Path,
    splits: Sequence[str] | None,
    workers: int,
    align: bool,
    shard: tuple[int, int] = (1, 1),
    space: str | None = None,
) -> Summary:
    """Preprocess the scenes of ``raw`` that ``root`` lacks or that were made from other files.

    splits   None: all that have a list
    workers  processes, one thread each; a cluster (``utils.cluster``) has its own
    align    apply each scene's axisAlignment
    shard    (i, n), i from 1: only the i-th of n parts of the scenes, for n machines that share one root
    space    label space whose labels are needed; None: any

    A broken scene is listed in the summary and does not stop the others. Waits for another run on the same root and
    shard. UserError if the raw root, its label table or its split lists are missing, if the root cannot be written, if
    its scenes were made with other options, or if no vertex of a split has a label. KeyboardInterrupt is raised once
    the current scenes are finished.
    """
    if workers < 1:
        raise UserError(f"workers is {workers}; it must be at least 1")
    raw = check_raw(raw)
    listed = choose_scenes(raw, splits)
    jobs = [
        Job(raw / RAW_FOLDER[split] / name, root / split / name, split != "test", align)
        for split, names in listed.items()
        for name in names
    ][shard[0] - 1 :: shard[1]]
    table = _read_table(raw, jobs)
    found = look(jobs, table)
    outcomes: list[tuple[Job, str | None]] = []
    if found.pending:  # else nothing to write: works on a read-only root
        with locked_root(root, shard):
            if shard == (1, 1) and cluster.current() is None:  # they may belong to another running machine
                remove_temporary(root)
            found = look(jobs, table)  # another run may have finished some meanwhile
            _check_options(root, align, len(found.pending), len(jobs))
            outcomes = _run(found, table, workers)
            if shard == (1, 1):  # of workers that died
                remove_temporary(root)
    else:
        _check_options(root, align, 0, len(jobs))
    failed = sorted((job.source.name, reason) for job, reason in outcomes if reason)
    found = found.with_records([job for job, reason in outcomes if not reason])
    notes = twice_notes(listed)
    if table is not None:
        path = raw / LABEL_TABLE
        why = None if failed or shard != (1, 1) else why_unlabeled(found.complete_splits(), path, table, space)
        if why:
            raise UserError(why)
        notes += label_notes(found.labeled(), path, table, space) + found.kept(table)
    return Summary(len(outcomes) - len(failed), len(jobs) - len(outcomes), tuple(failed), tuple(notes))


def _read_table(raw: Path, jobs: list[Job]) -> LabelTable | None:
    """The label table where an annotated scene needs it, or where it is there to compare with."""
    annotated = [job for job in jobs if job.annotated]
    if not annotated:
        return None
    path = raw / LABEL_TABLE
    if not path.exists() and all(is_finished(job.target, job.needed) for job in annotated):
        return None
    return read_label_table(path)


def _run(found: Found, table: LabelTable | None, workers: int) -> list[tuple[Job, str | None]]:
    """Preprocess the pending scenes; a scene that is not there fails at once."""
    for why, number in sorted(found.changed.items()):
        logger.info(f"scenes made anew because their {why} has changed: {number}")
    absent = [(job, f"{job.source} {scannet.ABSENT}") for job in found.pending if not job.source.is_dir()]
    there = [job for job in found.pending if job.source.is_dir()]
    return absent + list(
        track(run_jobs(partial(_preprocess_scene, labels=table), there, workers), len(there), "preprocessing")
    )


@contextmanager
def locked_root(root: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Create ``root`` and lock it: a second run on the same shard waits. The lock ends with the process.

    Shards share the lock of the root: a run on all scenes, which removes unfinished ones, waits for them.
    """
    names = {".lock": fcntl.LOCK_EX if shard == (1, 1) else fcntl.LOCK_SH}
    if shard != (1, 1):
        names[f".lock-{shard[0]}-of-{shard[1]}"] = fcntl.LOCK_EX
    with ExitStack() as locks:
        try:
            root.mkdir(parents=True, exist_ok=True)
            files = {locks.enter_context((root / name).open("a+")): kind for name, kind in names.items()}
        except OSError as error:
            why = f"cannot write {root} ({error.strerror}): choose another folder with dataset.root="
            raise UserError(why) from None
        for file, kind in files.items():
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.warning(f"waiting for another run that preprocesses {root}")
                fcntl.flock(file, kind)
        yield


def _check_options(root: Path, align: bool, missing: int, total: int) -> None:
    """UserError if ``root``, which lacks some scenes, was made with other options; records them in a new root."""
    path, options = root / OPTIONS, {"format": FORMAT, "align": align}
    try:
        found = read_json(path)
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): delete {root} and preprocess again") from None
    if found is None and missing == total:
        write_text(path, json.dumps(options) + "\n")  # other shards may write it at the same time
    elif found is None and missing:
        raise UserError(
            f"{root} has {total - missing} of {total} scenes, made by another program with unknown options: choose "
            f"another dataset.root, or put {json.dumps(options)} into {path} if that is how they were made"
        )
    elif found is not None and found != options:
        made = one_line(found)
        raise UserError(f"{root} was made with {made}, not {options}: choose another dataset.root or delete it")


def _preprocess_scene(job: Job, labels: LabelTable | None) -> str | None:
    """Preprocess one scene; None, or the reason why it failed. DiskFullError if there is no room for it."""
    try:
        check_visible(job.source, job.target.parent.parent)
        files = raw_files(job.source)  # before they are read: a change in the meantime makes the scene anew
        arrays, objects = scannet.read_scene_and_objects(job.source, labels, job.annotated, job.align)
        with full_disk_ends(job.target.parent.parent):
            write_scene(job.target, arrays, lambda: Record(files, objects).write(job.target))
    except DiskFullError:
        raise
    except UserError as error:
        return str(error)
    except Exception as error:  # whatever is wrong with one scene must not stop the others
        return f"{type(error).__name__}: {' '.join(str(error).split())} (scene {job.source}, to {job.target})"
    return None


def run_jobs(
    function: Callable[[AnyJob], str | None], jobs: Sequence[AnyJob], workers: int
) -> Iterator[tuple[AnyJob, str | None]]:
    """Yield each job with the result of ``function``, None or the reason of its failure, as they finish.

    A dead worker does not tell which scene killed it. The remaining scenes then run one at a time, in order, which
    shows the culprit and needs the least memory, the usual cause.
    """
    deaths = 0
    jobs = list(jobs)
    while jobs:
        finished = set()
        for job, reason in _run_pool(function, jobs, min(workers, len(jobs))):
            finished.add(job)
            yield job, reason
        jobs = [job for job in jobs if job not in finished]
        deaths += bool(jobs)
        if deaths > MAX_DEATHS:
            raise UserError(f"{deaths} worker processes died (out of memory?): run again with fewer workers")
        if jobs and workers == 1:
            yield jobs.pop(0), "its worker process died (killed, or out of memory?)"
        workers = 1


def _run_pool(
    function: Callable[[AnyJob], str | None], jobs: Sequence[AnyJob], workers: int
) -> Iterator[tuple[AnyJob, str | None]]:
    """Yield the outcome of each job, except those that were unfinished when a local worker died."""
    with suppress(BrokenProcessPool):  # also raised while submitting
        for job, future in run_parallel(function, jobs, cluster.current() or workers):
            with suppress(BrokenProcessPool):
                yield job, _reason(future)


def _reason(future: Future[str | None]) -> str | None:
    try:
        return future.result()
    except cluster.WorkerDied as died:
        return str(died)
