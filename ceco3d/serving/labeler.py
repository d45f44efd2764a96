"""The process with the network, which labels one scan after the other and can be ended at any time."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from ceco3d.cli import logs
from ceco3d.serving.jobs import RESULT, Job, Limits
from ceco3d.utils.atomic import write_json
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_json

if TYPE_CHECKING:
    from ceco3d.api.model import Model
    from ceco3d.inference.labeled_scan import LabeledScan

logger = logging.getLogger(__name__)

REASON = 500  # characters


@dataclass(frozen=True)
class Task:
    """What the process needs to know of a job."""

    name: str
    upload: Path
    results: Path
    unit: str
    up: str


@dataclass(frozen=True)
class Setup:
    """How the process starts; the first three as in ``ceco3d.load``."""

    checkpoint: str
    device: str
    precision: str | None
    max_points: int
    log_level: str


class Labeler:
    """Labels scans in a process of its own, which keeps the network loaded.

    A process, because only that can be ended when a scan takes too long, and because it may run out of memory.
    """

    def __init__(
        self, checkpoint: str, device: str, precision: str | None, limits: Limits, log_level: str = "info"
    ) -> None:
        self._setup = Setup(checkpoint, device, precision, limits.max_points, log_level)
        self._timeout = limits.timeout
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._job: Job | None = None
        self._lock = threading.Lock()  # of the job that ``cancel`` may end, and of the end
        self._closed = False

    def start(self) -> str:
        """Start the process and wait until the network is loaded; what it is. UserError if it cannot be loaded."""
        context = multiprocessing.get_context("spawn")  # threads of this process do not survive a fork
        self._pipe, theirs = context.Pipe()
        with self._lock, _interrupts_held():
            if self._closed:
                raise UserError("the server ends")
            self._process = context.Process(target=run_labeler, args=(theirs, self._setup), daemon=True)
            self._process.start()
        theirs.close()  # so that its end is noticed
        try:
            error, text = self._pipe.recv()
        except (EOFError, OSError):
            raise UserError(f"the process that labels ended while it loaded the network ({self._ending()})") from None
        if error:
            raise UserError(text)
        return str(text)

    def label(self, job: Job) -> str | None:
        """Label the scan of ``job``; the reason in one line if that failed. Starts a process if the last one ended."""
        with self._lock:
            self._job = job
        try:
            if self._process is None or not self._process.is_alive():
                self.start()
            with self._lock:  # from here on, ``cancel`` ends the process
                if job.removed:
                    return "removed"
            return self._answer(Task(job.name, job.upload, job.results, job.unit, job.up))
        except UserError as error:
            return str(error)
        finally:
            with self._lock:
                self._job = None

    def _answer(self, task: Task) -> str | None:
        """What the process says of a scan."""
        assert self._pipe is not None
        assert self._process is not None
        try:
            self._pipe.send(task)
            if not self._pipe.poll(self._timeout):
                self._process.kill()
                self._process.join()
                return f"took longer than {self._timeout:g} s; thin the scan, or raise timeout="
            answer: str | None = self._pipe.recv()
            return answer
        except (EOFError, OSError):
            return f"the process that labels ended ({self._ending()}); the scan may need more memory than there is"

    def cancel(self, job: Job) -> None:
        """End the labeling of ``job``, which is removed, if it still runs."""
        with self._lock:
            if self._job is job and self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process, whatever it does; no other one is started."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _ending(self) -> str:
        assert self._process is not None
        self._process.join()
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process that starts in the body never sees Ctrl-C, which a terminal sends to all: the server ends it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_labeler(pipe: Connection, setup: Setup) -> None:
    """What the process does: load the network, then label what comes through ``pipe`` until that closes."""
    from ceco3d.api.model import load
    from ceco3d.inference.outputs import checkpoint_source
    from ceco3d.utils.allocator import keep_freed_memory, let_segments_grow

    keep_freed_memory()
    let_segments_grow()
    logs.install(setup.log_level)
    logging.getLogger("ceco3d.inference").setLevel(logging.ERROR)  # warnings of scans are in their summaries
    with suppress(EOFError, OSError):  # the server is gone
        try:
            model = load(setup.checkpoint, setup.device, setup.precision)
            source = checkpoint_source(model.weights)
        except UserError as error:
            pipe.send((True, str(error)))
            return
        pipe.send((False, repr(model)))
        while True:
            task: Task = pipe.recv()
            pipe.send(_reason(model, source, task, setup.max_points))


def _reason(model: Model, source: dict[str, str], task: Task, max_points: int) -> str | None:
    """Label a scan; one line if that fails."""
    try:
        _label(model, source, task, max_points)
    except UserError as error:
        return str(error).replace(str(task.upload), task.name)[:REASON]
    except Exception as error:  # a fault of one scan must not end the server
        logger.exception(f"{task.name}: not labeled")
        return f"not labeled: {one_line(f'{type(error).__name__}: {error}')}"
    return None


def _label(model: Model, source: dict[str, str], task: Task, max_points: int) -> None:
    """Write the files that ``python -m ceco3d.predict`` writes, but no picture."""
    from dataclasses import replace
    from functools import partial

    from ceco3d.cli.labeling import LabelingKeys
    from ceco3d.cli.scoring import views_named
    from ceco3d.cli.settings import to_settings
    from ceco3d.inference.labeled_scan import SUMMARY
    from ceco3d.inference.scan_labeling import label_scan

    keys = to_settings(LabelingKeys, {"unit": task.unit, "up": task.up})
    predictor = model.predictor.with_passes(views_named("none"), keys.fragments)
    options = replace(keys.options(), max_points=max_points, page=partial(_write_viewer, task.name))
    label_scan(predictor, model.space, task.upload, task.results / RESULT, options, source)
    summary = task.results / (RESULT + SUMMARY)
    write_json(summary, read_json(summary) | {"input": task.name})


def _write_viewer(name: str, labeled: LabeledScan, target: Path) -> None:
    from ceco3d.utils.atomic import write_text
    from ceco3d.visualization.page import viewer_page
    from ceco3d.visualization.scan_page import segmented

    write_text(target.with_name(f"{target.name}.html"), viewer_page(segmented(labeled, name)))
