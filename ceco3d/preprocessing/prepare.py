"""Raw root to processed root: every missing scene, in parallel; a stopped run goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ceco3d.data.scenes.processed import is_finished, remove_temporary, write_scene
from ceco3d.preprocessing import scannet
from ceco3d.utils.errors import UserError
from ceco3d.utils.parallel import run_parallel
from ceco3d.utils.progress import track
from ceco3d.utils.untrusted import one_line, read_json

RAW_FOLDER = {"train": "scans", "val": "scans", "test": "scans_test"}
OPTIONS = "preprocess.json"
FORMAT = 1  # of the arrays; raise it when the same raw scene would give other values
MAX_DEATHS = 5  # of worker processes, then the machine is to blame rather than single scenes
MAX_LINES = 20  # of failures in the printed summary


@dataclass(frozen=True)
class Summary:
    """Scenes written now, found finished, and failed as (scene, reason)."""

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


def prepare(
    raw: Path | None,
    root: Path,
    splits: Sequence[str] | None,
    workers: int,
    align: bool,
    shard: tuple[int, int] = (1, 1),
) -> Summary:
    """Preprocess every scene of ``splits`` (None: all that have a list) that ``root`` lacks.

    ``workers`` processes, one thread each. ``shard`` (i, n) is the i-th of n parts of the scenes, i from 1: n machines
    can share the work on one root and do not wait for each other. A broken scene is reported in the summary and does
    not stop the others. Another run on the same root is waited for. UserError if the raw root, its label table or its
    split lists are missing, the root cannot be written, or it holds scenes that were made with other options. On
    KeyboardInterrupt the scenes at work are finished first; then it is raised.
    """
    if workers < 1:
        raise UserError(f"workers is {workers}; it must be at least 1")
    jobs = [
        Job(raw / RAW_FOLDER[split] / name, root / split / name, split != "test", align)
        for split, names in _choose_scenes(raw, splits).items()
        for name in names
    ][shard[0] - 1 :: shard[1]]
    if not _missing(jobs):  # nothing to write: the root may be a shared one that cannot be written
        _check_options(root, align, jobs)
        return Summary(done=0, skipped=len(jobs), failed=())
    with _locked(root, shard):
        if shard == (1, 1):  # else they may be those of a machine at work
            remove_temporary(root)
        missing = _missing(jobs)  # fewer, if another run was waited for
        _check_options(root, align, jobs)
        annotated = any(job.annotated for job in missing)
        labels = scannet.read_label_table(raw / scannet.LABEL_TABLE) if annotated else None
        outcomes = list(track(_run(missing, labels, workers), len(missing), "preprocessing"))
    failed = sorted((job.source.name, reason) for job, reason in outcomes if reason)
    return Summary(done=len(outcomes) - len(failed), skipped=len(jobs) - len(missing), failed=tuple(failed))


def summary_lines(summary: Summary) -> list[str]:
    """The summary as text: the counts, then one line for each failed scene (the first 20)."""
    lines = [f"{summary.done} scenes preprocessed, {summary.skipped} already there, {len(summary.failed)} failed"]
    lines += [f"  {scene}: {reason}" for scene, reason in summary.failed[:MAX_LINES]]
    if len(summary.failed) > MAX_LINES:
        lines.append(f"  and {len(summary.failed) - MAX_LINES} more")
    return lines


def _missing(jobs: list[Job]) -> list[Job]:
    """The jobs whose processed scene is not there or not whole."""
    return [job for job in jobs if not is_finished(job.target, job.annotated)]


def _choose_scenes(raw: Path | None, splits: Sequence[str] | None) -> dict[str, list[str]]:
    """Scene names of the wanted splits."""
    if raw is None or not raw.is_dir():
        state = "dataset.raw is not set" if raw is None else f"there is no folder {raw}"
        raise UserError(
            f"{state}: request ScanNet at http://www.scan-net.org/, put scans/, scans_test/, {scannet.LABEL_TABLE} "
            "and the scannetv2_*.txt lists into one folder and pass dataset.raw=/path/to/scannet (data/README.md has "
            "the steps); dataset=rooms200 needs no download"
        )
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
    """Make ``root`` and hold it alone: of two runs on one shard the second waits. The lock ends with the process."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / (".lock" if shard == (1, 1) else f".lock-{shard[0]}-of-{shard[1]}")).open("a")
    except OSError as error:
        raise UserError(f"cannot write {root} ({error.strerror}): choose another folder with dataset.root=") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another preprocessing of {root}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_options(root: Path, align: bool, jobs: list[Job]) -> None:
    """Never mix scenes of different options in one root; record the options in a new one."""
    path, options = root / OPTIONS, {"format": FORMAT, "align": align}
    missing, total = len(_missing(jobs)), len(jobs)
    try:
        found = read_json(path)
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): delete {root} and preprocess again") from None
    if found is None and missing == total:
        temporary = path.with_suffix(f".{os.getpid()}.tmp")  # shards may write it at the same time
        temporary.write_text(json.dumps(options) + "\n")
        temporary.replace(path)
    elif found is None and missing:
        raise UserError(
            f"{root} has {total - missing} of {total} scenes, made by another program with unknown options: choose "
            f"another dataset.root, or put {json.dumps(options)} into {path} if that is how they were made"
        )
    elif found is not None and found != options:
        made = one_line(found)
        raise UserError(f"{root} was made with {made}, not {options}: choose another dataset.root or delete it")


def _prepare_scene(job: Job, labels: scannet.LabelTable | None) -> str | None:
    """Read and write one scene; None, or why it failed."""
    try:
        write_scene(job.target, scannet.read_scene(job.source, labels, job.annotated, job.align))
    except UserError as error:
        return str(error)
    except Exception as error:  # one scene must not stop the others, whatever is wrong with it
        return f"{type(error).__name__}: {' '.join(str(error).split())} (scene {job.source}, to {job.target})"
    return None


def _run(jobs: list[Job], labels: scannet.LabelTable | None, workers: int) -> Iterator[tuple[Job, str | None]]:
    """Each job with None or the reason of its failure, as they finish.

    When a worker dies, nobody knows of which scene. The rest then goes through one worker at a time, which takes the
    scenes in order and so shows the culprit; it also needs the least memory, the usual cause.
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
            raise UserError(f"{deaths} worker processes died (out of memory?): run again to go on, with fewer workers")
        if jobs and workers == 1:
            yield jobs.pop(0), "its worker process died (killed, or out of memory?)"
        workers = 1


def _run_pool(jobs: list[Job], labels: scannet.LabelTable | None, workers: int) -> Iterator[tuple[Job, str | None]]:
    """The outcome of each job; of all that were unfinished when a worker died, none."""
    with suppress(BrokenProcessPool):  # also raised while submitting
        for job, future in run_parallel(partial(_prepare_scene, labels=labels), jobs, workers):
            with suppress(BrokenProcessPool):
                yield job, future.result()
