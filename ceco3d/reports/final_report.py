"""Write the report at the end of training or evaluation; a failure here never fails the command."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.utils.untrusted import one_line

logger = logging.getLogger(__name__)


def report_run(run: Path, device: torch.device) -> None:
    """Write ``report.html`` of a finished run, or log in one line why there is none."""
    _attempt(lambda module: module.write_run_report(run, device))


def report_evaluation(out: Path, space: LabelSpace, title: str) -> None:
    """Write ``report.html`` of an evaluation, or log in one line why there is none."""
    _attempt(lambda module: module.write_page(out, space, title))


def _attempt(write: Callable[[ModuleType], object]) -> None:
    try:
        from ceco3d.reports import run_report  # needs matplotlib

        write(run_report)
    except ModuleNotFoundError:
        logger.warning("no report: pip install 'ceco3d[plot]'")
    except Exception as error:  # whatever fails in drawing, the results are already on disk
        logger.warning("no report: %s", one_line(error))
