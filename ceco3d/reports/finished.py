"""The report that training and evaluation end with: it never makes them fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.utils.untrusted import one_line


def report_run(run: Path, device: torch.device) -> None:
    """Write ``report.html`` of a finished run, or print in one line why there is none."""
    _attempt(lambda page: page.write_run_report(run, device))


def report_evaluation(out: Path, space: LabelSpace, title: str) -> None:
    """Write ``report.html`` of an evaluation, or print in one line why there is none."""
    _attempt(lambda page: page.write_page(out, space, title))


def _attempt(write: Callable[[ModuleType], object]) -> None:
    try:
        from ceco3d.reports import run_page  # needs matplotlib

        write(run_page)
    except ModuleNotFoundError:
        print("no report: pip install 'ceco3d[plot]'", file=sys.stderr)
    except Exception as error:  # whatever goes wrong in drawing, the results are there
        print(f"no report: {one_line(error)}", file=sys.stderr)
