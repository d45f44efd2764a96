"""Preprocess the scenes that a processed root lacks, in parallel. An interrupted run resumes where it stopped."""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ceco3d.data.scenes.processed import is_finished, remove_temporary, write_scene
from ceco3d.preprocessing import scannet
from ceco3d.utils.atomic import write_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.parallel import run_parallel
from ceco3d.utils.progress import track
from ceco3d.utils.untrusted import one_line, read_json

logger = logging.getLogger(__name__)

RAW_FOLDER = {"train": "scans", "val": "scans", "test": "scans_test"}
OPTIONS = "preprocess.json"
FORMAT = 1  # of the arrays; increase it when the same raw scene would give other values
MAX_DEATHS = 5  # of worker processes; more of them point to the machine rather than to single scenes
MAX_LINES = 20  # failures listed in the summary


@dataclass(frozen=True)
class Summary:
    """Result of a run: scenes preprocessed now, scenes that were there, and failures as (scene name, reason)."""

    done: int
    skipped: int
    failed: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Job:
    """One scene to preprocess."""

    source: Path
    target: Path
    annotated: bool
    align: bool


def preprocess_scenes(
    raw: Path | None,
    root: Path,
    splits: Sequence[str] | None,
    workers: int,
    align: bool,
    shard: tuple[int, int] = (1, 1),
) -> Summary:
    """Preprocess the scenes of ``raw`` that ``root`` lacks.

    splits   None: all that have a list
    workers  processes, one thread each
    align    apply each scene's axisAlignment
    shard    (i, n), i from 1: only the i-th of n parts of the scenes, for n machines that share one root

    A broken scene is listed in the summary and does not stop the others. Waits for another run on the same root and
    shard. UserError if the raw root, its label table or its split lists are missing, if the root cannot be written, or
    if its scenes were made with other options. KeyboardInterrupt is raised once the current scenes are finished.
    """
    if workers < 1:
        raise UserError(f"workers is {workers}; it must be at least 1")
    raw = _check_raw(raw)
    jobs = [
        Job(raw / RAW_FOLDER[split] / name, root / split / name, split != "test", align)
        for split, names in _choose_scenes(raw, splits).items()
        for name in names
    ][shard[0] - 1 :: shard[1]]
    if not _missing(jobs):  # nothing to write: works on a read-only root
        _check_options(root, align, jobs)
        return Summary(done=0, skipped=len(jobs), failed=())
    with _locked(root, shard):
        if shard == (1, 1):  # with shards, they may belong to another running machine
            remove_temporary(root)
        missing = _missing(jobs)  # another run may have finished some meanwhile
        _check_options(root, align, jobs)
        annotated = any(job.annotated for job in missing)
        labels = scannet.read_label_table(raw / scannet.LABEL_TABLE) if annotated else None
        outcomes = list(track(_run_jobs(missing, labels, workers), len(missing), "preprocessing"))
    failed = sorted((job.source.name, reason) for job, reason in outcomes if reason)
    return Summary(done=len(outcomes) - len(failed), skipped=len(jobs) - len(missing), failed=tuple(failed))


def summary_lines(summary: Summary) -> list[str]:
    """The summary as text: the counts, then one line for each of the first MAX_LINES failed scenes."""
    lines = [f"{summary.done} scenes preprocessed, {summary.skipped} already there, {len(summary.failed)} failed"]
    lines += [f"  {scene}: {reason}" for scene, reason in summary.failed[:MAX_LINES]]
    if len(summary.failed) > MAX_LINES:
        lines.append(f"  and {len(summary.failed) - MAX_LINES} more")
    return lines


def _missing(jobs: list[Job]) -> list[Job]:
    """The jobs whose processed scene is missing or incomplete."""
    return [job for job in jobs if not is_finished(job.target, job.annotated)]


def _check_raw(raw: Path | None) -> Path:
    """``raw``; UserError with the steps to get ScanNet if it is not a folder."""
    if raw is None or not raw.is_dir():
        state = "dataset.raw is not set" if raw is None else f"there is no folder {raw}"
        raise UserError(
            f"{state}: request ScanNet at http://www.scan-net.org/, put scans/, scans_test/, {scannet.LABEL_TABLE} "
            "and the scannetv2_*.txt lists into one folder and pass dataset.raw=/path/to/scannet (data/README.md has "
            "the steps); dataset=rooms200 needs no download"
        )
    return raw


def _choose_scenes(raw: Path, splits: Sequence[str] | None) -> dict[str, list[str]]:
    """Scene names of the chosen splits; UserError if one has no list."""
    listed = scannet.read_splits(raw)
    for split in splits or ():
        if split not in listed:
            raise UserError(
                f"{raw / f'scannetv2_{split}.txt'} is missing (there are lists of {', '.join(listed)}): copy it "
                "from Tasks/Benchmark of https://github.com/ScanNet/ScanNet"
            )
    return {split: listed[split] for split in splits or listed}


@contextmanager
def _locked(root: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Create ``root`` and lock it: a second run on the same shard waits. The lock ends with the process."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / (".lock" if shard == (1, 1) else f".lock-{shard[0]}-of-{shard[1]}")).open("a")
    except OSError as error:
        raise UserError(f"cannot write {root} ({error.strerror}): choose another folder with dataset.root=") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning(f"waiting for another run that preprocesses {root}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_options(root: Path, align: bool, jobs: list[Job]) -> None:
    """UserError if ``root`` was made with other options; records the options in a new root."""
    path, options = root / OPTIONS, {"format": FORMAT, "align": align}
    missing, total = len(_missing(jobs)), len(jobs)
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


def _preprocess_scene(job: Job, labels: scannet.LabelTable | None) -> str | None:
    """Preprocess one scene; None, or the reason why it failed."""
    try:
        write_scene(job.target, scannet.read_scene(job.source, labels, job.annotated, job.align))
    except UserError as error:
        return str(error)
    except Exception as error:  # whatever is wrong with one scene must not stop the others
        return f"{type(error).__name__}: {' '.join(str(error).split())} (scene {job.source}, to {job.target})"
    return None


def _run_jobs(jobs: list[Job], labels: scannet.LabelTable | None, workers: int) -> Iterator[tuple[Job, str | None]]:
    """Yield each job with None or the reason of its failure, as they finish.

    A dead worker does not tell which scene killed it. The remaining scenes then run one at a time, in order, which
    shows the culprit and needs the least memory, the usual cause.
    """
    deaths = 0
    while jobs:
        finished = set()
        for job, reason in _run_pool(jobs, labels, min(workers, len(jobs))):
            finished.add(job)
            yield job, reason
        jobs = [job for job in jobs if job not in finished]
        deaths += bool(jobs)
        if deaths > MAX_DEATHS:
            raise UserError(f"{deaths} worker processes died (out of memory?): run again with fewer workers")
        if jobs and workers == 1:
            yield jobs.pop(0), "its worker process died (killed, or out of memory?)"
        workers = 1


def _run_pool(jobs: list[Job], labels: scannet.LabelTable | None, workers: int) -> Iterator[tuple[Job, str | None]]:
    """Yield the outcome of each job, except those that were unfinished when a worker died."""
    with suppress(BrokenProcessPool):  # also raised while submitting
        for job, future in run_parallel(partial(_preprocess_scene, labels=labels), jobs, workers):
            with suppress(BrokenProcessPool):
                yield job, future.result()
