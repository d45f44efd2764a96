"""Where the numbers of a run go: a CSV file, TensorBoard, Weights & Biases.

To add a logger: a class with the methods of Logger, and a file in conf/logger that names it.
"""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from ceco3d.runs.metrics_csv import VALIDATION, Row, read_complete_rows
from ceco3d.utils.atomic import write_text
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)


class Logger(Protocol):
    """Takes the values of one step by name, always with ``step``; what a validation measures begins with "val_".

    A logger is made with the run's folder and ``start``, the step that a resumed run continues from, plus a half where
    the validation after that step is done.
    """

    def log(self, values: Mapping[str, float]) -> None:
        """Record the values of one step."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


class CsvLogger:
    """``run_dir/metrics.csv``: one column for every name ever logged, in the order in which they first appear.

    A resumed run drops the rows after its checkpoint, so that no step appears twice. Rows that cannot be written (disk
    full) are kept and written with a later one.
    """

    def __init__(self, run_dir: Path, start: float) -> None:
        self._path = run_dir / "metrics.csv"
        self._columns: list[str] = []
        kept: list[Mapping[str, Any]] = []
        if start and self._path.is_file():
            kept = [row for row in read_complete_rows(self._path) if _moment(row) <= start]
            self._columns = list(dict.fromkeys(name for row in kept for name in row))
        self._waiting: list[Mapping[str, Any]] = []
        write_text(self._path, self._text(kept, header=True) if self._columns else "")

    def log(self, values: Mapping[str, float]) -> None:
        """Append a row; a name that is new adds a column to the file."""
        self._waiting.append(values)
        new = [name for name in dict.fromkeys(chain(*self._waiting)) if name not in self._columns]
        if new:
            self._widen(new)
        else:
            self._append()
        self._waiting = []

    def close(self) -> None:
        """Nothing is open between rows."""

    def _append(self) -> None:
        with self._path.open("a", newline="") as file:
            size = file.tell()
            try:
                file.write(self._text(self._waiting))
                file.flush()
            except OSError:
                file.truncate(size)  # no half row
                raise

    def _widen(self, new: Iterable[str]) -> None:
        rows: list[Mapping[str, Any]] = [*read_complete_rows(self._path)] if self._columns else []
        before = list(self._columns)
        self._columns += new
        try:
            write_text(self._path, self._text([*rows, *self._waiting], header=True))
        except OSError:
            self._columns = before
            raise

    def _text(self, rows: Iterable[Mapping[str, Any]], header: bool = False) -> str:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, restval="", lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def _moment(row: Row) -> float:
    """When a row was written, as ``start``."""
    return row["step"] + (0.5 if any(name.startswith(VALIDATION) for name in row) else 0.0)


class TensorBoardLogger:
    """Event files in ``run_dir/tensorboard``. UserError when TensorBoard is not installed."""

    def __init__(self, run_dir: Path, start: float) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("logger=tensorboard needs tensorboard: pip install 'ceco3d[tensorboard]'") from error
        self._writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=int(start) + 1 if start else None)

    def log(self, values: Mapping[str, float]) -> None:
        """One scalar for each value."""
        for name, value in values.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(values["step"]))

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WandbLogger:
    """Weights & Biases: online when logged in, else offline into ``run_dir/wandb`` (``wandb sync`` uploads later).

    name  of the run; None: the name of ``run_dir``
    mode  online | offline; None: online when logged in
    UserError when wandb is not installed.
    """

    def __init__(
        self, run_dir: Path, start: float, project: str = "ceco3d", name: str | None = None, mode: str | None = None
    ) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError("logger=wandb needs wandb: pip install 'ceco3d[wandb]'") from error
        if mode is None:
            logged_in = bool(os.environ.get("WANDB_API_KEY") or wandb.api.api_key)
            mode = os.environ.get("WANDB_MODE") or ("online" if logged_in else "offline")
        self._run = wandb.init(project=project, name=name or run_dir.name, dir=str(run_dir), mode=mode)

    def log(self, values: Mapping[str, float]) -> None:
        """One row of the run's history."""
        self._run.log({k: v for k, v in values.items() if k != "step"}, step=int(values["step"]))

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class Loggers:
    """Several loggers as one; one that cannot write warns once and does not stop the run."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = list(loggers)
        self._warned: set[int] = set()

    def log(self, values: Mapping[str, float]) -> None:
        """Pass the values of one step to every logger."""
        for number, one in enumerate(self._loggers):
            try:
                one.log(values)
            except OSError as error:
                if number not in self._warned:
                    logger.warning(f"{type(one).__name__}: {error}; training continues")
                self._warned.add(number)

    def close(self) -> None:
        """Flush and close all."""
        for one in self._loggers:
            with suppress(OSError):
                one.close()
