"""The scans that were sent: who waits, what runs, which results are kept."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

State = Literal["uploading", "queued", "running", "done", "failed"]

RESULT = "scan"  # base name of the files of every result


@dataclass(frozen=True)
class Limits:
    """What the server takes.

    max_bytes   of a file
    max_points  of a scan
    timeout     seconds that labeling may take
    queue       scans that may wait, including those that are being sent
    keep        finished scans whose results are kept
    """

    max_bytes: int
    max_points: int
    timeout: float
    queue: int
    keep: int


class QueueFullError(Exception):
    """As many scans wait as may."""


@dataclass(eq=False)
class Job:
    """One scan.

    id       cannot be guessed
    name     of the file as its sender calls it; shown, and never part of a path
    folder   of its own
    suffix   of the format
    reason   one line, if it failed
    removed  nobody waits for it any more
    """

    id: str
    name: str
    folder: Path
    suffix: str
    unit: str
    up: str
    state: State = "uploading"
    reason: str = ""
    removed: bool = False
    since: float = field(default_factory=time.monotonic)  # of the state
    seconds: float | None = None  # that labeling took

    @property
    def upload(self) -> Path:
        """The scan as it was sent."""
        return self.folder / f"upload{self.suffix}"

    @property
    def results(self) -> Path:
        """The folder of the files that labeling writes."""
        return self.folder / "results"

    def files(self) -> dict[str, Path]:
        """The files of the result by name, ``RESULT`` and a suffix; none before it is done."""
        return {path.name: path for path in sorted(self.results.iterdir())} if self.state == "done" else {}

    def become(self, state: State) -> None:
        """Change the state."""
        self.state, self.since = state, time.monotonic()


class Jobs:
    """All scans, in the order in which they came. Any thread may call its methods."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._closed = False

    def reserve(self, name: str, suffix: str, unit: str, up: str) -> Job:
        """A place in the queue for a scan that is about to be sent, with an empty folder; QueueFullError without one.

        ``submit`` or ``remove`` must follow.
        """
        with self._changed:
            if len(self._in("uploading", "queued")) >= self._limits.queue:
                raise QueueFullError
            key = secrets.token_urlsafe(16)
            job = Job(key, name, self._folder / key, suffix, unit, up)
            job.folder.mkdir()
            self._jobs[key] = job
        return job

    def submit(self, job: Job) -> None:
        """The scan has arrived: it waits to be labeled."""
        with self._changed:
            job.become("queued")
            self._jobs[job.id] = self._jobs.pop(job.id)  # to the end: the first to arrive is the first to be labeled
            self._changed.notify_all()

    def get(self, key: str) -> Job | None:
        """The job with this id that has arrived."""
        with self._changed:
            job = self._jobs.get(key)
            return None if job is None or job.state == "uploading" else job

    def place(self, job: Job) -> int:
        """The place of a job in the queue: 1 for the next one, 0 if it does not wait."""
        with self._changed:
            waiting = self._in("queued")
            return waiting.index(job) + 1 if job in waiting else 0

    def count(self, *states: State) -> int:
        """How many jobs are in these states."""
        with self._changed:
            return len(self._in(*states))

    def next(self) -> Job | None:
        """Wait for a scan and make it the running one; None once ``close`` was called."""
        with self._changed:
            while True:
                if self._closed:
                    return None
                waiting = self._in("queued")
                if waiting:
                    waiting[0].become("running")
                    return waiting[0]
                self._changed.wait()

    def finish(self, job: Job, reason: str | None) -> bool:
        """A scan is labeled, or failed for a ``reason``; drops its upload, and results beyond those that are kept.

        False if the job was removed meanwhile.
        """
        job.upload.unlink(missing_ok=True)
        with self._changed:
            if job.removed:
                shutil.rmtree(job.folder, ignore_errors=True)
                return False
            job.seconds, job.reason = time.monotonic() - job.since, reason or ""
            job.become("done" if reason is None else "failed")
            old = sorted(self._in("done", "failed"), key=lambda one: one.since)[: -self._limits.keep]
        for one in old:
            self.remove(one)
        return True

    def remove(self, job: Job) -> bool:
        """Forget a job and its files; whether it was running, which ``Labeler.cancel`` has to end."""
        with self._changed:
            self._jobs.pop(job.id, None)
            job.removed = True
            running = job.state == "running"
        shutil.rmtree(job.folder, ignore_errors=True)
        return running

    def close(self) -> None:
        """No scan is labeled any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _in(self, *states: State) -> list[Job]:
        return [job for job in self._jobs.values() if job.state in states]
