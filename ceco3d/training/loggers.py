"""Where the numbers of a run go: a CSV file always works, TensorBoard and Weights & Biases if they are installed."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ceco3d.runs.metrics_csv import Row, read_complete_rows
from ceco3d.utils.atomic import write_text
from ceco3d.utils.errors import UserError

COLUMNS = (
    "step",
    "epoch",
    "lr",
    "loss",
    "ce",
    "lovasz",
    "ceco",
    "chance",
    "match_accuracy",
    "grad_norm",
    "voxels_per_second",
    "skipped",
    "gpu_gib",
    "gpu_reserved_gib",
    "val_miou",
    "val_head",
    "val_common",
    "val_tail",
    "val_accuracy",
    "val_nc1",
    "val_equinorm",
    "val_equiangularity",
    "val_separation",
    "val_self_duality",
    "val_nearest_center",
)


class Logger(Protocol):
    """Takes the values of one step, by name; some of COLUMNS, always with ``step``.

    A logger is made with ``start``, the step that a resumed run goes on from, plus a half where the validation after it
    is done.
    """

    def log(self, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class CsvLogger:
    """``run_dir/metrics.csv``. A resumed run drops the rows after its checkpoint, so that no step appears twice.

    Rows that cannot be written (disk full) are kept and written with a later one.
    """

    def __init__(self, run_dir: Path, start: float) -> None:
        self._path = run_dir / "metrics.csv"
        kept = []
        if start and self._path.is_file():
            kept = [row for row in read_complete_rows(self._path) if _moment(row) <= start]
        write_text(self._path, _csv([dict(zip(COLUMNS, COLUMNS, strict=True)), *kept]))
        self._waiting: list[Mapping[str, Any]] = []

    def log(self, values: Mapping[str, float]) -> None:
        self._waiting.append(values)
        with self._path.open("a", newline="") as file:
            size = file.tell()
            try:
                file.write(_csv(self._waiting))
                file.flush()
            except OSError:
                file.truncate(size)  # no half row
                raise
        self._waiting = []

    def close(self) -> None:
        pass


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n").writerows(rows)
    return text.getvalue()


def _moment(row: Row) -> float:
    """When a row was written, as ``start``."""
    return row["step"] + (0.5 if "val_miou" in row else 0.0)


class TensorBoardLogger:
    """Event files in ``run_dir/tensorboard``."""

    def __init__(self, run_dir: Path, start: float) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("logger=tensorboard needs tensorboard: pip install 'ceco3d[tensorboard]'") from error
        self._writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=int(start) + 1 if start else None)

    def log(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(values["step"]))

    def close(self) -> None:
        self._writer.close()


class WandbLogger:
    """Weights & Biases: online when logged in, else offline into ``run_dir/wandb`` (``wandb sync`` uploads later)."""

    def __init__(self, run_dir: Path, start: float, project: str, name: str | None, mode: str | None) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError("logger=wandb needs wandb: pip install 'ceco3d[wandb]'") from error
        if mode is None:
            logged_in = bool(os.environ.get("WANDB_API_KEY") or wandb.api.api_key)
            mode = os.environ.get("WANDB_MODE") or ("online" if logged_in else "offline")
        self._run = wandb.init(project=project, name=name or run_dir.name, dir=str(run_dir), mode=mode)

    def log(self, values: Mapping[str, float]) -> None:
        self._run.log({k: v for k, v in values.items() if k != "step"}, step=int(values["step"]))

    def close(self) -> None:
        self._run.finish()


class Loggers:
    """Several loggers as one; one that cannot write warns once and does not stop the run."""

    def __init__(self, loggers: list[Logger]) -> None:
        self._loggers = loggers
        self._warned: set[int] = set()

    def log(self, values: Mapping[str, float]) -> None:
        """Pass the values of one step on to every logger."""
        for number, logger in enumerate(self._loggers):
            try:
                logger.log(values)
            except OSError as error:
                if number not in self._warned:
                    print(f"WARNING: {type(logger).__name__}: {error}; training goes on", file=sys.stderr, flush=True)
                self._warned.add(number)

    def close(self) -> None:
        """Flush and close all."""
        for logger in self._loggers:
            with suppress(OSError):
                logger.close()


def make_loggers(settings: Mapping[str, Mapping[str, Any]], run_dir: Path, start: float) -> Loggers:
    """The loggers named in ``conf/logger`` (``start``: see Logger); UserError when one is not installed."""
    kinds = {"csv": CsvLogger, "tensorboard": TensorBoardLogger, "wandb": WandbLogger}
    return Loggers([kinds[name](run_dir, start, **options) for name, options in settings.items()])
