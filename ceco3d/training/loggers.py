"""Where the numbers of a run go: a CSV file, TensorBoard, Weights & Biases.

Scores are fractions, 0..1, wherever numbers are logged; tables for people are in percent and say so.
To add a logger: a class with the methods of Logger, and a file in conf/logger that names it.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ceco3d.metrics.tables import markdown_table
from ceco3d.runs.metrics_csv import PHASE, moment, phase, read_complete_rows
from ceco3d.training.reporting import POSITION, flat_settings, tag
from ceco3d.training.results import CLASS_COLUMNS, Results, png_pixels
from ceco3d.training.wandb_logger import WandbLogger as WandbLogger
from ceco3d.utils.atomic import write_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

logger = logging.getLogger(__name__)


class Logger(Protocol):
    """Takes the values of one step by name, always with ``step``; what a validation measures begins with "val_".

    A logger is made with the run's folder and ``start``, the step that a resumed run continues from, plus a half where
    the validation after that step is done; and, if it has a parameter for it, ``config``, the whole configuration. If
    it has a method ``finish``, that is called with the ``Results`` of a finished training.
    """

    def log(self, values: Mapping[str, float]) -> None:
        """Record the values of one step."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


@runtime_checkable
class FinishingLogger(Logger, Protocol):
    """A logger that also takes the results of a finished training."""

    def finish(self, results: Results) -> None:
        """Record the results."""
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
            kept = [_with_phase(row) for row in read_complete_rows(self._path) if moment(row) <= start]
            self._columns = list(dict.fromkeys(name for row in kept for name in row))
        self._waiting: list[Mapping[str, Any]] = []
        write_text(self._path, self._text(kept, header=True) if self._columns else "")

    def log(self, values: Mapping[str, float]) -> None:
        """Append a row; a name that is new adds a column to the file."""
        self._waiting.append(_with_phase(values))
        new = [name for name in dict.fromkeys(chain(*self._waiting)) if name not in self._columns]
        if new:
            self._widen(new)
        else:
            self._append()
        self._waiting = []

    def close(self) -> None:
        """Nothing is open between rows."""

    def _append(self) -> None:
        with self._path.open("a", newline="", encoding="utf-8") as file:
            size = file.tell()
            try:
                file.write(self._text(self._waiting))
                file.flush()
            except OSError:
                file.truncate(size)  # no half row
                raise

    def _widen(self, new: Iterable[str]) -> None:
        rows = [_with_phase(row) for row in read_complete_rows(self._path)] if self._columns else []
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


def _with_phase(values: Mapping[str, float]) -> dict[str, Any]:
    return {"step": values["step"], PHASE: phase(values), **values}


class TensorBoardLogger:
    """Event files in ``run_dir/tensorboard``: scalars in groups, and at the end pictures, classes and hparams.

    UserError when TensorBoard is not installed.
    """

    def __init__(self, run_dir: Path, start: float, config: Mapping[str, Any] | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("logger=tensorboard needs tensorboard: pip install 'ceco3d[tensorboard]'") from error
        self._writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=int(start) + 1 if start else None)
        self._config, self._step = config or {}, int(start)

    def log(self, values: Mapping[str, float]) -> None:
        """One scalar for each value."""
        self._step = int(values["step"])
        for name, value in values.items():
            if name != "step" and not (name in POSITION and phase(values) == "val"):
                self._writer.add_scalar(tag(name), value, self._step)

    def finish(self, results: Results) -> None:
        """Add the pictures, the table of classes, and the settings beside the final scores."""
        for caption, picture in results.pictures.items():
            name = f"val/{caption.partition(':')[0]}"
            self._writer.add_image(name, png_pixels(picture), self._step, dataformats="HWC")
        rows = [
            (name, group, f"{points:,}", "-" if iou is None else f"{iou:.1f}")
            for name, group, points, iou in results.classes
        ]
        self._writer.add_text("val/classes", "\n".join(markdown_table(CLASS_COLUMNS, rows)), self._step)
        self._add_settings({tag(name): value for name, value in results.values.items()})

    def _add_settings(self, scores: dict[str, float]) -> None:
        from torch.utils.tensorboard.summary import hparams

        # As SummaryWriter.add_hparams does, but in the event file of the run instead of a folder of its own.
        for summary in hparams(flat_settings(self._config), scores):
            self._writer._get_file_writer().add_summary(summary)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


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

    def finish(self, results: Results) -> None:
        """Pass the results of a finished training to every logger that takes them; a failure is a warning."""
        for one in self._loggers:
            if isinstance(one, FinishingLogger):
                try:
                    one.finish(results)
                except Exception as error:  # the results are on disk already
                    logger.warning(f"{type(one).__name__}: results not logged ({one_line(error)})")

    def close(self) -> None:
        """Flush and close all."""
        for one in self._loggers:
            with suppress(OSError):
                one.close()
