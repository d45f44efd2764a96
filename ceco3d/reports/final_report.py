"""Write the report at the end of training or evaluation; a failure here never fails the command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch

from ceco3d.data.labels import LabelSpace
from ceco3d.utils.untrusted import one_line

SIGNALS = {130: "Ctrl-C (SIGINT)", 138: "SIGUSR1", 143: "SIGTERM"}  # by exit code

logger = logging.getLogger(__name__)


def report_run(run: Path, device: torch.device) -> None:
    """Write ``report.html`` of a finished run, or log in one line why there is none."""
    _attempt(lambda: _module().write_run_report(run, device))


def report_evaluation(out: Path, space: LabelSpace, title: str) -> None:
    """Write ``report.html`` of an evaluation, or log in one line why there is none."""
    _attempt(lambda: _module().write_evaluation_report(out, space, title))


@contextmanager
def reporting_interruption(run: Path) -> Iterator[None]:
    """Report a training that ends early, by a signal or by an error, without drawing new pictures.

    A training that ends before it started, because the folder holds another run for example, leaves the report alone.
    """
    before = _started(run)
    try:
        yield
    except BaseException as error:
        if _started(run) != before:
            ended = _why(error)
            _attempt(lambda: _module().write_run_report(run, None, ended))
        raise


def _started(run: Path) -> int:
    """When a training last started in the folder: it then writes ``environment.json``."""
    try:
        return (run / "environment.json").stat().st_mtime_ns
    except OSError:
        return 0


def _module() -> ModuleType:
    """The module that writes reports, imported when a command is done: commands start faster without it."""
    from ceco3d.reports import run_report

    return run_report


def _attempt(write: Callable[[], object]) -> None:
    try:
        write()
    except Exception as error:  # whatever fails in drawing, the results are already on disk
        logger.warning("no report: %s", one_line(error))


def _why(error: BaseException) -> str:
    """Say in one line why a command that ``error`` ends did not finish."""
    if isinstance(error, SystemExit):
        return f"stopped by {SIGNALS.get(int(error.code or 0), f'exit code {error.code}')}"
    if isinstance(error, KeyboardInterrupt):
        return f"stopped by {SIGNALS[130]}"
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text}".removeprefix("UserError: ")
